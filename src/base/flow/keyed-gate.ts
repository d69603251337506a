interface Gate {
  readonly underWay: Set<Promise<unknown>>;
  alone: Promise<unknown>;
  users: number;
}

/**
 * Lets many operations with the same key run at once, or one alone: that one waits for those under way, and later ones wait for
 * it. Other keys do not wait.
 */
export class KeyedGate {
  readonly #gates = new Map<string, Gate>();

  /** Runs an operation beside others of its kind. */
  pass<T>(key: string, operation: () => Promise<T>): Promise<T> {
    return this.#use(key, async (gate) => {
      for (let waitedFor: Promise<unknown> | null = null; waitedFor !== gate.alone; ) {
        waitedFor = gate.alone;
        await waitedFor;
      }
      const result = operation();
      gate.underWay.add(result);
      try {
        return await result;
      } finally {
        gate.underWay.delete(result);
      }
    });
  }

  /** Runs an operation while no other one with the key runs. A failed operation does not stop the ones behind it. */
  alone<T>(key: string, operation: () => Promise<T>): Promise<T> {
    return this.#use(key, (gate) => {
      const result = gate.alone.then(async () => {
        await Promise.allSettled(gate.underWay);
        return operation();
      });
      gate.alone = result.catch(() => undefined);
      return result;
    });
  }

  /** Number of keys with an operation that has not ended. */
  get size(): number {
    return this.#gates.size;
  }

  async #use<T>(key: string, run: (gate: Gate) => Promise<T>): Promise<T> {
    const gate = this.#gates.get(key) ?? { underWay: new Set(), alone: Promise.resolve(), users: 0 };
    this.#gates.set(key, gate);
    gate.users += 1;
    try {
      return await run(gate);
    } finally {
      gate.users -= 1;
      if (gate.users === 0) this.#gates.delete(key);
    }
  }
}
