import { SightlineError } from '../src/base/errors/sightline-error.ts';
import { adoptFetchedPackages } from '../src/base/process/fetched-packages.ts';
import type { FromChild } from '../src/frame/runtime/model/run-in-child.ts';

/** Time in which a job may remove what it has begun. */
const GRACE_MS = 500;

/**
 * Waits for the one job of this process, does it, answers and ends. If the parent is gone, it ends without an answer.
 *
 * @param run - ends early by its signal.
 */
export function answerOneJob<Job, Answer>(run: (job: Job, signal: AbortSignal) => Promise<Answer>): void {
  adoptFetchedPackages(process.argv[2]);
  const gone = new AbortController();
  const answer = (message: FromChild<Answer>): void => {
    if (!process.connected) process.exit(1);
    process.send!(message, () => process.exit(0));
  };
  // Without a listener, it opens Node's debugger.
  process.on('SIGUSR1', () => undefined);
  process.once('disconnect', () => {
    gone.abort();
    setTimeout(() => process.exit(1), GRACE_MS).unref();
  });
  process.once('message', (job: Job) => {
    run(job, gone.signal).then(
      (result) => answer({ type: 'done', answer: result }),
      (error: unknown) => answer({ type: 'failed', error: SightlineError.from(error, 'INTERNAL_ERROR').toWire() }),
    );
  });
}
