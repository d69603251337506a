import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../../config/environment.ts';
import { parseStream } from '../../config/load-pipeline.ts';
import type { FfmpegBinary } from '../../decode/ffmpeg-binary.ts';
import { writeWholeFile } from '../../disk/replace-file.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { findBottlenecks } from '../../measure/bottlenecks.ts';
import { findCapacity } from '../../measure/find-capacity.ts';
import { type MachineFacts, machineFacts } from '../../measure/machine-facts.ts';
import { MeasurementLog } from '../../measure/measurement-log.ts';
import { framesToDecide, judgeTargets, parseTargets, type Target } from '../../measure/targets.ts';
import { OpenTrial } from '../../measure/trial.ts';
import type { TargetVerdict, TrialResult } from '../../measure/trial-result.ts';
import { applyToText, configurationOf } from '../levers/apply-configuration.ts';
import { LEVERS } from '../levers/levers.ts';
import { type CandidateModel, openSpace, type SearchSpace } from '../levers/search-space.ts';
import { readLoadTests } from '../report/load-tests.ts';
import type {
  HostPrice,
  LeverWords,
  ReportCapacity,
  ReportInput,
  ReportQuality,
  ReportSkipped,
} from '../report/report-input.ts';
import { writeReport } from '../report/write-report.ts';
import type { Bottleneck, Configuration, LeverId, ParetoPoint, Refusal, Step } from '../result.ts';
import type { MachineShape } from '../search/cost-model.ts';
import { configurationKey } from '../search/experiments.ts';
import { planSearch, type SearchPlan } from '../search/plan-search.ts';
import { qualityKey } from '../search/quality-book.ts';
import { search } from '../search/search.ts';
import { candidateModels } from './candidate-models.ts';
import { dependenciesOf, leftAsideText } from './dependencies.ts';
import { type MachineFormats, machineFormats } from './machine-formats.ts';
import { PictureSample } from './picture-sample.ts';
import { type Log, type LoggedRecord, PipelineEvaluator } from './pipeline-evaluator.ts';
import { type Judgement, type Labels, QualityBench, withoutSkips } from './quality-bench.ts';
import { openSubject, type Subject } from './subject.ts';

export interface OptimizeRequest {
  /** Path of a pipeline or of a video. */
  readonly subject: string;
  /** As `--target` writes them; null for none. */
  readonly target: string | null;
  readonly labels: Labels | null;
  /** Paths of annotations and pictures as the user wrote them, for the report's commands. */
  readonly annotations: string | null;
  readonly images: string | null;
  readonly maxLoss: number;
  readonly candidates: string | null;
  /** Makes the INT8 file of a detector for an engine; null without calibration pictures. @throws QUANTISE_REFUSED */
  readonly quantise: ((engine: 'onnx' | 'openvino', model: string, inputSize: string) => Promise<void>) | null;
  readonly levers: readonly LeverId[] | null;
  readonly budgetSeconds: number;
  /** Folder of the report and of the log of measurements. */
  readonly report: string;
  readonly resume: boolean;
  readonly seed: number;
  readonly hostPrice: HostPrice | null;
  readonly environment: Environment;
  readonly ffmpeg: FfmpegBinary;
  readonly demoClip: () => Promise<string>;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
  readonly onStep: (step: Step) => void;
}

/** The outcome, as `--json` prints it. */
export interface Optimization {
  readonly baseline: OptimizedSide;
  readonly best: OptimizedSide;
  /** Frames per second of the best to those of the baseline. */
  readonly speedup: number;
  /** AP, or agreement without labels, that the best loses; null if it was not judged. */
  readonly apLoss: number | null;
  readonly steps: readonly Step[];
  readonly refused: readonly Refusal[];
  readonly bottlenecks: readonly Bottleneck[];
  readonly pareto: readonly ParetoPoint[];
  /** Number of measurements. */
  readonly measurements: number;
  readonly seconds: number;
  /** Whether the best meets every target; true without targets. */
  readonly targetsMet: boolean;
  readonly files: readonly string[];
}

export interface OptimizedSide {
  readonly configuration: Configuration;
  readonly fps: number;
  readonly p99Ms: number;
  readonly cpuMsPerFrame: number | null;
  readonly ap: number | null;
  readonly targets: readonly TargetVerdict[];
  readonly capacity: ReportCapacity | null;
  readonly measurement: string;
}

/** Cameras of this rate and limit decide how many a host can serve, unless targets say otherwise. */
const CAPACITY_FPS = 30;
const CAPACITY_TARGET = 'p99<=100ms';
const MOST_CAMERAS = 64;
const CAPACITY_TIMING = { warmUpSeconds: 1.5, windowSeconds: 1 } as const;
/** A first look at a number of cameras; what proves it takes as long as a percentile of each camera needs. */
const CAPACITY_LOOK_SECONDS = 3;
/** The search begins at this share of what the rate offline would allow. */
const CAPACITY_START_RATIO = 0.6;
/** Share of the budget for each of the two long runs at the end, and its bounds in seconds. */
const LONG_RATIO = 0.06;
const [LEAST_LONG_SECONDS, MOST_LONG_SECONDS] = [3, 15];
/** To open a pipeline and to warm it up. */
const OPEN_SECONDS = 7;
const CAPACITY_SECONDS = 150;
const LEAST_BUDGET_FOR_CAPACITY = 480;
const LEAST_BUDGET_FOR_INT8 = 900;
/** Free share of a host that the plan keeps for peaks. */
const HEADROOM_RATIO = 0.3;
/** A paced run, longer where percentiles of each camera need more frames; cameras without a target for the rate send this many. */
const PACED = { leastSeconds: 18, mostSeconds: 60, warmUpSeconds: 2, windowSeconds: 1 } as const;
const PACED_FPS = 25;

/** What both the search and its plan start from. */
interface Start {
  readonly subject: Subject;
  readonly baseline: Configuration;
  readonly space: SearchSpace;
  readonly shape: MachineShape;
  readonly models: readonly CandidateModel[];
  readonly machine: MachineFacts;
  readonly targets: readonly Target[];
}

/** Says what an optimisation would try and how long it takes, without measuring. */
export async function planOptimization(request: OptimizeRequest): Promise<SearchPlan> {
  const start = await prepare(request);
  try {
    const { baseline, space, shape: machine } = start;
    const { budgetSeconds, seed, maxLoss, signal } = request;
    return await planSearch({ baseline, space, machine, budgetSeconds, seed, maxLoss, signal });
  } finally {
    await start.subject.close();
  }
}

/**
 * Measures a pipeline, finds its bottlenecks, searches for a faster configuration that passes the quality gate, and writes the
 * report.
 *
 * @throws what the pipeline itself fails with; COMMAND_INVALID; the reason of `signal`.
 */
export async function optimize(request: OptimizeRequest): Promise<Optimization> {
  const startedMs = performance.now();
  const createdAt = new Date().toISOString();
  const start = await prepare(request);
  try {
    const log = await openLog(start, request);
    try {
      return await searchAndReport(start, log, request, { startedMs, createdAt });
    } finally {
      await log.close();
    }
  } finally {
    await start.subject.close();
  }
}

/** @throws CONFIG_INVALID for a log that cannot be read; COMMAND_INVALID if another run writes it. */
async function openLog({ subject, machine, targets }: Start, request: OptimizeRequest): Promise<Log> {
  const { labels, seed, resume, report, note } = request;
  const { pipeline, recordings } = subject;
  const dependsOn = await dependenciesOf({ pipeline, recordings, machine, targets, labels, seed });
  const log: Log = await MeasurementLog.open(join(report, 'measurements.jsonl'), { resume, dependsOn });
  if (log.leftAside !== null) note(leftAsideText(log.leftAside));
  return log;
}

async function searchAndReport(
  start: Start,
  log: Log,
  request: OptimizeRequest,
  { startedMs, createdAt }: { readonly startedMs: number; readonly createdAt: string },
): Promise<Optimization> {
  const { subject, baseline, space, shape, machine, targets } = start;
  const { signal, note, environment, ffmpeg, seed, maxLoss, labels } = request;
  const reference = referenceOf(start, baseline);
  const clip = parseStream({ ...withoutPolicy(subject.pipeline.streams[0]!), source: subject.clip }, {});
  const quality = new QualityBench({
    ...{ pipeline: subject.pipeline, baseline, labels, clip, maxLoss, seed, environment, ffmpeg, signal, note },
    reference,
  });
  const pictures = await PictureSample.of(ffmpeg, subject.blocks, signal);
  const longSeconds = Math.min(MOST_LONG_SECONDS, Math.max(LEAST_LONG_SECONDS, request.budgetSeconds * LONG_RATIO));
  const common = { pipeline: subject.pipeline, baseline, environment, ffmpeg, machine, log, seed, signal, note };
  const judgedAgainst = reference === null ? [baseline] : [baseline, reference];
  const evaluator = new PipelineEvaluator({ ...common, targets, quality, pictures, longSeconds, judgedAgainst });
  try {
    const hasTimeForCapacity = request.budgetSeconds >= LEAST_BUDGET_FOR_CAPACITY;
    const pacing = pacedTiming(targets, subject.pipeline.streams.length);
    const pacedSeconds = targets.length === 0 ? 0 : pacing.seconds + OPEN_SECONDS;
    const reserved =
      2 * (longSeconds * 1.25 + OPEN_SECONDS + pacedSeconds) + (hasTimeForCapacity ? 2 * CAPACITY_SECONDS : 0);
    const spent = (performance.now() - startedMs) / 1000;
    const budgetSeconds = Math.max(30, request.budgetSeconds - reserved - spent);
    const found = await search({
      ...{ baseline, space, machine: shape, evaluator, budgetSeconds, seed, signal },
      onStep: request.onStep,
    });
    const best = found.best.configuration;
    const isSame = configurationKey(best) === configurationKey(baseline);
    note('measuring the baseline and the best in long runs');
    const before = await evaluator.offline(baseline, 'long', 'baseline');
    const after = isSame ? before : await evaluator.offline(best, 'long', 'confirm');
    const paced = targets.length === 0 ? null : await pacedVerdicts(evaluator, pacing, targets, [baseline, best]);
    const capacities = hasTimeForCapacity ? await capacitiesOf(evaluator, targets, [before, after], request) : null;
    const judged = await evaluator.quality(best);
    const judgements = log.records.filter(({ kind, error }) => kind === 'quality' && error === null);
    const bottlenecks = bottlenecksOf(before, baseline, start, found.steps, await evaluator.probe(baseline));
    const side = (configuration: Configuration, record: LoggedRecord, i: 0 | 1): OptimizedSide => {
      const { fps, latencyMs, cpuMsPerFrame } = record.result as TrialResult;
      return {
        ...{ configuration, fps, p99Ms: latencyMs.p99, cpuMsPerFrame: cpuMsPerFrame?.total ?? null },
        ap: apOf(judgements, configuration),
        targets: paced?.[i] ?? [],
        capacity: capacities?.[i] ?? null,
        measurement: record.id,
      };
    };
    const sides = { baseline: side(baseline, before, 0), best: side(best, after, isSame ? 0 : 1) };
    const seconds = (performance.now() - startedMs) / 1000;
    const bestPath = join(request.report, 'best.yaml');
    await writeWholeFile(bestPath, applyToText(subject.text, best, subject.name));
    const input: ReportInput = {
      // A resumed run has the measurements of the interrupted one, too.
      seconds: log.records.reduce((sum, record) => sum + record.seconds, 0),
      ...{ subject: subject.name, createdAt, seed, machine },
      ...{ steps: found.steps, refusals: found.refused, pareto: found.pareto, bottlenecks },
      baseline: sides.baseline,
      best: sides.best,
      quality: reportQuality(judgements, baseline, best),
      skipped: reportSkipped(judgements, best),
      levers: leverWords(),
      measurements: log.records,
      loadTests: await readLoadTests(request.report, note),
      options: {
        ...{ target: request.target, hostPrice: request.hostPrice, headroomRatio: HEADROOM_RATIO, bestPath },
        ...{ cameraFps: CAPACITY_FPS, annotations: request.annotations, images: request.images },
        ...{ reportDir: request.report, pictureSize: `${subject.picture.width}x${subject.picture.height}` },
      },
    };
    const files = [bestPath, ...(await writeReport(request.report, input))];
    return {
      ...sides,
      speedup: found.speedup?.ratio ?? sides.best.fps / sides.baseline.fps,
      apLoss: isSame ? 0 : judged.loss,
      ...{ steps: found.steps, refused: found.refused, bottlenecks, pareto: found.pareto },
      ...{ measurements: log.records.length, seconds, files },
      targetsMet: sides.best.targets.every(({ state }) => state === 'met'),
    };
  } finally {
    await pictures.close();
  }
}

async function prepare(request: OptimizeRequest): Promise<Start> {
  const { environment, ffmpeg, note, signal } = request;
  const targets = request.target === null ? [] : parseTargets(request.target);
  const subject = await openSubject(request.subject, ffmpeg, request.demoClip, signal, note);
  try {
    const { formats, isOnGpu, int8Engines, versions } = await machineFormats(environment, note, signal);
    const { pipeline, picture } = subject;
    const baseline = await baselineOf(request, subject);
    const own = baseline.model;
    await quantiseOwn(request, baseline, { formats, int8Engines });
    const models = await candidateModels({ environment, own, folder: request.candidates, int8Engines, note });
    const cores = availableParallelism();
    const streams = pipeline.streams.length;
    const space = openSpace({
      ...{ baseline, formats, cores, models, streams, isOnGpu },
      levers: request.levers ?? undefined,
      streamAspect: picture.width / picture.height,
      hwaccels: isOnGpu ? ['cuda'] : [],
      needsFullPictures: pipeline.preview.picture === 'source' || pipeline.sinks.some(({ type }) => type === 'video'),
      mayJudgeVideo: true,
    });
    const shape = { cores, streams, picturePx: picture.width * picture.height, isOnGpu };
    return { subject, baseline, space, shape, models, machine: machineFacts(ffmpeg, versions), targets };
  } catch (error) {
    await subject.close();
    throw error;
  }
}

/**
 * Makes INT8 files of the pipeline's own detector, so that this precision is tried. That takes minutes, and where the CPU computes
 * bf16 it is as fast at no loss (docs/levers.md), so it is not done there.
 */
async function quantiseOwn(
  { quantise, budgetSeconds, note }: OptimizeRequest,
  { model, inputSize }: Configuration,
  { formats, int8Engines }: Pick<MachineFormats, 'formats' | 'int8Engines'>,
): Promise<void> {
  if (quantise === null) return;
  if (formats.some(({ precision }) => precision === 'bf16'))
    return note(
      'INT8 files are not made: this CPU computes bf16, which is as fast at no loss; `models compile` makes them',
    );
  if (budgetSeconds < LEAST_BUDGET_FOR_INT8)
    return note(`INT8 files are not made: that takes minutes, and --budget is below ${LEAST_BUDGET_FOR_INT8 / 60} min`);
  for (const engine of int8Engines) {
    if (engine !== 'onnx' && engine !== 'openvino') continue;
    await quantise(engine, model, inputSize).catch((error: unknown) => {
      if (!(error instanceof SightlineError)) throw error;
      note(`no INT8 file of ${model} for ${engine}: ${error.message}`);
    });
  }
}

/** Opens the pipeline as it is, since `auto` and absent settings are decided by the machine. */
async function baselineOf({ environment, ffmpeg, note, signal }: OptimizeRequest, { pipeline }: Subject) {
  const trial = await OpenTrial.open({ pipeline, environment, ffmpeg }, { note, signal });
  try {
    const { runtime } = trial;
    const { engine, precision } = runtime.engineInfo;
    const { input, resizeBy = 'ffmpeg' } = runtime.spec;
    return configurationOf(pipeline, {
      engine: engine as Configuration['engine'],
      precision: precision as Configuration['precision'],
      inputSize: `${input.width}x${input.height}`,
      inferenceThreads: runtime.threads.inference.length,
      lanes: runtime.threads.lanes.length,
      resizeBy,
    });
  } finally {
    await trial.close();
  }
}

/** Without labels the most accurate detector decides, by the figures that they state. */
function referenceOf({ models }: Start, baseline: Configuration): Configuration | null {
  const stated = models.filter(({ reportedAp }) => reportedAp !== null);
  const best = stated.sort((a, b) => b.reportedAp! - a.reportedAp!)[0];
  if (best === undefined || best.name === baseline.model) return null;
  return { ...baseline, model: best.name, inputSize: best.inputSize, precision: 'f32', engine: 'onnx' };
}

/** As long as it takes to decide a percentile of each camera with up to one slow frame. */
function pacedTiming(targets: readonly Target[], ownStreams: number) {
  const limitOf = (wanted: Target['metric']): number | undefined =>
    targets.find(({ metric }) => metric === wanted)?.limit;
  const frames = framesToDecide(targets, { streams: limitOf('streams') ?? ownStreams, misses: 1 });
  const { leastSeconds, mostSeconds, warmUpSeconds, windowSeconds } = PACED;
  const seconds = Math.min(mostSeconds, Math.max(leastSeconds, Math.ceil(frames / (limitOf('fps') ?? PACED_FPS))));
  return { seconds, warmUpSeconds, windowSeconds, limitSeconds: Math.ceil(seconds * 1.3) };
}

async function pacedVerdicts(
  evaluator: PipelineEvaluator,
  pacing: ReturnType<typeof pacedTiming>,
  targets: readonly Target[],
  configurations: readonly [Configuration, Configuration],
): Promise<readonly [readonly TargetVerdict[], readonly TargetVerdict[]]> {
  const verdicts = async (configuration: Configuration): Promise<readonly TargetVerdict[]> => {
    const { result } = await evaluator.cameras(configuration, pacing, 'confirm');
    return judgeTargets(targets, result as TrialResult);
  };
  return [await verdicts(configurations[0]), await verdicts(configurations[1])];
}

/** Finds how many cameras each configuration serves within the latency target. */
async function capacitiesOf(
  evaluator: PipelineEvaluator,
  targets: readonly Target[],
  sides: readonly [LoggedRecord, LoggedRecord],
  { signal, note }: OptimizeRequest,
): Promise<readonly [ReportCapacity | null, ReportCapacity | null]> {
  const limits = targets.filter(({ metric }) => metric !== 'streams' && metric !== 'fps');
  const judged = limits.length > 0 ? limits : parseTargets(CAPACITY_TARGET);
  const capacityOf = async ({ configuration, result }: LoggedRecord): Promise<ReportCapacity | null> => {
    const affordable = ((result as TrialResult).fps / CAPACITY_FPS) * CAPACITY_START_RATIO;
    const start = Math.min(MOST_CAMERAS, Math.max(1, Math.floor(affordable)));
    const ids: string[] = [];
    let found: ReportCapacity | null = null;
    await evaluator.capacityRun(
      configuration,
      async (measure) => {
        const capacity = await findCapacity(
          async (streams, isProof) => {
            const proofSeconds = Math.ceil(framesToDecide(judged, { streams }) / CAPACITY_FPS);
            const seconds = Math.max(CAPACITY_LOOK_SECONDS, isProof ? proofSeconds : 0);
            const timing = { ...CAPACITY_TIMING, seconds, limitSeconds: seconds * 1.5 };
            const record = await measure(streams, CAPACITY_FPS, timing);
            ids.push(record.id);
            return record.result as TrialResult;
          },
          { start, most: MOST_CAMERAS, signal, note },
        );
        const { streams: cameras, result } = capacity;
        const target = judged.map(({ text }) => text).join(',');
        found = { cameras, cameraFps: CAPACITY_FPS, p99Ms: result.latencyMs.p99, target, measurements: ids };
      },
      judged,
    );
    return found;
  };
  note(`finding how many cameras of ${CAPACITY_FPS} frames/s the baseline and the best serve`);
  const before = await capacityOf(sides[0]);
  if (sides[0].id === sides[1].id) return [before, before];
  return [before, await capacityOf(sides[1])];
}

function bottlenecksOf(
  record: LoggedRecord,
  baseline: Configuration,
  { shape }: Start,
  steps: readonly Step[],
  { oneThreadMs, allThreadsMs }: { readonly oneThreadMs: number; readonly allThreadsMs: number },
): (Bottleneck & { readonly measurements: readonly string[] })[] {
  const context = {
    hasOwnDevice: shape.isOnGpu,
    inferSlowdown: allThreadsMs / oneThreadMs,
    isResizedBySharp: baseline.resizeBy === 'sharp',
  };
  return findBottlenecks(record.result as TrialResult, context).map((found) => {
    const tried = steps.find(({ lever, verdict }) => lever === found.lever && verdict === 'better');
    const measurements = [record.id, ...(tried?.measurements ?? [])];
    return { ...found, measuredGain: tried?.measuredGain ?? null, measurements };
  });
}

function apOf(judgements: readonly LoggedRecord[], configuration: Configuration): number | null {
  return judgementOf(judgements, configuration)?.ap ?? null;
}

/** Configurations that detect the same share a judgement. */
function judgementOf(judgements: readonly LoggedRecord[], configuration: Configuration): Judgement | null {
  const key = qualityKey(configuration);
  const record = judgements.find((judged) => qualityKey(judged.configuration) === key);
  return record === undefined ? null : (record.result as Judgement);
}

/** What the detector of the best configuration finds: by labels where there are any, whatever it skips. */
function reportQuality(
  judgements: readonly LoggedRecord[],
  baseline: Configuration,
  best: Configuration,
): ReportQuality | null {
  const still = withoutSkips(best);
  const judged = judgementOf(judgements, still) ?? judgementOf(judgements, best);
  const gate = judged?.gate ?? null;
  if (judged === null || gate === null) return null;
  const keys = [baseline, still, best].map(qualityKey);
  return {
    kind: gate.measure === 'AP' ? 'ap' : 'agreement',
    baseline: gate.reference,
    best: gate.candidate,
    ...{ loss: judged.loss, interval: gate.interval, allowed: judged.allowed, pictures: gate.pictures },
    bySize: Object.fromEntries(gate.bySize.map(({ size, loss }) => [size, loss])),
    byClass: gate.byClass.map(({ label, loss }) => ({ label, loss })),
    measurements: judgements
      .filter(({ configuration }) => keys.includes(qualityKey(configuration)))
      .map(({ id }) => id),
  };
}

function reportSkipped(judgements: readonly LoggedRecord[], best: Configuration): ReportSkipped | null {
  if (configurationKey(best) === configurationKey(withoutSkips(best))) return null;
  const key = qualityKey(best);
  const record = judgements.find(({ configuration }) => qualityKey(configuration) === key);
  const gate = (record?.result as Judgement | undefined)?.gate ?? null;
  if (record === undefined || gate === null || gate.measure === 'AP') return null;
  return { f1: gate.candidate, frames: gate.pictures, measurements: [record.id] };
}

function leverWords(): Record<LeverId, LeverWords> {
  return Object.fromEntries(
    Object.entries(LEVERS).map(([lever, { does, effort, risk, riskReason }]) => [
      lever,
      { sentence: does, effort, risk: `${risk}: ${riskReason}` },
    ]),
  ) as Record<LeverId, LeverWords>;
}

/** The clip is read once to its end, whatever the stream does with it. */
function withoutPolicy<T extends { readonly policy: unknown; readonly loop: unknown }>(stream: T): object {
  const { policy: _policy, loop: _loop, ...rest } = stream;
  return rest;
}
