import type { z } from 'zod';
import { check } from '../../config/check.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { Notices } from '../notices.ts';

/** Reads what is stored in Redis. Another program, or another version, may have written it: what does not fit is passed over. */
export class EntryReader {
  readonly #notices: Notices;

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  /** @returns null, and tells the operator, where the text is not what the schema wants. */
  read<S extends z.ZodType>(schema: S, text: string, where: string): z.output<S> | null {
    try {
      return check(schema, JSON.parse(text), where);
    } catch (error) {
      const reason = error instanceof SightlineError ? error.message : `${where}: expected JSON`;
      this.#notices.add(`an entry in Redis was passed over: ${reason}`);
      return null;
    }
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
