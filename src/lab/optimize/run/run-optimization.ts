import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { recordingDigest } from '../../../base/disk/given-file.ts';
import { writeWholeFile } from '../../../base/disk/replace-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { FfmpegBinary } from '../../../frame/decode/ffmpeg-binary.ts';
import type { QuantisedEngine } from '../../../settings/config/engines.ts';
import type { Environment } from '../../../settings/config/environment.ts';
import { parseStream } from '../../../settings/config/parse-stream.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { Bottleneck } from '../../measure/bottlenecks.ts';
import { FreeMachine } from '../../measure/free-machine.ts';
import { type MachineFacts, machineFacts } from '../../measure/machine-facts.ts';
import { MeasurementLog } from '../../measure/measurement-log.ts';
import { writeFiles } from '../../measure/report/write-files.ts';
import { parseTargets, type Target } from '../../measure/targets.ts';
import { OpenTrial } from '../../measure/trial.ts';
import type { TargetVerdict, TrialResult } from '../../measure/trial-result.ts';
import type { CountComparison } from '../gate/compare-counts.ts';
import type { GateVerdict } from '../gate/gate-verdict.ts';
import { classAllowance } from '../gate/loss-verdict.ts';
import type { TrackSequence } from '../gate/track-sequence.ts';
import { apply, applyToText, configurationOf } from '../levers/apply-configuration.ts';
import { configurationKey, isSkipLever, LEVER_IDS, leverOf, valueText } from '../levers/levers.ts';
import { openSpace, type SearchSpace } from '../levers/search-space.ts';
import { describeConfiguration } from '../report/configuration-text.ts';
import type { IdentityFigures, ReportFaster, ReportSide } from '../report/report-input.ts';
import { writeReport } from '../report/write-report.ts';
import type { Configuration, LeverId, Step } from '../result.ts';
import type { GivenAnswer } from '../review/answers.ts';
import { makeReview, REVIEW_FILE } from '../review/review-file.ts';
import { REVIEW_PAGE, reviewPage } from '../review/review-page.ts';
import { MOST_ALLOWED, type ReviewFile } from '../review/review-schema.ts';
import type { MachineShape } from '../search/cost-model.ts';
import { planSearch, type SearchPlan } from '../search/plan-search.ts';
import { EXPECTED_SECONDS, type FasterAnswer, MOST_FINALISTS, type SearchResult, search } from '../search/search.ts';
import { searchSeconds } from '../search/time-budget.ts';
import { CAPACITY_FPS, capacitiesOf, pacedTiming, pacedVerdicts } from './cameras.ts';
import { type CandidateOptions, candidateModels } from './candidate-models.ts';
import { cropMsPerFrame } from './crop-costs.ts';
import { type Decodable, decodableOf } from './decodable.ts';
import { dependenciesOf, leftAsideText } from './dependencies.ts';
import { type Labels, splitEvidence } from './evidence.ts';
import { type MachineFormats, machineFormats } from './machine-formats.ts';
import { PictureSample } from './picture-sample.ts';
import { COMPARE_SECONDS, type Log, type LoggedRecord, PipelineEvaluator } from './pipeline-evaluator.ts';
import { type Judgement, QualityBench } from './quality-bench.ts';
import { finalJudgementOf, identityFigures, reportOf } from './report-of.ts';
import { followsObjects, openSubject, type Subject } from './subject.ts';
import { earlyWarning, type Validity, validityOf } from './validity.ts';

export interface OptimizeRequest {
  /** Path of a pipeline or of a video. */
  readonly subject: string;
  /** The one of several detectors of the pipeline that is optimised; undefined if its streams use one. */
  readonly detector?: string | undefined;
  /** As `--target` writes them; null for none. */
  readonly target: string | null;
  readonly labels: Labels | null;
  /** Labelled pictures for the verdict alone; null takes three quarters of `labels`. */
  readonly holdOut: Labels | null;
  /** Videos with true tracks, by which identities are judged. */
  readonly sequences: readonly TrackSequence[];
  /** Whether changed counts are accepted, and without labels another detector. */
  readonly acceptsCounts: boolean;
  /** Paths of annotations and pictures as the user wrote them, for the report's commands. */
  readonly annotations: string | null;
  readonly images: string | null;
  readonly maxLoss: number;
  readonly candidates: string | null;
  /** Makes the INT8 file of a detector for an engine; null without calibration pictures. @throws QUANTISE_REFUSED */
  readonly quantise: ((engine: QuantisedEngine, model: string, inputSize: string) => Promise<void>) | null;
  readonly levers: readonly LeverId[] | null;
  readonly budgetSeconds: number;
  /** Folder of the report and of the log of measurements. */
  readonly report: string;
  readonly resume: boolean;
  /** What is done when others take the CPU: nothing; each measurement waits; or CPU time is measured in place of frames per second. */
  readonly whenBusy: 'go-on' | 'wait' | 'cpu-time';
  readonly seed: number;
  /** Whether people settle what figures cannot: without labels other detectors are tried then, too. */
  readonly asksPeople: boolean;
  /** What people have said about objects in the recording. */
  readonly answers: readonly GivenAnswer[];
  readonly environment: Environment;
  readonly ffmpeg: FfmpegBinary;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
  readonly onStep: (step: Step) => void;
}

/** The outcome, as `--json` prints it. */
export interface Optimization
  extends Pick<SearchResult, 'speedup' | 'finalists' | 'steps' | 'refused' | 'pareto' | 'predictions' | 'ended'> {
  readonly baseline: OptimizedSide;
  /** Proven: the fastest that passes on everything. */
  readonly best: OptimizedSide;
  /** The fastest whose only open points are for people to settle; null if nothing is faster than the best. */
  readonly faster: FasterSide | null;
  /** Whether the machine was left alone enough for the figures to hold. */
  readonly validity: Validity;
  /** Whether rates are by CPU time, see `--when-busy`. */
  readonly byCpuTime: boolean;
  /** Changes that were measured or judged. */
  readonly tried: number;
  /** What the search took of its time, by kind of measurement. */
  readonly searched: Pick<SearchResult, 'seconds' | 'counts' | 'spentSeconds'> & { readonly budgetSeconds: number };
  /** What the best loses on the held-out part; null if it detects what the baseline detects. */
  readonly loss: { readonly estimate: number; readonly upperBound: number | null } | null;
  /** Lines and zones before and after, on the held-out part. */
  readonly counts: readonly CountComparison[];
  /** Recall and precision at the score thresholds, on the held-out part; null without labels. */
  readonly published: GateVerdict['published'];
  /** Identities before and after, on the held-out part; null without sequences with true tracks. */
  readonly identities: IdentityFigures | null;
  /** What labels judged by: the figure that `ap` of a side is; null without labels. */
  readonly measure: GateVerdict['measure'] | null;
  /** Classes that lost much. */
  readonly warnings: readonly string[];
  readonly bottlenecks: readonly Bottleneck[];
  /** Number of measurements. */
  readonly measurements: number;
  readonly seconds: number;
  /** Whether the best meets every target; true without targets. */
  readonly targetsMet: boolean;
  readonly files: readonly string[];
}

interface FasterSide extends Omit<ReportFaster, 'review' | 'quality'> {
  /** Frames per second, by the baseline's rate and the ratio. */
  readonly fps: number;
}

interface OptimizedSide extends Pick<ReportSide, 'configuration' | 'capacity' | 'measurement'> {
  readonly fps: number;
  readonly p99Ms: number;
  readonly cpuMsPerFrame: number | null;
  readonly ap: number | null;
  readonly targets: readonly TargetVerdict[];
}

/** Share of the budget for each of the two long runs at the end, and the most of it in seconds. */
const LONG_RATIO = 0.06;
const MOST_LONG_SECONDS = 15;
/** With less time there are no long runs: short ones have to do. */
const LEAST_BUDGET_FOR_LONG_RUNS = 150;
const LEAST_BUDGET_FOR_FULL_COMPARISONS = 300;
/** To open a pipeline and to warm it up. */
const OPEN_SECONDS = 7;
/** Kept free for the cameras of each side; what the search leaves is theirs, too. */
const CAPACITY_SECONDS = 90;
const LEAST_BUDGET_FOR_CAPACITY = 480;
const LEAST_BUDGET_FOR_INT8 = 900;

/** What both the search and its plan start from. */
interface Start {
  readonly subject: Subject;
  readonly baseline: Configuration;
  /** The space of all levers that may be tried, without some of them. */
  readonly spaceWithout: (excluded: (lever: LeverId) => boolean) => SearchSpace;
  readonly shape: MachineShape;
  readonly machine: MachineFacts;
  readonly targets: readonly Target[];
  /** Why no INT8 file of the pipeline's own detector was made; null if one was. */
  readonly whyNoInt8: string | null;
  readonly decodable: Decodable;
}

/** Says what an optimisation would try and how long it takes, without measuring. */
export async function planOptimization(request: OptimizeRequest): Promise<SearchPlan> {
  const start = await prepare(request);
  try {
    const { baseline, spaceWithout, shape: machine } = start;
    const { budgetSeconds, seed, maxLoss, signal } = request;
    const space = spaceWithout(() => false);
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
  const { labels, holdOut, sequences, seed, resume, report, note } = request;
  const { pipeline, recordings } = subject;
  const dependsOn = await dependenciesOf({
    pipeline,
    recordings,
    machine,
    targets,
    labels,
    holdOut,
    sequences,
    seed,
    byCpuTime: request.whenBusy === 'cpu-time',
  });
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
  const { subject, baseline, shape, machine, targets } = start;
  const { signal, note, environment, ffmpeg, seed, maxLoss, labels, holdOut, acceptsCounts } = request;
  const stream = parseStream({ ...withoutPolicy(subject.pipeline.streams[0]!), source: subject.clip }, {});
  const evidence = splitEvidence(labels, holdOut, subject.blocks);
  const recording = (await recordingDigest(subject.recordings[0]!)) ?? '';
  const quality = new QualityBench({
    pipeline: subject.pipeline,
    baseline,
    evidence,
    sequences: request.sequences,
    stream,
    maxLoss,
    acceptsCounts,
    followsObjects: followsObjects(subject),
    seed,
    mostFinalists: MOST_FINALISTS,
    asksPeople: request.asksPeople,
    answers: answersFor(request, recording),
    environment,
    ffmpeg,
    signal,
    note,
  });
  const pictures = await PictureSample.of(ffmpeg, subject.blocks, signal);
  const longSeconds = Math.min(MOST_LONG_SECONDS, request.budgetSeconds * LONG_RATIO);
  const hasLongRuns = request.budgetSeconds >= LEAST_BUDGET_FOR_LONG_RUNS;
  const isBrief = request.budgetSeconds < LEAST_BUDGET_FOR_FULL_COMPARISONS;
  const common = { pipeline: subject.pipeline, baseline, environment, ffmpeg, machine, log, seed, signal, note };
  const offeredFps = subject.recordings.length === 1 ? start.decodable.offeredFps : null;
  const byCpuTime = request.whenBusy === 'cpu-time';
  const free = request.whenBusy === 'wait' ? new FreeMachine({ signal, note }) : null;
  const elapsed = (): number => (performance.now() - startedMs) / 1000 - (free?.waitedSeconds ?? 0);
  const evaluator = new PipelineEvaluator({
    ...common,
    targets,
    offeredFps,
    quality,
    pictures,
    longSeconds,
    isBrief,
    free,
    byCpuTime,
  });
  try {
    const first = await evaluator.offline(baseline, 'short');
    const warning = byCpuTime ? null : earlyWarning(first);
    if (warning !== null) note(warning);
    const { fps: baselineFps } = first.result as TrialResult;
    const space = start.spaceWithout(await undecidable(quality, request, baselineFps));
    const crops = await cropCosts(evaluator, quality, subject, stream);
    // How many cameras a machine serves beside other programs says little of the machine.
    const hasTimeForCapacity = request.budgetSeconds >= LEAST_BUDGET_FOR_CAPACITY && !byCpuTime;
    const runSeconds = hasLongRuns ? longSeconds * 1.25 + OPEN_SECONDS : OPEN_SECONDS;
    const pacingOf = (decode: Configuration['decode']): ReturnType<typeof pacedTiming> =>
      pacedTiming(targets, subject.pipeline.streams.length, shape.decodedRatio[decode]);
    const pacedSeconds = targets.length === 0 ? 0 : pacingOf(baseline.decode).seconds + OPEN_SECONDS;
    const reserved = 2 * (runSeconds + pacedSeconds) + (hasTimeForCapacity ? 2 * CAPACITY_SECONDS : 0);
    const budgetSeconds = searchSeconds(request.budgetSeconds, elapsed(), reserved);
    const found = await search({
      baseline,
      space,
      machine: { ...shape, ...crops },
      evaluator,
      budgetSeconds,
      seed,
      signal,
      heldOutPictures: quality.heldOutPictures,
      expectedSeconds: { ...EXPECTED_SECONDS, compare: isBrief ? COMPARE_SECONDS.brief : COMPARE_SECONDS.full },
      onStep: request.onStep,
    });
    const best = found.best.configuration;
    const isSame = configurationKey(best) === configurationKey(baseline);
    const length = hasLongRuns ? 'long' : 'short';
    if (hasLongRuns) note('measuring the baseline and the best in long runs');
    const before = await evaluator.offline(baseline, length, 'baseline');
    const after = isSame ? before : await evaluator.offline(best, length, 'confirm');
    const pacing = pacingOf(best.decode);
    const paced = targets.length === 0 ? null : await pacedVerdicts(evaluator, pacing, [baseline, best]);
    const leftSeconds = request.budgetSeconds - elapsed();
    const capacitySeconds = Math.max(CAPACITY_SECONDS, leftSeconds / 2);
    const capacities = hasTimeForCapacity
      ? await capacitiesOf(evaluator, targets, [before, after], capacitySeconds, shape.decodedRatio, request)
      : null;
    const judged = finalJudgementOf(log.records, best);
    const validity = validityOf(log.records, byCpuTime);
    const side = (configuration: Configuration, record: LoggedRecord, i: 0 | 1): OptimizedSide => {
      const { fps, latencyMs, cpuMsPerFrame } = record.result as TrialResult;
      return {
        configuration,
        fps,
        p99Ms: latencyMs.p99,
        cpuMsPerFrame: cpuMsPerFrame?.total ?? null,
        ap: i === 0 ? (judged?.labels?.reference ?? null) : (judged?.labels?.candidate ?? null),
        targets: paced?.[i] ?? [],
        capacity: capacities?.[i] ?? null,
        measurement: record.id,
      };
    };
    const sides = { baseline: side(baseline, before, 0), best: side(best, after, isSame ? 0 : 1) };
    const seconds = (performance.now() - startedMs) / 1000;
    const bestPath = join(request.report, 'best.yaml');
    const threshold = await quality.scoreThresholdOf(best);
    await writeWholeFile(bestPath, applyToText(subject.text, best, subject.name, threshold));
    const faster = await writeFaster(
      found.faster,
      sides.baseline.fps,
      join(request.report, 'faster.yaml'),
      async (to) => applyToText(subject.text, to, subject.name, await quality.scoreThresholdOf(to)),
    );
    const review = await reviewOf(found.faster, { start, request, recording, createdAt });
    const options = {
      target: request.target,
      bestPath,
      cameraFps: CAPACITY_FPS,
      annotations: request.annotations,
      images: request.images,
      reportDir: request.report,
      pictureSize: `${subject.picture.width}x${subject.picture.height}`,
    };
    const finished = {
      subject: subject.name,
      createdAt,
      seed,
      machine,
      byCpuTime,
      found,
      ...sides,
      faster: faster === null ? null : { ...faster, review: review === null ? null : REVIEW_PAGE },
      records: log.records,
      options,
      isOnGpu: shape.isOnGpu,
      inferTimes: await evaluator.probe(baseline),
      whyNoInt8: start.whyNoInt8,
      whyNotFewer: start.decodable.whyNotFewer,
      acceptsCounts,
    };
    const input = reportOf(finished);
    const { bottlenecks } = input;
    const files = [
      bestPath,
      ...(faster === null ? [] : [faster.file]),
      ...(await writeReport(request.report, input)),
      ...(await writeReview(review, request.report)),
    ];
    return {
      ...sides,
      faster,
      validity,
      byCpuTime,
      finalists: found.finalists,
      ended: found.ended,
      predictions: found.predictions,
      searched: { seconds: found.seconds, budgetSeconds, counts: found.counts, spentSeconds: found.spentSeconds },
      tried: found.steps.filter(({ verdict }) => verdict !== 'ruled-out').length,
      speedup: found.speedup,
      loss: judged === null ? null : { estimate: judged.loss, upperBound: judged.upperBound },
      counts: judged === null ? [] : countsOf(judged),
      published: judged?.labels?.published ?? null,
      identities: identityFigures(judged?.identities),
      measure: judged?.labels?.measure ?? null,
      warnings: judged === null ? [] : warningsOf(judged),
      steps: found.steps,
      refused: found.refused,
      bottlenecks,
      pareto: found.pareto,
      measurements: log.records.length,
      seconds,
      files,
      targetsMet: sides.best.targets.every(({ state }) => state === 'met'),
    };
  } finally {
    await pictures.close();
  }
}

/** The answers for a recording; says how many are for others. */
function answersFor({ answers, note }: OptimizeRequest, recording: string): readonly GivenAnswer[] {
  const own = answers.filter((answer) => answer.recording === recording);
  if (own.length < answers.length)
    note(`${answers.length - own.length} of ${answers.length} answers are about another recording and count nothing`);
  return own;
}

/** What people can settle of the faster pipeline; null if nothing. */
async function reviewOf(
  faster: FasterAnswer | null,
  {
    start: { subject },
    request: { maxLoss, report, ffmpeg, signal, note },
    recording,
    createdAt,
  }: {
    readonly start: Start;
    readonly request: OptimizeRequest;
    readonly recording: string;
    readonly createdAt: string;
  },
): Promise<ReviewFile | null> {
  const disputes = (faster?.quality as Partial<Judgement> | undefined)?.video?.video?.disputed;
  if (faster === null || disputes === undefined) return null;
  const { width, height } = subject.picture;
  const input = {
    subject: subject.name,
    createdAt,
    candidate: describeConfiguration(faster.measured.configuration),
    recording,
    size: { width, height },
    allowed: Math.min(MOST_ALLOWED, classAllowance(maxLoss)),
    differences: faster.quality.differences,
    disputes,
    blocks: subject.blocks,
  };
  return makeReview(input, report, ffmpeg, signal).catch((error: unknown) => {
    if (!(error instanceof SightlineError) || signal.aborted) throw error;
    // The result stands without it.
    note(`no pictures of the differences: ${error.message}`);
    return null;
  });
}

/** Writes what a review asks, and its page; those of an earlier run go. @returns their paths. */
async function writeReview(review: ReviewFile | null, folder: string): Promise<readonly string[]> {
  if (review !== null) return writeFiles(folder, { [REVIEW_FILE]: review, [REVIEW_PAGE]: await reviewPage(review) });
  await rm(join(folder, REVIEW_FILE), { force: true });
  await rm(join(folder, REVIEW_PAGE), { force: true });
  return [];
}

/** Writes the pipeline that people may accept; that of an earlier run goes. */
async function writeFaster(
  found: FasterAnswer | null,
  baselineFps: number,
  file: string,
  textOf: (configuration: Configuration) => Promise<string>,
): Promise<FasterSide | null> {
  if (found === null) {
    await rm(file, { force: true });
    return null;
  }
  const { measured, speedup, quality } = found;
  const { configuration } = measured;
  await writeWholeFile(file, await textOf(configuration));
  const { ap, differences } = quality;
  const measurements = [...speedup.measurements, ...quality.measurements];
  return { configuration, fps: baselineFps * speedup.ratio, speedup, ap, differences, file, measurements };
}

/** What crops of second stages cost, for the cost model; nothing without any. */
async function cropCosts(
  evaluator: PipelineEvaluator,
  quality: QualityBench,
  { pipeline }: Subject,
  stream: StreamConfig,
): Promise<Pick<MachineShape, 'cropMs'>> {
  if (pipeline.stages.length === 0) return {};
  const results = await quality.baselineResults;
  const times = await evaluator.cropTimes(results, stream);
  const known = new Map<string, number>();
  return {
    cropMs: (configuration) => {
      const { trackBetween } = configuration;
      const key = `${valueText('stages', configuration)} ${trackBetween}`;
      const ms =
        known.get(key) ?? cropMsPerFrame(results, apply(pipeline, configuration).stages, stream, trackBetween, times);
      known.set(key, ms);
      return ms;
    },
  };
}

/** Models on this machine that give the attributes of a second stage, by its name. */
async function stageModelsOf(
  { pipeline }: Subject,
  options: Omit<CandidateOptions, 'own'>,
): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const { name, model } of pipeline.stages) {
    const others = await candidateModels({ ...options, own: model.name }).catch((error: unknown) => {
      if (!(error instanceof SightlineError)) throw error;
      options.note(`no other models are tried for stage ${name}: ${error.message}`);
      return [];
    });
    found.set(
      name,
      others.map((other) => other.name).filter((other) => other !== model.name),
    );
  }
  return found;
}

/** Reports what the evidence cannot decide, and returns the levers that are not tried because of it. */
async function undecidable(
  quality: QualityBench,
  { note, budgetSeconds }: OptimizeRequest,
  baselineFps: number,
): Promise<(lever: LeverId) => boolean> {
  const { detections, skips } = await quality.prepare(budgetSeconds, baselineFps);
  if (detections !== null)
    note(
      `${detections}. Nothing that changes detections is tried; give labels (--annotations, --images) or a longer recording`,
    );
  else if (skips !== null) note(`${skips}. Skipped work is not tried`);
  return (lever) => (detections !== null ? leverOf(lever).affectsDetections : skips !== null && isSkipLever(lever));
}

async function prepare(request: OptimizeRequest): Promise<Start> {
  const { environment, ffmpeg, note, signal } = request;
  const targets = request.target === null ? [] : parseTargets(request.target);
  const subject = await openSubject(request.subject, request.detector, ffmpeg, signal, note);
  try {
    const { formats, isOnGpu, int8Engines, versions } = await machineFormats(environment, note, signal);
    if (isOnGpu && request.whenBusy === 'cpu-time')
      throw new SightlineError(
        'CONFIG_INVALID',
        '--when-busy cpu-time: this machine infers on a GPU, of which CPU time says nothing; give wait or go-on',
      );
    const { pipeline, picture } = subject;
    const baseline = await baselineOf(request, subject);
    const own = baseline.model;
    const whyNoInt8 = await quantiseOwn(request, baseline, { formats, int8Engines });
    // The text is written at the end; check now that it can be.
    applyToText(subject.text, { ...baseline, lanes: baseline.lanes + 1, decodeThreads: 2 }, subject.name);
    const found = await candidateModels({ environment, own, folder: request.candidates, int8Engines, note });
    const isBlind = request.labels === null && !request.acceptsCounts && !request.asksPeople;
    const models = isBlind ? found.filter(({ name }) => name === own) : found;
    if (models.length < found.length)
      note(
        `${found.length - models.length} other detectors are not tried: without labels it is unknown which one is right; give --annotations and --images, --review to answer for what they find, or --accept-counts`,
      );
    const decodable = await decodableOf(subject, baseline.decode, targets, ffmpeg, signal);
    const { decodes, decodedRatio } = decodable;
    const cores = availableParallelism();
    const streams = pipeline.streams.length;
    const levers = request.levers ?? LEVER_IDS;
    const options = {
      baseline,
      formats,
      cores,
      models,
      streams,
      isOnGpu,
      decodes,
      streamAspect: picture.width / picture.height,
      hwaccels: isOnGpu ? ['cuda'] : [],
      needsFullPictures:
        pipeline.stages.length > 0 ||
        pipeline.preview.picture === 'source' ||
        pipeline.sinks.some(({ type }) => type === 'video'),
      mayJudgeVideo: true,
      stageModels: await stageModelsOf(subject, { environment, folder: request.candidates, int8Engines: [], note }),
    };
    const spaceWithout: Start['spaceWithout'] = (excluded) =>
      openSpace({ ...options, levers: levers.filter((lever) => !excluded(lever)) });
    const shape = { cores, streams, picturePx: picture.width * picture.height, isOnGpu, decodedRatio };
    return {
      subject,
      baseline,
      spaceWithout,
      shape,
      machine: machineFacts(ffmpeg, versions),
      targets,
      whyNoInt8,
      decodable,
    };
  } catch (error) {
    await subject.close();
    throw error;
  }
}

/**
 * Makes INT8 files of the pipeline's own detector, so that this precision is tried. That takes minutes, and where the CPU computes
 * bf16 it is as fast at no loss (docs/benchmarks.md), so it is not done there. Resolves with why none was made; null if one was.
 */
async function quantiseOwn(
  { quantise, budgetSeconds, note }: OptimizeRequest,
  { model, inputSize }: Configuration,
  { formats, int8Engines }: Pick<MachineFormats, 'formats' | 'int8Engines'>,
): Promise<string | null> {
  if (quantise === null) return 'no pictures to calibrate with were given (--calibration)';
  const why = formats.some(({ precision }) => precision === 'bf16')
    ? 'this CPU computes bf16, which is as fast at no loss; `models compile` makes INT8 files'
    : budgetSeconds < LEAST_BUDGET_FOR_INT8
      ? `making INT8 files takes minutes, and --budget is below ${LEAST_BUDGET_FOR_INT8 / 60} min`
      : null;
  if (why !== null) {
    note(`INT8 files are not made: ${why}`);
    return why;
  }
  let failure: string | null = 'no engine of this machine computes INT8';
  for (const engine of int8Engines) {
    failure = await quantise(engine, model, inputSize).then(
      () => null,
      (error: unknown) => {
        if (!(error instanceof SightlineError)) throw error;
        note(`no INT8 file of ${model} for ${engine}: ${error.message}`);
        return error.message;
      },
    );
  }
  return failure;
}

/** Opens the pipeline as it is, since `auto` and absent settings are decided by the machine. */
async function baselineOf({ environment, ffmpeg, note, signal }: OptimizeRequest, { pipeline }: Subject) {
  const trial = await OpenTrial.open({ pipeline, environment, ffmpeg }, { note, signal });
  try {
    const chosen = LEVER_IDS.map((lever) => [lever, leverOf(lever).chosenBy?.(trial.runtime)]);
    return configurationOf(pipeline, Object.fromEntries(chosen));
  } finally {
    await trial.close();
  }
}

/** The lines, zones and tracks of the user's streams before and after. */
function countsOf({ video, skips }: Judgement): CountComparison[] {
  return [video, skips].flatMap((gate) => gate?.video?.counts ?? []);
}

function warningsOf({ labels, video, skips }: Judgement): string[] {
  return [labels, video, skips].flatMap((gate) => gate?.warnings ?? []);
}

/** The clip is read once to its end, whatever the stream does with it. */
function withoutPolicy<T extends { readonly policy: unknown; readonly loop: unknown }>(stream: T): object {
  const { policy: _policy, loop: _loop, ...rest } = stream;
  return rest;
}
