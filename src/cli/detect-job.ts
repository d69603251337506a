import { counted } from '../base/core/counted.ts';
import { FREE_ACCESS } from '../base/core/source.ts';
import { readAuthorities } from '../base/disk/read-authorities.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import type { FfmpegBinary } from '../frame/decode/ffmpeg-binary.ts';
import { ONLY_FIRST } from '../frame/runtime/lane/lane-images.ts';
import { type OpenOptions, openRuntime } from '../frame/runtime/open-runtime.ts';
import type { Runtime } from '../frame/runtime/runtime.ts';
import { attributeNames } from '../frame/runtime/stages/crop-readings.ts';
import { HostStages } from '../serve/host/host-stages.ts';
import type { StageConfig } from '../settings/config/stages.ts';
import { type CliIo, note, print, printJson, table, wrongCommand } from './cli-io.ts';
import { DetectOutputs, lockPlan, pathsWritten, writtenLabels } from './detect-outputs.ts';
import { type DetectFlags, type DetectPlan, leftOutTexts } from './detect-plan.ts';
import { conditionsOf, ResumeFolder } from './detect-resume.ts';
import { detectAll } from './detect-run.ts';
import { interruptedCode, ReportedFailure } from './interruption.ts';
import type { InputSummary, ItemSummary } from './item-results.ts';
import { startProgress } from './progress.ts';
import { stagesIn } from './stages-flag.ts';
import { TotalProgress } from './total-progress.ts';

const VIDEO_RESIZES =
  '--video: inputs of the model are made of the full pictures, by sharp; without it ffmpeg resizes them, so a few boxes near the threshold differ';

export interface PlannedDetect {
  readonly plan: DetectPlan;
  /** Inputs that are read at once. */
  readonly jobs: number;
  readonly flags: DetectFlags;
  readonly opening: Omit<OpenOptions, 'preview' | 'sinks' | 'ffmpeg'>;
  readonly ffmpeg: Promise<FfmpegBinary>;
  readonly io: CliIo;
}

/** Reads all inputs of a command, writes what is found and reports. @throws ReportedFailure; what opening a runtime and outputs throws. */
export async function runDetect({ plan, jobs, flags, opening, ffmpeg, io }: PlannedDetect): Promise<void> {
  const { onNotice } = opening;
  const access = { ...FREE_ACCESS, authorities: flags.ca === undefined ? null : readAuthorities(flags.ca, '--ca') };
  const sinkFailed = new AbortController();
  const onFailure = (): void => sinkFailed.abort();
  // Work whose results cannot be written is wasted: a failed output ends the command as Ctrl-C does.
  const stop = AbortSignal.any([io.stop, sinkFailed.signal]);
  const locks = await lockPlan(plan.outputs);
  let runtime: Runtime | null = null;
  try {
    runtime = await openRuntime({ ...opening, ffmpeg: await ffmpeg }).catch((error: unknown) => {
      // No result is lost, so there is nothing to resume.
      if (error === io.stop.reason) end([], plan, [], false, io);
      throw error;
    });
    for (const text of leftOutTexts(plan, 'neither video nor picture')) onNotice(text);
    if (flags.video !== undefined && runtime.spec.resizeBy !== 'sharp') onNotice(VIDEO_RESIZES);
    const stages = await stagesOf(flags, runtime, opening);
    const classes = classesOf(flags, runtime.spec.classes);
    const conditions = await conditionsOf(plan, flags, runtime);
    const resume = await ResumeFolder.open(plan.outputs, conditions, flags.resume === true);
    const done = resume?.left.finished?.items;
    if (done !== undefined) {
      onNotice('nothing is left to do: the run before has finished; without --resume it begins anew');
      report(done, [], flags, plan, runtime, io);
      return end(inputsOf(done), plan, [], false, io);
    }
    const isResumed = resume?.left.isContinued === true;
    const outputs = await DetectOutputs.open({
      plan,
      classes: runtime.spec.classes,
      attributes: attributesIn(runtime),
      isResumed,
      before: resume?.left,
      io,
      onFailure,
    });
    await resume?.begin(onNotice).catch(async (error: unknown) => {
      await outputs.close(false);
      throw error;
    });
    const unlisten = io.crash?.add(async () => Promise.all([runtime?.flushSinks(), outputs.close(false)]));
    const bar = startProgress(io, 'files', { ownEstimate: true, everyMinute: flags.json !== true });
    const progress = new TotalProgress(bar, plan.items);
    const job = {
      runtime,
      outputs,
      flags,
      stages,
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
    const summaries = inputsOf(items);
    const isComplete = doneOf(summaries) === plan.sources.length;
    const isRead = summaries.map(({ error, frames }) => error === null || frames > 0);
    const failures = await outputs.close(isComplete && isRead.includes(true));
    unlisten?.();
    if (isComplete && failures.length === 0) {
      const [written, labels] = [pathsWritten(plan, isRead), writtenLabels(plan.outputs, items, flags.every)];
      await resume
        ?.finish({ items, written, labels })
        .catch((error: Error) => onNotice(`--resume would write the outputs again: ${error.message}`));
    }
    report(items, failures, flags, plan, runtime, io);
    end(summaries, plan, failures, resume !== null, io);
  } finally {
    await runtime?.stop();
    await Promise.all(locks.map((lock) => lock.release()));
  }
}

/** Loads the second stages of `--stages`. @throws COMMAND_INVALID, CONFIG_INVALID, MODEL_*, ENGINE_UNAVAILABLE */
async function stagesOf(
  { stages: path }: DetectFlags,
  runtime: Runtime,
  { batch, environment, onNotice }: PlannedDetect['opening'],
): Promise<readonly StageConfig[]> {
  if (path === undefined) return [];
  const stages = stagesIn(path);
  await new HostStages({ batch, environment, onNotice, detectors: [runtime.spec] }).use(runtime, stages);
  return stages;
}

/** Names of all that second stages say. */
function attributesIn({ secondStages }: Runtime): string[] {
  return secondStages.all.flatMap(({ name, model }) => attributeNames(model.spec, name));
}

/** @throws COMMAND_INVALID */
function classesOf({ classes }: DetectFlags, known: readonly string[]): ReadonlySet<string> | null {
  if (classes === undefined) return null;
  const wrong = classes.filter((name) => !known.includes(name));
  if (wrong.length > 0) {
    const all = known.slice(0, 100).join(', ');
    throw wrongCommand(`--classes: the model has no "${wrong.join('", "')}"; it has ${all}`);
  }
  return new Set(classes);
}

function inputsOf(items: readonly ItemSummary[]): InputSummary[] {
  return items.flatMap(({ inputs }) => inputs);
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
    const message = `interrupted after ${done} of ${counted(inputs, 'file')}${where}`;
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
  const inputs = inputsOf(items);
  if (flags.json === true) {
    const model = { name: runtime.spec.name, engine, provider, precision, inputWidth: width, inputHeight: height };
    printJson(io, {
      model,
      inputs,
      skipped: plan.skipped,
      special: Object.fromEntries(plan.special),
      sinks: failures.map((error) => error.toWire()),
    });
  }
  for (const { source, warnings, decodeErrors, error } of inputs) {
    for (const warning of warnings) note(io, `warning: ${warning}`);
    if (decodeErrors > 0)
      note(io, `warning: ${source}: ${decodeErrors} decode errors (damaged data); ffmpeg repaired what it could`);
    if (error !== null) note(io, `error: ${error.message} [${error.code}]`);
  }
  for (const error of failures) note(io, `error: ${error.message} [${error.code}]`);
  if (flags.json !== true && flags.out?.includes('-') !== true) {
    const rows = items.map(itemRow);
    if (rows.length > 0) print(io, table([['input', 'frames', 'inferred', 'detections', 'time', 'rate'], ...rows]));
    const pictures = inputs.filter((_, i) => plan.sources[i]?.isPicture === true);
    const isPartial = (warning: string): boolean => warning.includes(ONLY_FIRST);
    const partial = pictures.filter(({ warnings }) => warnings.some(isPartial)).length;
    const damaged = pictures.filter(({ warnings }) => warnings.some((warning) => !isPartial(warning))).length;
    const left = inputs.flatMap(({ decode }) => decode?.skipped ?? []).reduce((sum, skipped) => sum + skipped, 0);
    if (left > 0) print(io, `${counted(left, 'frame')} not decoded (--decode ${flags.decode})`);
    if (damaged > 0) print(io, `${damaged} ${damaged === 1 ? 'picture is' : 'pictures are'} cut off or damaged`);
    if (partial > 0)
      print(io, `${partial} ${partial === 1 ? 'picture has' : 'pictures have'} several frames, ${ONLY_FIRST}`);
    if (plan.skipped.length > 0) print(io, `${counted(plan.skipped.length, 'file')} left out`);
    print(io, `${runtime.spec.name} ${width}x${height}, ${engine}/${provider} ${precision}`);
  }
}

/** Pictures that follow each other share a row. */
function itemRow({ inputs }: ItemSummary): string[] {
  const sum = (of: (input: InputSummary) => number): number => inputs.reduce((total, input) => total + of(input), 0);
  const first = inputs[0]!.source;
  const more = inputs.length - 1;
  return [
    more === 0 ? first : `${first} and ${counted(more, 'more picture')}`,
    `${sum(({ frames }) => frames)}`,
    `${sum(({ results }) => results.inferred - results.cached)}`,
    `${sum((input) => input.detections)}`,
    `${sum(({ seconds }) => seconds).toFixed(1)} s`,
    `${inputs[0]!.fps.toFixed(1)} fps`,
  ];
}
