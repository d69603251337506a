import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import type { Command } from 'commander';
import { DEFAULT_SEGMENT_S, JobOrders } from '../control/orders/job-orders.ts';
import { redact } from '../core/redact.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { expandInputs } from '../source/expand-inputs.ts';
import { type CliIo, note, print, printJson } from './cli-io.ts';
import { addFleetFlag, type FleetFlags, type OpenControl, openRedis, withFleet } from './fleet-access.ts';
import { deadLetterLines, jobDocument, jobText } from './job-tables.ts';
import { ReportedFailure } from './reported-failure.ts';
import { waitForJob } from './wait-for-job.ts';

interface SubmitFlags extends FleetFlags {
  readonly out: string;
  readonly pipeline?: string;
  readonly track?: boolean;
  readonly every?: number;
  readonly segmentSeconds?: number;
  readonly priority?: number;
  readonly id?: string;
  readonly wait?: boolean;
  readonly json?: boolean;
}

const HELP = `
Examples:
  sightline submit archive/ --out results/ --wait
  sightline submit "cam1/*.mkv" cam2.mp4 --out /shared/results --track --priority 10 --id night-3

Files are split at key frames, the hosts of the fleet do the parts, and --out gets one JSONL file for each input, the same as
\`sightline detect\` writes. Folders are read to any depth. Hosts must see files and results under the same paths as this
machine, below their fleet.roots. The job goes on when this command ends; \`sightline jobs ID\` shows how far it is. With --id
the command can be repeated: the same job under the same id is one job.

With --wait the exit code is 0 when all is done and 1 when something failed for good, the job was cancelled, or Ctrl-C
ended the waiting.`;

export function addSubmit(program: Command, io: CliIo, open: OpenControl = openRedis): void {
  const command = program
    .command('submit')
    .description('give files to the fleet: bulk detection on many hosts')
    .argument('<input...>', 'video files, folders, patterns')
    .requiredOption('--out <dir>', 'folder that gets one JSONL file for each input');
  addFleetFlag(command)
    .option('--pipeline <name>', 'pipeline that does it; the only one that the hosts run where absent')
    .option('--track', 'follow objects from frame to frame')
    .option('--every <n>', 'take every n-th frame', Number)
    .option(
      '--segment-seconds <s>',
      `length of the parts; 0 leaves files whole, ${DEFAULT_SEGMENT_S} where absent`,
      Number,
    )
    .option('--priority <n>', '0 to 1000; higher goes first among jobs', Number)
    .option('--id <id>', 'name of the job; made up where absent')
    .option('--wait', 'show the progress and end when the job ends')
    .option('--json', 'one JSON document on standard output')
    .addHelpText('after', HELP)
    .action((inputs: string[], flags: SubmitFlags) => submit(inputs, flags, io, open));
}

async function submit(inputs: readonly string[], flags: SubmitFlags, io: CliIo, open: OpenControl): Promise<void> {
  const paths = await absolutePaths(inputs, io);
  const { pipeline, track, every, segmentSeconds, priority, id } = flags;
  const given = { pipeline, track, every, segmentSeconds, priority, id };
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  await withFleet(flags, io, open, async (control) => {
    const orders = new JobOrders({ control, pipeline: null, admit: () => {} });
    const order = await orders.submit({ inputs: paths, outDir: resolve(flags.out), ...set }, 'job');
    note(io, `job ${order.id}: ${paths.length} files for pipeline ${order.pipeline}, results in ${order.outDir}`);
    if (flags.wait === true) await waitForJob(control, order.id, io);
    const job = await jobDocument(control, order.id);
    if (flags.json === true) printJson(io, job);
    else if (flags.wait === true) print(io, jobText(job));
    else print(io, `sightline jobs ${order.id} shows how far it is`);
    if (flags.wait === true) requireDone(job, io);
  });
}

/** Where hosts look for them: relative paths would mean something else on each. @throws SOURCE_* , COMMAND_INVALID */
async function absolutePaths(inputs: readonly string[], io: CliIo): Promise<string[]> {
  const paths = await expandInputs(inputs);
  for (const path of paths) {
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path)) {
      const message = `input "${redact(path)}": expected a file, received a URL. Live sources go to the fleet by \`sightline streams add\``;
      throw new SightlineError('COMMAND_INVALID', message);
    }
    if (existsSync(path)) continue;
    if (!isAbsolute(path)) throw new SightlineError('SOURCE_NOT_FOUND', `${path}: no such file`, { path });
    note(io, `warning: ${path} is not on this machine; it is taken as the hosts see it`);
  }
  return paths.map((path) => resolve(path));
}

function requireDone({ report, deadLetters }: Awaited<ReturnType<typeof jobDocument>>, io: CliIo): void {
  if (report.state === 'done') return;
  const isOver = report.finishedMs !== null;
  note(io, isOver ? `error: job ${report.id}: ${report.state}` : `job ${report.id} goes on without this command`);
  for (const line of deadLetterLines(deadLetters)) note(io, line);
  throw new ReportedFailure({ message: `job ${report.id}: ${report.state}`, exitCode: 1 });
}
