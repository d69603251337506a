/**
 * Knows the highest fence of each stream. A host that was cut off goes on publishing for a moment while another already
 * runs its stream: what carries a lower fence than was seen is from the past, and is dropped and counted.
 */
export class FenceWatch {
  readonly #highest = new Map<string, number>();
  #staleCount = 0;

  get staleCount(): number {
    return this.#staleCount;
  }

  /** Says whether a message of a stream is of its present holder or a newer one. One without a fence is of nobody. */
  admits(streamId: string, fence: number | null): boolean {
    if (fence === null || fence < this.highest(streamId)) {
      this.#staleCount += 1;
      return false;
    }
    this.raise(streamId, fence);
    return true;
  }

  /** A lease was seen in the control plane, before its holder said a word. */
  raise(streamId: string, fence: number): void {
    if (fence > this.highest(streamId)) this.#highest.set(streamId, fence);
  }

  /** 0 where nothing was seen. */
  highest(streamId: string): number {
    return this.#highest.get(streamId) ?? 0;
  }

  /** Forgets the streams that are gone. */
  keepOnly(streamIds: ReadonlySet<string>): void {
    for (const id of this.#highest.keys()) if (!streamIds.has(id)) this.#highest.delete(id);
  }
}
