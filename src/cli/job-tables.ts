import type { ControlPlane } from '../fleet/control/control-plane.ts';
import type { DeadLetter, JobReport } from '../wire/protocol/fleet.ts';
import type { JobView } from '../wire/protocol/rest.ts';
import { table } from './cli-io.ts';

const MAX_LISTED = 20;

/** Returns a job as a gateway shows it. @throws JOB_NOT_FOUND */
export async function jobDocument(control: ControlPlane, id: string): Promise<JobView> {
  const { report, order, deadLetters } = await control.tasks.job(id);
  const { inputs: _, ...rest } = order;
  return { report, order: rest, deadLetters };
}

export function jobsTable(jobs: readonly JobReport[]): string {
  if (jobs.length === 0) return 'No jobs. `sightline submit` creates one.';
  const head = ['job', 'state', 'done', 'files', 'segments', 'frames', 'left', 'failed', 'pipeline', 'results'];
  const rows = jobs.map((job) => [
    job.id,
    job.state,
    `${Math.floor(100 * job.progressRatio)} %`,
    `${job.filesDone}/${job.inputs}`,
    `${job.segmentsDone}/${job.segments}`,
    `${job.frames}`,
    timeLeft(job),
    `${job.deadLetters}`,
    job.pipeline,
    job.outDir,
  ]);
  return table([head, ...rows]);
}

/** One job with its failed tasks and their reasons. */
export function jobText({ report, deadLetters }: JobView): string {
  const parts = [jobsTable([report])];
  if (deadLetters.length > 0) {
    parts.push('', 'Failed for good (`--retry` queues them again):', ...deadLetterLines(deadLetters));
  }
  return parts.join('\n');
}

export function deadLetterLines(letters: readonly DeadLetter[]): string[] {
  const lines = letters
    .slice(0, MAX_LISTED)
    .map(({ kind, input, reason, attempts }) => `  ${kind} of ${input}, ${attempts} attempts: ${reason}`);
  const more = letters.length - lines.length;
  return more > 0 ? [...lines, `  and ${more} more (--json lists all)`] : lines;
}

/** Formats the estimated time left; `-` if there is no estimate. */
export function timeLeft({ state, secondsLeft }: JobReport): string {
  if (state !== 'running' || secondsLeft === null) return '-';
  const minutes = Math.floor(secondsLeft / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${Math.floor(secondsLeft % 60)} s` : `${Math.ceil(secondsLeft)} s`;
}
