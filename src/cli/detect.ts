import { type Command, Option } from 'commander';
import { batchConfig } from '../config/batch.ts';
import { check } from '../config/check.ts';
import { previewConfig } from '../config/gateway.ts';
import { FREE_ACCESS } from '../core/source.ts';
import { readAuthorities } from '../disk/read-authorities.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { openRuntime } from '../runtime/open-runtime.ts';
import { ResultSinks } from '../runtime/results/result-sinks.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { type CliIo, note, print, printJson } from './cli-io.ts';
import { addDecoderFlags, decoderConfigOf } from './decoder-flags.ts';
import { detectStream } from './detect-input.ts';
import { DetectOutputs, lockPlan, pathsWritten } from './detect-outputs.ts';
import { type DetectFlags, type DetectPlan, planDetect, RESULT_FORMATS } from './detect-plan.ts';
import { conditionsOf, ResumeFolder } from './detect-resume.ts';
import { defaultJobs, detectAll } from './detect-run.ts';
import { interruptedCode } from './interruption.ts';
import type { InputSummary, ItemSummary } from './item-results.ts';
import { addEngineFlags, addModelFlag, modelConfigOf } from './model-flags.ts';
import { startProgress } from './progress.ts';
import { ReportedFailure } from './reported-failure.ts';
import { table } from './table.ts';
import { TotalProgress } from './total-progress.ts';
import { addRegionFlag, addTilesFlag } from './view-flags.ts';

const HELP = `
Examples:
  sightline detect clip.mp4 --out results.jsonl
  sightline detect recordings/ "more/*.mkv" --model yolox-nano --track --out all.jsonl
  sightline detect recordings/ --out results/ --classes person,car     one file for each input
  sightline detect recordings/ --out results/ --resume                 go on after an interruption
  sightline detect recordings/ --out results/ --dry-run                what would be done
  sightline detect clip.mp4 --out results.csv
  sightline detect photos/ --yolo labels/ --video boxes/               a label file, and a picture with boxes, for each
  sightline detect clip.mp4 --video annotated.mp4
  sightline detect yard.mp4 --skip-unchanged --track-between auto --out yard.jsonl    infer only what is new
  sightline detect street.mp4 --tiles 3x2 --out small-objects.jsonl

Every frame of every input gets one line; in CSV, every detection. Folders are read recursively, videos and pictures; files of other
kinds are counted and left out. If an input cannot be read, the command reports it, processes the others and ends with exit code 1.

Results are written to NAME.partial.EXT (follow them with tail -f) and replace an earlier file at the end. If the command is
interrupted or fails, what there is stays in NAME.partial.EXT and the earlier file as it is. Exit code after Ctrl-C: 130. The same
command with --resume then goes on where it stopped, and does nothing if all is done. docs/batch.md has the formats and the limits.`;

export function addDetect(program: Command, io: CliIo): void {
  const command = program
    .command('detect')
    .argument('<input...>', 'videos, pictures, folders, patterns, http(s):// or rtsp://');
  addTilesFlag(addRegionFlag(addDecoderFlags(addEngineFlags(addModelFlag(command)))))
    .option('--min-score <0..1>', 'lowest score to report (default: from the manifest)', Number)
    .option('--classes <names>', 'report only these classes, separated by commas', listOf)
    .option(
      '--out <file|dir/>',
      'write one JSON line for each frame, or with .csv one line for each detection; DIR/ gets a file for each input; .jsonl.gz or .jsonl.zst compresses; "-" for standard output',
    )
    .addOption(new Option('--format <format>', 'format of the files in --out DIR/').choices(RESULT_FORMATS))
    .option('--coco <file>', 'write COCO results')
    .option('--yolo <dir>', 'write label files of YOLO, one for each picture or frame')
    .option(
      '--video <file|dir/>',
      'write the video with boxes drawn on it; DIR/ gets one for each input, of a picture a JPEG',
    )
    .option('--track', 'track objects from frame to frame')
    .option('--skip-unchanged', 'repeat the result of the last inferred frame while nothing changes')
    .addOption(
      new Option(
        '--track-between <n|auto>',
        'infer every n-th frame and predict the boxes between by tracking; auto adapts n to the motion',
      ).argParser((text) => (text === 'auto' ? text : Number(text))),
    )
    .addOption(
      new Option('--cache <n>', 'keep the results of n pictures; equal pictures are inferred once').argParser(Number),
    )
    .addOption(new Option('--every <n>', 'process every n-th frame').argParser(Number).default(1))
    .addOption(
      new Option('--jobs <n>', `files that are read at once (default: ${defaultJobs()} on this machine)`).argParser(
        Number,
      ),
    )
    .option('--resume', 'continue where the same command was interrupted')
    .option('--dry-run', 'list inputs, outputs, model and engine, and do nothing else')
    .option('--ca <file>', 'PEM file of certificate authorities that https:// and rtsps:// inputs may use')
    .option('--insecure-tls', 'accept any certificate of https:// and rtsps:// inputs')
    .option('--json', 'one JSON document with the summary on standard output')
    .addHelpText('after', HELP)
    .action((inputs: string[], flags: DetectFlags) => detect(inputs, flags, io));
}

function listOf(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

async function detect(inputs: readonly string[], flags: DetectFlags, io: CliIo): Promise<void> {
  if (flags.json === true && flags.out === '-')
    throw new SightlineError('COMMAND_INVALID', '--json and --out - both write to standard output: choose one');
  const options = {
    model: modelConfigOf(flags),
    decoder: decoderConfigOf(flags),
    batch: check(batchConfig, {}, 'batch'),
  };
  const plan = await planDetect(inputs, flags);
  const jobs = jobsOf(flags, plan);
  for (const source of plan.sources) detectStream('input', source, flags);
  const onNotice = (text: string): void => note(io, text);
  const opening = { ...options, environment: io.environment, onNotice };
  if (flags.dryRun === true) return (await import('./detect-dry-run.ts')).dryRun(plan, flags, opening, io);
  const access = { ...FREE_ACCESS, authorities: flags.ca === undefined ? null : readAuthorities(flags.ca, '--ca') };
  const sinkFailed = new AbortController();
  const onFailure = (): void => sinkFailed.abort();
  // Work whose results cannot be written is wasted: a failed output ends the command as Ctrl-C does.
  const stop = AbortSignal.any([io.stop, sinkFailed.signal]);
  const locks = await lockPlan(plan.outputs);
  let runtime: Runtime | null = null;
  try {
    runtime = await openRuntime({
      ...opening,
      preview: check(previewConfig, {}, 'preview'),
      sinks: new ResultSinks([]),
    });
    if (plan.skipped.length > 0) onNotice(skippedText(plan.skipped));
    const classes = classesOf(flags, runtime.spec.classes);
    const { resumeFolder, firstOutput } = plan.outputs;
    const place = resumeFolder === null || firstOutput === null ? null : { resumeFolder, firstOutput };
    const conditions = await conditionsOf(plan, flags, runtime);
    const resume = place === null ? null : await ResumeFolder.open(place, conditions, flags.resume === true);
    if (resume != null && resume.finished !== null) {
      onNotice('nothing is left to do: the run before has finished; without --resume it begins anew');
      report(resume.finished.items, [], flags, plan, runtime, io);
      return end(
        resume.finished.items.flatMap(({ inputs: each }) => each),
        plan,
        [],
        false,
        io,
      );
    }
    const isResumed = resume?.isContinued === true;
    const outputs = await DetectOutputs.open({ plan, classes: runtime.spec.classes, isResumed, io, onFailure });
    await resume?.begin(onNotice).catch(async (error: unknown) => {
      await outputs.close(false);
      throw error;
    });
    const unlisten = io.crash?.add(async () => Promise.all([runtime?.flushSinks(), outputs.close(false)]));
    const bar = startProgress(io, 'files', { ownEstimate: true });
    const progress = new TotalProgress(bar, plan.items);
    const job = {
      runtime,
      outputs,
      flags,
      access,
      classes,
      io,
      stop,
      onFailure,
      items: plan.items,
      jobs,
      resume,
      progress,
    };
    const items = await detectAll(job).finally(() => bar.stop());
    const summaries = items.flatMap((item) => item.inputs);
    const isComplete = doneOf(summaries) === plan.sources.length;
    const isWorthKeeping = summaries.some(({ error, frames }) => error === null || frames > 0);
    const failures = await outputs.close(isComplete && isWorthKeeping);
    unlisten?.();
    if (isComplete && failures.length === 0) {
      const isRead = summaries.map(({ error, frames }) => error === null || frames > 0);
      await resume
        ?.finish({ items, written: pathsWritten(plan, isRead) })
        .catch((error: Error) => onNotice(`--resume would write the outputs again: ${error.message}`));
    }
    report(items, failures, flags, plan, runtime, io);
    end(summaries, plan, failures, resume !== null, io);
  } finally {
    await runtime?.stop();
    await Promise.all(locks.map((lock) => lock.release()));
  }
}

/** @throws COMMAND_INVALID */
function jobsOf({ jobs, resume }: DetectFlags, { outputs, sources }: DetectPlan): number {
  if (jobs !== undefined && (!Number.isInteger(jobs) || jobs < 1 || jobs > 64))
    throw new SightlineError('COMMAND_INVALID', `--jobs: expected a whole number from 1 to 64, received ${jobs}`);
  if (outputs.resumeFolder !== null) return Math.min(jobs ?? defaultJobs(), sources.length);
  const { out, coco, yolo, video } = outputs;
  const hasOutput = [out, coco, yolo, video].some((place) => place !== null);
  if (resume === true)
    throw new SightlineError(
      'COMMAND_INVALID',
      hasOutput
        ? '--resume: output to a pipe or a device cannot be continued; name files'
        : '--resume: there is no output to continue; name one, as in --out results.jsonl',
    );
  // Results that come before their turn are not kept anywhere.
  if (hasOutput && jobs !== undefined && jobs > 1)
    throw new SightlineError('COMMAND_INVALID', `--jobs ${jobs}: a pipe takes one file at a time; leave --jobs out`);
  return hasOutput ? 1 : (jobs ?? defaultJobs());
}

/** @throws COMMAND_INVALID */
function classesOf({ classes }: DetectFlags, known: readonly string[]): ReadonlySet<string> | null {
  if (classes === undefined) return null;
  const wrong = classes.filter((name) => !known.includes(name));
  if (wrong.length > 0) {
    const all = known.slice(0, 100).join(', ');
    throw new SightlineError('COMMAND_INVALID', `--classes: the model has no "${wrong.join('", "')}"; it has ${all}`);
  }
  return new Set(classes);
}

/** `3 files are neither video nor picture and were left out: a.txt, b.pdf, c.srt`. */
export function skippedText(skipped: readonly string[]): string {
  const named = `${skipped.slice(0, 10).join(', ')}${skipped.length > 10 ? ` and ${skipped.length - 10} more` : ''}`;
  const what = skipped.length === 1 ? '1 file is' : `${skipped.length} files are`;
  return `${what} neither video nor picture, and left out: ${named}`;
}

/** Inputs that were read to their end, or as far as possible. */
function doneOf(summaries: readonly InputSummary[]): number {
  return summaries.filter(({ isInterrupted }) => !isInterrupted).length;
}

/** @throws ReportedFailure with the exit code, unless everything is done. */
function end(
  summaries: readonly InputSummary[],
  { sources }: DetectPlan,
  failures: readonly SightlineError[],
  canResume: boolean,
  io: CliIo,
): void {
  const done = doneOf(summaries);
  const inputs = sources.length;
  if (failures.length === 0 && done < inputs) {
    const current = summaries.find(({ isInterrupted, frames }) => isInterrupted && frames > 0);
    const where = current === undefined ? '' : `, frame ${current.frames} of ${current.source}`;
    const message = `interrupted after ${done} of ${inputs} ${inputs === 1 ? 'file' : 'files'}${where}`;
    note(io, canResume ? `${message}; the same command with --resume continues there` : message);
    throw new ReportedFailure({ message, exitCode: interruptedCode(io.stop) });
  }
  const failed = summaries.find(({ error }) => error !== null)?.error;
  const first = failed == null ? failures[0] : SightlineError.fromWire(failed);
  if (failures.length > 0 && canResume)
    note(io, 'what was found is kept: once the output can be written, the same command with --resume goes on');
  if (first !== undefined) throw new ReportedFailure(first);
}

function report(
  items: readonly ItemSummary[],
  failures: readonly SightlineError[],
  flags: DetectFlags,
  plan: DetectPlan,
  runtime: Runtime,
  io: CliIo,
): void {
  const { engine, provider, precision } = runtime.engineInfo;
  const { width, height } = runtime.spec.input;
  const inputs = items.flatMap((item) => item.inputs);
  if (flags.json === true) {
    const model = { name: runtime.spec.name, engine, provider, precision, inputWidth: width, inputHeight: height };
    printJson(io, { model, inputs, skipped: plan.skipped, sinks: failures.map((error) => error.toWire()) });
  }
  for (const { source, warnings, decodeErrors, error } of inputs) {
    for (const warning of warnings) note(io, `warning: ${warning}`);
    if (decodeErrors > 0)
      note(io, `warning: ${source}: ${decodeErrors} decode errors (damaged data); ffmpeg repaired what it could`);
    if (error !== null) note(io, `error: ${error.message} [${error.code}]`);
  }
  for (const error of failures) note(io, `error: ${error.message} [${error.code}]`);
  if (flags.json !== true && flags.out !== '-') {
    const rows = items.map(itemRow);
    if (rows.length > 0) print(io, table([['input', 'frames', 'inferred', 'detections', 'time', 'rate'], ...rows]));
    const damaged = inputs.filter(({ warnings }, i) => plan.arePictures[i] === true && warnings.length > 0).length;
    if (damaged > 0) print(io, `${damaged} ${damaged === 1 ? 'picture is' : 'pictures are'} cut off or damaged`);
    print(io, `${runtime.spec.name} ${width}x${height}, ${engine}/${provider} ${precision}`);
  }
}

/** Pictures that follow each other share a row. */
function itemRow({ inputs }: ItemSummary): string[] {
  const sum = (of: (input: InputSummary) => number): number => inputs.reduce((total, input) => total + of(input), 0);
  const first = inputs[0]!.source;
  return [
    inputs.length === 1 ? first : `${first} and ${inputs.length - 1} more pictures`,
    `${sum(({ frames }) => frames)}`,
    `${sum(({ results }) => results.inferred - results.cached)}`,
    `${sum((input) => input.detections)}`,
    `${sum(({ seconds }) => seconds).toFixed(1)} s`,
    `${inputs[0]!.fps.toFixed(1)} fps`,
  ];
}
