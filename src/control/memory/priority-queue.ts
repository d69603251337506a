/** Something that waits for its turn. */
export interface Prioritised {
  /** The smallest first. */
  readonly priority: number;
}

/** Waiting things by priority, and in the order in which they came among equals. Taking and adding cost next to nothing. */
export class PriorityQueue<T extends Prioritised> {
  readonly #bands = new Map<number, T[]>();
  /** Priorities in use, ascending. */
  #order: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(item: T): void {
    this.#band(item.priority).push(item);
    this.#size += 1;
  }

  /** Puts something before its equals: it was taken before and is given back. */
  putBack(item: T): void {
    this.#band(item.priority).unshift(item);
    this.#size += 1;
  }

  take(): T | null {
    const first = this.#order[0];
    if (first === undefined) return null;
    const band = this.#bands.get(first)!;
    const item = band.shift()!;
    this.#size -= 1;
    if (band.length === 0) this.#drop(first);
    return item;
  }

  removeWhere(isUnwanted: (item: T) => boolean): void {
    for (const [priority, band] of [...this.#bands]) {
      const kept = band.filter((item) => !isUnwanted(item));
      this.#size -= band.length - kept.length;
      if (kept.length === 0) this.#drop(priority);
      else this.#bands.set(priority, kept);
    }
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (const priority of this.#order) yield* this.#bands.get(priority)!;
  }

  #band(priority: number): T[] {
    let band = this.#bands.get(priority);
    if (band === undefined) {
      band = [];
      this.#bands.set(priority, band);
      this.#order = [...this.#order, priority].sort((a, b) => a - b);
    }
    return band;
  }

  #drop(priority: number): void {
    this.#bands.delete(priority);
    this.#order = this.#order.filter((other) => other !== priority);
  }
}
