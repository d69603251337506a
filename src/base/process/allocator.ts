import { createRequire } from 'node:module';

/** Numbers of `mallopt` in glibc's malloc.h. */
const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;
/** Larger than a picture at model size, so that the path of a frame maps no memory; smaller than what engines allocate. */
const MAPPED_BYTES = 4 * 2 ** 20;

/**
 * Makes the C library keep less memory that nobody uses: two pools for all threads instead of eight for each core, and what an
 * engine allocates in large pieces goes back to the system when it is freed. Call it before threads start (ADR 53).
 *
 * For a process of its own, not for a library: it holds for the whole process. Does nothing where `trimMemory` does nothing.
 */
export function limitPools(): void {
  const mallopt = libraryCall('mallopt', 'int', ['int', 'int']);
  mallopt?.(M_ARENA_MAX, 2);
  mallopt?.(M_MMAP_THRESHOLD, MAPPED_BYTES);
}

/**
 * Returns memory that loading and warming an engine has freed to the system, which glibc would keep: with CenterNet on two
 * threads 420 of 780 MB for OpenVINO, 150 of 480 MB for ONNX Runtime.
 *
 * Does nothing on other systems, with another C library, or without the optional package that calls C.
 */
export function trimMemory(): void {
  libraryCall('malloc_trim', 'int', ['size_t'])?.(0);
}

/** Returns a function of glibc; null on other systems, with another C library, or without the optional package that calls C. */
export function libraryCall(
  name: string,
  result: string,
  parameters: readonly string[],
): ((...values: (number | string)[]) => unknown) | null {
  if (process.platform !== 'linux') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    return koffi.load('libc.so.6').func(name, result, [...parameters]) as (...values: (number | string)[]) => unknown;
  } catch {
    return null;
  }
}
