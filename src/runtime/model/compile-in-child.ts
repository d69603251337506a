import { fork } from 'node:child_process';
import type { FromCompile, ToCompile } from '../../compile/compile-messages.ts';
import type { CompileJob } from '../../compile/write-artefact.ts';
import { workerEntry } from '../../core/worker-entry.ts';
import { SightlineError } from '../../errors/sightline-error.ts';

/** Length of the end of a failed process's log that goes into the message. */
const LOG_CHARACTERS = 2_000;

/**
 * Compiles in a child process. The compiler holds several copies of a network and leaves a heap that never shrinks (170
 * MB with CenterNet), which a long-running service would keep; the memory of a child is freed when it ends. The child
 * ends with this process.
 *
 * Throws what the compiler throws, with its code; INTERNAL_ERROR if the process ends without an answer.
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
    child.once('error', (error) => reject(processDied(job, error.message)));
    child.once('close', (code, signal) => {
      if (answered === null) reject(processDied(job, `${signal ?? `exit code ${code}`} ${log}`));
      else if (answered.type === 'failed') reject(SightlineError.fromWire(answered.error));
      else resolve();
    });
    // If the process has already ended, 'close' reports it.
    child.send({ type: 'compile', job } satisfies ToCompile, () => undefined);
  });
}

function processDied({ source }: CompileJob, how: string): SightlineError {
  const message = `model ${source.spec.name}: the process that compiles it ended: ${how.trim()}`;
  return new SightlineError('INTERNAL_ERROR', message, { model: source.spec.name });
}
