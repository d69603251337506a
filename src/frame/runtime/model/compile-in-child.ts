import type { CompileJob } from '../../../network/compile/compile-job.ts';
import { runInChild } from './run-in-child.ts';

/** It reads files of strangers and needs no variable. */
const NO_ENVIRONMENT = {};

/**
 * Compiles in a process of its own: a compiler holds a network several times over and leaves a heap that never shrinks
 * (measured with CenterNet: 170 MB).
 *
 * @throws what the compiler throws, with its code; INTERNAL_ERROR if the process ends without an answer; the reason of the signal.
 */
export function compileInChild(job: CompileJob, signal?: AbortSignal): Promise<void> {
  const what = `model ${job.source.spec.name}: the process that compiles it`;
  return runInChild('compile.process', job, what, { environment: NO_ENVIRONMENT, signal });
}
