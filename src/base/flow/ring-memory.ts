/** Blocks kept per size. More streams than this are rarely added or removed at once. */
const MAX_KEPT = 8;
/** Limit of all kept blocks together; a `detect` over files of many sizes would otherwise keep 8 blocks of each. */
const MAX_KEPT_BYTES = 256 * 2 ** 20;

/** By size; the one that was used least recently is first. */
const kept = new Map<number, SharedArrayBuffer[]>();
let keptBytes = 0;

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
  keptBytes -= bytes;
  new Uint8Array(memory, 0, headBytes).fill(0);
  return memory;
}

/** Returns memory for reuse; no thread may touch it any more. */
export function releaseRingMemory(memory: SharedArrayBuffer): void {
  const { byteLength } = memory;
  const blocks = kept.get(byteLength) ?? [];
  kept.delete(byteLength);
  kept.set(byteLength, blocks);
  if (blocks.length >= MAX_KEPT) return;
  blocks.push(memory);
  keptBytes += byteLength;
  for (const [bytes, oldest] of kept) {
    while (keptBytes > MAX_KEPT_BYTES && oldest.pop() !== undefined) keptBytes -= bytes;
    if (oldest.length === 0) kept.delete(bytes);
    if (keptBytes <= MAX_KEPT_BYTES) return;
  }
}

/** Bytes kept for reuse. */
export function keptRingBytes(): number {
  return keptBytes;
}
