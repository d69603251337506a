/** What the clients together want of one topic. */
export class WantedStreams {
  readonly #tell: (streamIds: ReadonlySet<string>) => void;
  readonly #known: () => readonly string[];
  #wanted: ReadonlySet<string> = new Set();

  /**
   * @param known - ids of the streams that exist, for clients that want all.
   * @param tell - hears the union whenever it has changed.
   */
  constructor(known: () => readonly string[], tell: (streamIds: ReadonlySet<string>) => void) {
    this.#known = known;
    this.#tell = tell;
  }

  has(streamId: string): boolean {
    return this.#wanted.has(streamId);
  }

  /** @param wishes - one for each client; null is a client that does not have the topic. */
  update(wishes: readonly ('all' | ReadonlySet<string> | null)[]): void {
    const wanted = new Set<string>();
    for (const wish of wishes) {
      if (wish === null) continue;
      for (const id of wish === 'all' ? this.#known() : wish) wanted.add(id);
    }
    if (isSame(wanted, this.#wanted)) return;
    this.#wanted = wanted;
    this.#tell(wanted);
  }
}

function isSame(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  return left.size === right.size && [...left].every((id) => right.has(id));
}
