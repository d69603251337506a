import { setImmediate as nextTurn } from 'node:timers/promises';
import type { z } from 'zod';
import type { EntryReader, SignedPlace } from './entry-reader.ts';

/** Longest time that a read blocks the event loop: the first read of a thousand orders takes some hundred milliseconds. */
const MAX_BLOCKING_MS = 3;

/** The kind of record that entries of a hash are, and the part of an entry that its writer signed; absent: all of it. */
export interface SignedPart {
  readonly kind: string;
  readonly part?: string;
}

/**
 * Reads a whole hash repeatedly. An entry whose text did not change is not parsed and validated again: few of a thousand
 * change, and a refused entry is counted once, not with every read.
 */
export class HashReader<S extends z.ZodType> {
  readonly #entries: EntryReader;
  readonly #schema: S;
  readonly #what: string;
  readonly #signed: SignedPart | null;
  #known = new Map<string, { readonly text: string; readonly value: z.output<S> | null }>();

  /**
   * @param what - what an entry is, for the notice that one was ignored.
   * @param signed - what its writer signed; null for entries that scripts in Redis write.
   */
  constructor(entries: EntryReader, schema: S, what: string, signed: SignedPart | null) {
    this.#entries = entries;
    this.#schema = schema;
    this.#what = what;
    this.#signed = signed;
  }

  /** @param flat - name, text, name, text ... as Redis lists a hash. */
  async read(flat: readonly string[]): Promise<Map<string, z.output<S>>> {
    let blockedSinceMs = performance.now();
    const known = new Map<string, { text: string; value: z.output<S> | null }>();
    const values = new Map<string, z.output<S>>();
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const [name, text] = [flat[i]!, flat[i + 1]!];
      const before = this.#known.get(name);
      const value =
        before?.text === text
          ? before.value
          : this.#entries.read(this.#schema, text, `${this.#what} "${name}"`, this.#signedAt(name));
      known.set(name, { text, value });
      if (value !== null) values.set(name, value);
      if (performance.now() - blockedSinceMs < MAX_BLOCKING_MS) continue;
      await nextTurn();
      blockedSinceMs = performance.now();
    }
    this.#known = known;
    return values;
  }

  #signedAt(name: string): SignedPlace | null {
    if (this.#signed === null) return null;
    const { kind, part } = this.#signed;
    return { place: `${kind}:${name}`, part };
  }
}
