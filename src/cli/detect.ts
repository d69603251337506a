import type { Command } from 'commander';
import { openFfmpeg } from '../frame/decode/ffmpeg-binary.ts';
import { batchConfig } from '../settings/config/batch.ts';
import { check } from '../settings/config/check.ts';
import { type CliIo, note, wrongCommand } from './cli-io.ts';
import { decoderConfigOf } from './decoder-flags.ts';
import {
  DETECT_FLAGS,
  type DetectFlags,
  type DetectPlan,
  defaultJobs,
  detectStream,
  planDetect,
} from './detect-plan.ts';
import { addFlags } from './flag-values.ts';
import { modelConfigOf } from './model-flags.ts';

const HELP = `
Examples:
  sightline detect clip.mp4 --out results.jsonl
  sightline detect recordings/ "more/*.mkv" --model yolox-nano --track --out all.jsonl
  sightline detect recordings/ --out results/ --classes person,car     one file for each input
  sightline detect recordings/ --out results/ --resume                 go on after an interruption
  sightline detect recordings/ --out results/ --dry-run                what would be done
  sightline detect clip.mp4 --out results.jsonl --out results.csv
  sightline detect photos/ --yolo labels/ --video boxes/               a label file, and a picture with boxes, for each
  sightline detect clip.mp4 --video annotated.mp4
  sightline detect yard.mp4 --skip-unchanged --track-between auto --out yard.jsonl    infer only what is new
  sightline detect archive/ --decode key --out index.jsonl                 one frame every few seconds, fast
  sightline detect street.mp4 --tiles 3x2 --out small-objects.jsonl
  sightline detect gate.mp4 --stages gate.yaml --out cars.csv              with a column for each attribute

Every frame of every input that is decoded gets one line; in CSV, every detection. Folders are read recursively, videos and pictures; files of other
kinds are counted and left out. If an input cannot be read, the command reports it, processes the others and ends with exit code 1.

Results are written to NAME.partial.EXT (follow them with tail -f) and replace an earlier file at the end. If the command is
interrupted or fails, what there is stays in NAME.partial.EXT and the earlier file as it is. Exit code after Ctrl-C: 130. The same
command with --resume then goes on where it stopped, and does nothing if all is done. docs/batch.md has the formats and the limits.`;

export function addDetect(program: Command, io: CliIo): void {
  const command = program
    .command('detect')
    .argument('<input...>', 'videos, pictures, folders, patterns, http(s):// or rtsp://');
  addFlags(command, DETECT_FLAGS)
    .addHelpText('after', HELP)
    .action((inputs: string[], flags: DetectFlags) => detect(inputs, flags, io));
}

async function detect(inputs: readonly string[], flags: DetectFlags, io: CliIo): Promise<void> {
  if (flags.json === true && flags.out?.includes('-') === true)
    throw wrongCommand('--json and --out - both write to standard output: choose one');
  const options = {
    model: modelConfigOf(flags),
    decoder: decoderConfigOf(flags),
    batch: check(batchConfig, {}, 'batch'),
  };
  const plan = await planDetect(inputs, flags);
  const jobs = jobsOf(flags, plan);
  for (const { path } of plan.sources) detectStream('input', path, flags);
  const onNotice = (text: string): void => note(io, text);
  const opening = { ...options, environment: io.environment, onNotice, signal: io.stop };
  if (flags.dryRun === true) return (await import('./detect-dry-run.ts')).dryRun(plan, flags, opening, io);
  // Starting it takes as long as loading what follows, in processes of its own.
  const ffmpeg = openFfmpeg(io.environment, onNotice, options.decoder);
  ffmpeg.catch(() => undefined);
  const { runDetect } = await import('./detect-job.ts');
  // What it tries has a temporary folder, which a command that is refused meanwhile must not leave.
  await runDetect({ plan, jobs, flags, opening, ffmpeg, io }).finally(() => ffmpeg.catch(() => undefined));
}

/** @throws COMMAND_INVALID */
function jobsOf({ jobs, resume }: DetectFlags, { outputs, sources }: DetectPlan): number {
  if (outputs.resumeFolder !== null) return Math.min(jobs ?? defaultJobs(), sources.length);
  const hasOutput = outputs.places.length > 0;
  if (resume === true)
    throw wrongCommand(
      hasOutput
        ? '--resume: output to a pipe or a device cannot be continued; name files'
        : '--resume: there is no output to continue; name one, as in --out results.jsonl',
    );
  // Results that come before their turn are not kept anywhere.
  if (hasOutput && jobs !== undefined && jobs > 1)
    throw wrongCommand(`--jobs ${jobs}: a pipe takes one file at a time; leave --jobs out`);
  return hasOutput ? 1 : (jobs ?? defaultJobs());
}
