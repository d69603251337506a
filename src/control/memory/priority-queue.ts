export interface Prioritised {
  /** The smallest is taken first. */
  readonly priority: number;
}

/** A queue ordered by priority; first in, first out among equals. Few priorities are in use, so adding and taking are cheap. */
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

  /** Returns a taken item to the front of its priority. */
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
