import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { readRecorded } from '../after/recording/read-recorded.ts';
import { groupsOf, iso } from '../after/recording/recorded-span.ts';
import { redact } from '../base/core/redact.ts';
import { writeWholeFile } from '../base/disk/replace-file.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { RECORDED_ENDING } from '../fleet/control/jobs/recorded-input.ts';
import { expandInputs } from '../frame/source/expand-inputs.ts';
import type { JobReport } from '../wire/protocol/fleet.ts';
import { DEFAULT_SEGMENT_S, type JobView } from '../wire/protocol/rest.ts';
import { type CliIo, note, show, wrongCommand } from './cli-io.ts';
import { isPicture, leftOut, leftOutTexts } from './detect-plan.ts';
import { addFlags, type FlagsOf, flagTable, given, recordedSpan, required } from './flag-values.ts';
import { FLEET_CLIENT_FLAGS, type OpenControl, openRedis, withFleet } from './fleet-access.ts';
import { ReportedFailure } from './interruption.ts';
import { deadLetterLines, jobText, timeLeft } from './job-tables.ts';
import { startProgress } from './progress.ts';
import { stagesForHosts } from './stages-flag.ts';

const FLAGS = flagTable({
  '--out <dir>': required('folder for the results, one JSONL file per input'),
  ...FLEET_CLIENT_FLAGS,
  '--recorded <stream>': 'a stream that a host has recorded',
  '--from <time>': 'of what is recorded: date and time of its beginning',
  '--to <time>': 'of what is recorded: date and time of its end',
  '--pipeline <name>': 'pipeline to run it (default: the only one that the hosts run)',
  '--model <name>': 'detector: the pipeline whose hosts run it',
  '--track': 'track objects from frame to frame',
  '--stages <file>': 'pipeline file whose second stages look at the objects, which are then tracked',
  '--every <n>': ['process every n-th frame', Number],
  '--parquet': 'write a Parquet file for each input too, with a row for each detection',
  '--segment-seconds <s>': [`length of the segments; 0 leaves files whole (default: ${DEFAULT_SEGMENT_S})`, Number],
  '--priority <n>': ['0 to 1000; jobs of higher priority run first', Number],
  '--id <id>': 'name of the job (default: generated)',
  '--wait': 'show progress and wait until the job ends',
});
type SubmitFlags = FlagsOf<typeof FLAGS>;

const HELP = `
Examples:
  sightline submit archive/ --out results/ --wait
  sightline submit "cam1/*.mkv" cam2.mp4 --out /shared/results --track --priority 10 --id night-3
  sightline submit archive/ --out results/ --stages cars.yaml --parquet
  sightline submit /shared/recordings --recorded door --from 2026-05-01T00:00:00Z --to 2026-06-01T00:00:00Z --out /shared/may

Jobs take videos; \`sightline detect\` reads pictures as well. Files are split at key frames, the hosts of the fleet infer the segments, and --out gets one JSONL file per input, the same as
\`sightline detect\` writes. Folders are read recursively. Hosts must see files and results under the same paths as this
machine, below their fleet.roots. The job continues after this command ends; \`sightline jobs ID\` shows its progress. With
--id the command can be repeated: the same job under the same id is submitted once.

With --stages each object gets what the second stages of a pipeline file say of it. The hosts must have their models under the same names or, below
their rollout.modelRoots, under the same paths.

With --recorded the input is the folder of recordings of a host, in which every host must see them. --out gets a list of recordings
and one JSONL file for each 24 hours.

With --wait the exit code is 0 if everything succeeded, and 1 if something failed for good, the job was cancelled, or Ctrl-C
ended the wait.`;

export function addSubmit(program: Command, io: CliIo, open: OpenControl = openRedis): void {
  const command = program
    .command('submit')
    .argument('<input...>', 'video files, folders, patterns; with --recorded a folder of recordings');
  addFlags(command, FLAGS)
    .addHelpText('after', HELP)
    .action((inputs: string[], flags: SubmitFlags) => submit(inputs, flags, io, open));
}

async function submit(inputs: readonly string[], flags: SubmitFlags, io: CliIo, open: OpenControl): Promise<void> {
  const { recorded: stream, from, to } = flags;
  if (stream === undefined && (from ?? to) !== undefined)
    throw wrongCommand('--from, --to: only valid with --recorded');
  const stages = flags.stages === undefined ? undefined : await stagesForHosts(flags.stages, io);
  const paths =
    stream === undefined ? await absolutePaths(inputs, io) : await listRecorded(inputs, { ...flags, stream }, io);
  const { pipeline, model, track, every, parquet, segmentSeconds, priority, id } = flags;
  const set = given({ pipeline, model, track, every, parquet, segmentSeconds, priority, id, stages });
  await withFleet(flags, io, open, async (desk) => {
    const order = await desk.submitJob({ inputs: paths, outDir: resolve(flags.out), ...set });
    note(io, `job ${order.id}: ${paths.length} files for pipeline ${order.pipeline}, results in ${order.outDir}`);
    if (flags.wait === true) await waitForJob(async () => (await desk.job(order.id)).report, io);
    const job = await desk.job(order.id);
    const follow = `sightline jobs ${order.id} shows its progress`;
    show(io, flags, job, () => (flags.wait === true ? jobText(job) : follow));
    if (flags.wait === true) requireDone(job, io);
  });
}

/** A list of recordings has the files of so long, from its first one on; each has results of its own. */
const DAY_US = 86_400e6;

/** Writes lists of what is recorded in a time beside the results. @returns their paths. @throws COMMAND_INVALID, RECORDING_*, SINK_FAILED */
async function listRecorded(
  folders: readonly string[],
  { stream, ...flags }: SubmitFlags & { readonly stream: string },
  io: CliIo,
): Promise<string[]> {
  const span = recordedSpan(folders, flags);
  const { parts, gaps } = await readRecorded(resolve(folders[0]!), stream, span);
  for (const gap of gaps) note(io, `gap ${iso(gap.fromMs)} to ${iso(gap.toMs)}: ${gap.reason}`);
  const out = resolve(flags.out);
  try {
    await mkdir(out, { recursive: true });
    const lists = parts.flatMap((part) => groupsOf(part.files, DAY_US).map((files) => ({ ...part, files })));
    return await Promise.all(
      lists.map(async (list) => {
        const began = iso(list.files[0]!.startMs).replaceAll(/[-:]|\.\d+/g, '');
        const path = join(out, `${stream}-${began}${RECORDED_ENDING}`);
        await writeWholeFile(path, JSON.stringify(list));
        return path;
      }),
    );
  } catch (error) {
    throw new SightlineError('SINK_FAILED', `--out: ${out} cannot be written: ${(error as Error).message}`);
  }
}

/** Expands inputs to absolute paths: a relative path has another meaning on each host. @throws SOURCE_*, COMMAND_INVALID */
async function absolutePaths(inputs: readonly string[], io: CliIo): Promise<string[]> {
  const { skipped, special, onLeftOut } = leftOut();
  const paths = await expandInputs(inputs, { onLeftOut }).finally(() => {
    for (const text of leftOutTexts({ skipped, special }, 'no video')) note(io, text);
  });
  for (const path of paths) {
    if (await isPicture(path))
      throw wrongCommand(`input "${path}": expected a video, received a picture; \`sightline detect\` reads pictures`);
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path)) {
      const message = `input "${redact(path)}": expected a file, received a URL. Add live sources with \`sightline streams add\``;
      throw wrongCommand(message);
    }
    if (existsSync(path)) continue;
    if (!isAbsolute(path)) throw new SightlineError('SOURCE_NOT_FOUND', `${path}: no such file`, { path });
    note(io, `warning: ${path} is not on this machine; the hosts must have it at this path`);
  }
  return paths.map((path) => resolve(path));
}

function requireDone({ report, deadLetters }: JobView, io: CliIo): void {
  if (report.state === 'done') return;
  const isOver = report.finishedMs !== null;
  note(io, isOver ? `error: job ${report.id}: ${report.state}` : `job ${report.id} continues without this command`);
  for (const line of deadLetterLines(deadLetters)) note(io, line);
  throw new ReportedFailure({ message: `job ${report.id}: ${report.state}`, exitCode: 1 });
}

const POLL_MS = 500;

/**
 * Shows the progress of a job until it is done, failed or cancelled. Keeps polling through an outage of Redis or the
 * gateway, since the job continues without this process.
 *
 * @param read - fetches the report of the job.
 * @returns the last report; its state is none of the three if the user stopped waiting.
 * @throws JOB_NOT_FOUND
 */
async function waitForJob(read: () => Promise<JobReport>, io: CliIo): Promise<JobReport> {
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
