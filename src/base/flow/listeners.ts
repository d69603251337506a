import { Incidents } from './incidents.ts';

/**
 * Functions that are called with each value of one kind. `emit` never throws: an exception of one listener is counted,
 * and the others still get the value.
 */
export class Listeners<T> {
  readonly #place: string;
  readonly #incidents: Incidents;
  readonly #listeners = new Set<(value: T) => unknown>();

  /**
   * @param place - names the values in the exception counts: `results`, `bus messages`.
   * @param incidents - counts and reports the exceptions of listeners.
   */
  constructor(place = 'values', incidents: Incidents = new Incidents()) {
    this.#place = `a listener to ${place}`;
    this.#incidents = incidents;
  }

  /** @returns a function that removes the listener. */
  add(listener: (value: T) => unknown): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(value: T): void {
    for (const listener of this.#listeners) {
      // On the path of every frame, so no closure as `Incidents.run` would need.
      try {
        const result = listener(value);
        if (result instanceof Promise) result.catch((error: unknown) => this.#incidents.catch(this.#place, error));
      } catch (error) {
        this.#incidents.catch(this.#place, error);
      }
    }
  }

  get size(): number {
    return this.#listeners.size;
  }
}
