/** Blocks kept per size. More streams than this are rarely added or removed at once. */
const MAX_KEPT = 8;

const kept = new Map<number, SharedArrayBuffer[]>();

/**
 * Takes shared memory for a ring. The first `headBytes` are zero; the rest may hold old pictures.
 *
 * A thread frees shared memory only at its next garbage collection, and lanes and inference threads allocate so little
 * that this can take long: 1000 streams that were added and removed left 400 MB behind. So the memory of retired rings
 * is reused.
 */
export function takeRingMemory(bytes: number, headBytes: number): SharedArrayBuffer {
  const memory = kept.get(bytes)?.pop();
  if (memory === undefined) return new SharedArrayBuffer(bytes);
  new Uint8Array(memory, 0, headBytes).fill(0);
  return memory;
}

/** Returns memory for reuse; no thread may touch it any more. */
export function releaseRingMemory(memory: SharedArrayBuffer): void {
  const blocks = kept.get(memory.byteLength) ?? [];
  kept.set(memory.byteLength, blocks);
  if (blocks.length < MAX_KEPT) blocks.push(memory);
}
