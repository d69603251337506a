import type { z } from 'zod';
import type { EntryReader } from './entry-reader.ts';

/** Reads a whole hash again and again. An entry whose text did not change is not parsed and checked anew: of a thousand few do. */
export class HashReader<S extends z.ZodType> {
  readonly #entries: EntryReader;
  readonly #schema: S;
  readonly #what: string;
  #known = new Map<string, { readonly text: string; readonly value: z.output<S> }>();

  /** @param what - what an entry is, for the notice that one was passed over. */
  constructor(entries: EntryReader, schema: S, what: string) {
    this.#entries = entries;
    this.#schema = schema;
    this.#what = what;
  }

  /** @param flat - name, text, name, text ... as Redis lists a hash. */
  read(flat: readonly string[]): Map<string, z.output<S>> {
    const known = new Map<string, { text: string; value: z.output<S> }>();
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const [name, text] = [flat[i]!, flat[i + 1]!];
      const before = this.#known.get(name);
      const value =
        before?.text === text ? before.value : this.#entries.read(this.#schema, text, `${this.#what} "${name}"`);
      if (value !== null) known.set(name, { text, value });
    }
    this.#known = known;
    return new Map(Array.from(known, ([name, { value }]) => [name, value]));
  }
}
