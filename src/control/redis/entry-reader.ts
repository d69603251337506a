import type { z } from 'zod';
import { check } from '../../config/check.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { Incidents } from '../../flow/incidents.ts';
import type { Notices } from '../notices.ts';

/** A request that orders a stream has at most 256 KiB, and no other record is larger. */
const MAX_CHARS = 1024 * 1024;

/** Reads and validates entries in Redis. Another program or version may have written them: invalid ones are skipped. */
export class EntryReader {
  readonly #incidents: Incidents;

  /** @param incidents - counts skipped entries; without it each becomes a notice. */
  constructor(notices: Notices, incidents: Incidents = new Incidents((text) => notices.add(text))) {
    this.#incidents = incidents;
  }

  /** @returns null, and counts the entry, if the text does not match the schema. */
  read<S extends z.ZodType>(schema: S, text: string, where: string): z.output<S> | null {
    if (text.length > MAX_CHARS) {
      this.refuse('schema', `${where}: expected at most ${MAX_CHARS} characters, received ${text.length}`);
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

  /** Counts a skipped entry. */
  refuse(reason: 'schema' | 'json', complaint: string): void {
    this.#incidents.refuse('redis-record', reason, () => `an entry in Redis was skipped: ${complaint}`);
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
