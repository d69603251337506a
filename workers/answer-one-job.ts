import { SightlineError } from '../src/errors/sightline-error.ts';
import { adoptFetchedPackages } from '../src/process/fetched-packages.ts';
import type { FromChild } from '../src/runtime/model/run-in-child.ts';

/** Waits for the one job of this process, does it, answers and ends. Ends without an answer if the parent is gone. */
export function answerOneJob<Job, Answer>(run: (job: Job) => Promise<Answer>): void {
  adoptFetchedPackages(process.argv[2]);
  const answer = (message: FromChild<Answer>): void => {
    process.send!(message, () => process.exit(0));
  };
  // Without a listener, it opens Node's debugger.
  process.on('SIGUSR1', () => undefined);
  process.once('disconnect', () => process.exit(1));
  process.once('message', (job: Job) => {
    run(job).then(
      (result) => answer({ type: 'done', answer: result }),
      (error: unknown) => answer({ type: 'failed', error: SightlineError.from(error, 'INTERNAL_ERROR').toWire() }),
    );
  });
}
