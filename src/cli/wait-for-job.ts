import { setTimeout as sleep } from 'node:timers/promises';
import { SightlineError } from '../errors/sightline-error.ts';
import type { JobReport } from '../protocol/fleet.ts';
import { type CliIo, note } from './cli-io.ts';
import { timeLeft } from './job-tables.ts';
import { startProgress } from './progress.ts';

const POLL_MS = 500;

/**
 * Shows the progress of a job until it is done, failed or cancelled. Keeps polling through an outage of Redis or the
 * gateway, since the job continues without this process.
 *
 * @param read - fetches the report of the job.
 * @returns the last report; its state is none of the three if the user stopped waiting.
 * @throws JOB_NOT_FOUND
 */
export async function waitForJob(read: () => Promise<JobReport>, io: CliIo): Promise<JobReport> {
  const progress = startProgress(io, 'segments', { ownEstimate: true });
  let isUnreachable = false;
  try {
    for (;;) {
      try {
        const report = await read();
        isUnreachable = false;
        progress.update(report.progressRatio, 1, progressText(report));
        if (report.finishedMs !== null || io.stop.aborted) return report;
      } catch (thrown) {
        if (!(thrown instanceof SightlineError) || !thrown.isRetryable || io.stop.aborted) throw thrown;
        if (!isUnreachable) note(io, `warning: ${thrown.message}; the job continues, still polling`);
        isUnreachable = true;
      }
      // It ends at once when the user stops.
      await sleep(POLL_MS, undefined, { signal: io.stop }).catch(() => undefined);
    }
  } finally {
    progress.stop();
  }
}

function progressText(report: JobReport): string {
  const { state, filesDone, inputs, frames, deadLetters } = report;
  const failed = deadLetters === 0 ? '' : `, ${deadLetters} failed`;
  const left = timeLeft(report);
  return `${state}, ${filesDone}/${inputs} files, ${frames} frames${failed} | ${left === '-' ? 'time left unknown' : `${left} left`}`;
}
