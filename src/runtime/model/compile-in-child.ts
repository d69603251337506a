import type { CompileJob } from '../../compile/compile-job.ts';
import { runInChild } from './run-in-child.ts';

/**
 * Compiles in a process of its own: a compiler holds a network several times over and leaves a heap that never shrinks
 * (measured with CenterNet: 170 MB).
 *
 * @throws what the compiler throws, with its code; INTERNAL_ERROR if the process ends without an answer.
 */
export function compileInChild(job: CompileJob): Promise<void> {
  return runInChild('compile.process', job, `model ${job.source.spec.name}: the process that compiles it`);
}
