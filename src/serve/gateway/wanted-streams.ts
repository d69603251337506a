/** The union of the streams that clients want for one topic. */
export class WantedStreams {
  readonly #onChange: (streamIds: ReadonlySet<string>) => void;
  readonly #known: () => readonly string[];
  #wanted: ReadonlySet<string> = new Set();

  /**
   * @param known - ids of the streams that exist, for clients that want all.
   * @param onChange - is called with the union whenever it changes.
   */
  constructor(known: () => readonly string[], onChange: (streamIds: ReadonlySet<string>) => void) {
    this.#known = known;
    this.#onChange = onChange;
  }

  has(streamId: string): boolean {
    return this.#wanted.has(streamId);
  }

  /** @param requests - one per client; null for a client that is not subscribed to the topic. */
  update(requests: readonly ('all' | ReadonlySet<string> | null)[]): void {
    const wanted = new Set<string>();
    for (const request of requests) {
      if (request === null) continue;
      for (const id of request === 'all' ? this.#known() : request) wanted.add(id);
    }
    if (isSame(wanted, this.#wanted)) return;
    this.#wanted = wanted;
    this.#onChange(wanted);
  }
}

function isSame(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  return left.size === right.size && [...left].every((id) => right.has(id));
}
