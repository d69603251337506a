/** Blocks kept of each size. More streams than this seldom come or go at once. */
const KEPT = 8;

const kept = new Map<number, SharedArrayBuffer[]>();

/**
 * Takes shared memory for a ring, all zero in its first `headBytes`; what lies behind may hold old pictures.
 *
 * A thread lets go of shared memory only at its next garbage collection, and lanes and inference threads allocate so little
 * that this can take long: 1000 streams that came and went left 400 MB behind. So memory of rings that are over is used
 * again.
 */
export function takeRingMemory(bytes: number, headBytes: number): SharedArrayBuffer {
  const memory = kept.get(bytes)?.pop();
  if (memory === undefined) return new SharedArrayBuffer(bytes);
  new Uint8Array(memory, 0, headBytes).fill(0);
  return memory;
}

/** Gives memory back that no thread touches any more. */
export function giveRingMemory(memory: SharedArrayBuffer): void {
  const blocks = kept.get(memory.byteLength) ?? [];
  kept.set(memory.byteLength, blocks);
  if (blocks.length < KEPT) blocks.push(memory);
}
