import { fork } from 'node:child_process';
import type { FromCompile, ToCompile } from '../../compile/compile-messages.ts';
import type { CompileJob } from '../../compile/write-artefact.ts';
import { workerEntry } from '../../core/worker-entry.ts';
import { SightlineError } from '../../errors/sightline-error.ts';

/** Last lines of a process that died, for the message. */
const LOG_CHARACTERS = 2_000;

/**
 * Compiles in a process of its own. A compiler holds a network several times over and leaves a heap that never shrinks; a
 * process that ends gives all of it back, which a service that runs for months would otherwise keep. (Measured with CenterNet:
 * 170 MB.) The process ends with this one.
 *
 * Throws what the compiler throws, with its code, and INTERNAL_ERROR where the process ends without an answer.
 */
export function compileInChild(job: CompileJob): Promise<void> {
  const child = fork(workerEntry('compile.process'), [], { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let log = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-LOG_CHARACTERS);
  });
  return new Promise<void>((resolve, reject) => {
    let answered: FromCompile | null = null;
    child.once('message', (message: FromCompile) => {
      answered = message;
    });
    child.once('error', (error) => reject(died(job, error.message)));
    child.once('close', (code, signal) => {
      if (answered === null) reject(died(job, `${signal ?? `exit code ${code}`} ${log}`));
      else if (answered.type === 'failed') reject(SightlineError.fromWire(answered.error));
      else resolve();
    });
    // A process that is gone already is told of by 'close'.
    child.send({ type: 'compile', job } satisfies ToCompile, () => undefined);
  });
}

function died({ source }: CompileJob, how: string): SightlineError {
  const message = `model ${source.spec.name}: the process that compiles it ended: ${how.trim()}`;
  return new SightlineError('INTERNAL_ERROR', message, { model: source.spec.name });
}
