import { createRequire } from 'node:module';

/**
 * Returns memory that loading and warming an engine has freed to the system, which glibc would keep: with CenterNet on two
 * threads 420 of 780 MB for OpenVINO, 150 of 480 MB for ONNX Runtime.
 *
 * Does nothing on other systems, with another C library, or without the optional package that calls C.
 */
export function trimMemory(): void {
  if (process.platform !== 'linux') return;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    koffi.load('libc.so.6').func('malloc_trim', 'int', ['size_t'])(0);
  } catch {
    // Only the memory is not returned.
  }
}
