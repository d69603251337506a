import type { z } from 'zod';
import { check } from '../../config/check.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { Incidents } from '../../telemetry/incidents.ts';
import type { Notices } from '../notices.ts';

/** A request that orders a stream has 256 KiB at most, and no other record is larger. */
const MOST_CHARS = 1024 * 1024;

/** Reads what is stored in Redis. Another program, or another version, may have written it: what does not fit is passed over. */
export class EntryReader {
  readonly #incidents: Incidents;

  /** @param incidents - counts what is passed over; absent, it is a notice. */
  constructor(notices: Notices, incidents: Incidents = new Incidents((text) => notices.add(text))) {
    this.#incidents = incidents;
  }

  /** @returns null, and counts it, where the text is not what the schema wants. */
  read<S extends z.ZodType>(schema: S, text: string, where: string): z.output<S> | null {
    if (text.length > MOST_CHARS) {
      this.refuse('schema', `${where}: expected at most ${MOST_CHARS} characters, received ${text.length}`);
      return null;
    }
    try {
      return check(schema, JSON.parse(text), where);
    } catch (error) {
      const isJson = error instanceof SightlineError;
      const complaint = isJson ? error.message : `${where}: expected JSON`;
      this.refuse(isJson ? 'schema' : 'json', complaint);
      return null;
    }
  }

  /** Counts an entry that is passed over. */
  refuse(reason: 'schema' | 'json', complaint: string): void {
    this.#incidents.refuse('redis-record', reason, () => `an entry in Redis was passed over: ${complaint}`);
  }

  /** @param flat - name, text, name, text ... as Redis lists a hash. */
  readHash<S extends z.ZodType>(schema: S, flat: readonly string[], what: string): Map<string, z.output<S>> {
    const entries = new Map<string, z.output<S>>();
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const value = this.read(schema, flat[i + 1]!, `${what} "${flat[i]}"`);
      if (value !== null) entries.set(flat[i]!, value);
    }
    return entries;
  }
}
