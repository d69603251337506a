import { findBottlenecks } from '../../measure/bottlenecks.ts';
import type { MachineFacts } from '../../measure/machine-facts.ts';
import { median } from '../../measure/report/figures.ts';
import type { TrialResult } from '../../measure/trial-result.ts';
import type { GateVerdict } from '../gate/gate-verdict.ts';
import { configurationKey, isPartLever, isSkipLever, LEVER_IDS, qualityKey } from '../levers/levers.ts';
import type {
  IdentityFigures,
  LiveSide,
  QualityFigure,
  ReportBottleneck,
  ReportCounts,
  ReportFaster,
  ReportInput,
  ReportOptions,
  ReportQuality,
  ReportSide,
  ReportSkipped,
  ReportSpeedup,
  Technique,
} from '../report/report-input.ts';
import type { Configuration, Step } from '../result.ts';
import type { InferTimes } from '../search/evaluator.ts';
import type { SearchResult } from '../search/search.ts';
import type { LoggedRecord } from './pipeline-evaluator.ts';
import type { Judgement } from './quality-bench.ts';
import { validityOf } from './validity.ts';

/** What an optimisation knows at its end. */
export interface Finished
  extends Pick<ReportInput, 'subject' | 'createdAt' | 'seed' | 'byCpuTime' | 'baseline' | 'best' | 'options'> {
  readonly faster: Omit<ReportFaster, 'quality'> | null;
  readonly machine: MachineFacts;
  readonly found: SearchResult;
  /** All of the log. */
  readonly records: readonly LoggedRecord[];
  readonly isOnGpu: boolean;
  /** Of the baseline's inference. */
  readonly inferTimes: InferTimes;
  /** Why no INT8 file was made; null if one was. */
  readonly whyNoInt8: string | null;
  /** Why no fewer frames were decoded; null if that was tried. */
  readonly whyNotFewer: string | null;
  readonly acceptsCounts: boolean;
}

/** Turns the end of an optimisation into what its report shows. */
export function reportOf(finished: Finished): ReportInput {
  const { subject, createdAt, seed, machine, found, baseline, best, faster, records, options } = finished;
  const judgements = judgementsIn(records, 'quality');
  const final = judgementsIn(records, 'verdict');
  const [before, after] = [recordOf(records, baseline.measurement), recordOf(records, best.measurement)];
  const speedup = speedupOf(found, records);
  const limits = [limitsOf(before, finished, finished.inferTimes), limitsOf(after, finished, null)] as const;
  return {
    // A resumed run has the measurements of the interrupted one, too.
    seconds: records.reduce((sum, record) => sum + record.seconds, 0),
    subject,
    createdAt,
    seed,
    machine,
    baseline,
    best,
    speedup,
    options,
    faster: faster === null ? null : { ...faster, quality: qualityOf(final, faster.configuration) },
    validity: validityOf(records, finished.byCpuTime),
    byCpuTime: finished.byCpuTime,
    steps: found.steps,
    ended: found.ended,
    refusals: found.refused,
    pareto: found.pareto,
    finalists: found.finalists,
    bottlenecks: limits[0].map((limit) => ({ ...limit, ...comparedGain(limit, before, found.steps, records) })),
    nextBottlenecks: limits[1],
    quality: {
      search: qualityOf(judgements, best.configuration),
      heldOut: heldOutOf(qualityOf(final, best.configuration), found),
    },
    skipped: skippedOf(final, best.configuration),
    identities: identityFigures(judgedResult(final, best.configuration)?.identities),
    counts: countsOf(final, baseline.configuration, best.configuration, finished.acceptsCounts),
    liveStages: { before: liveOf(records, baseline, options), after: liveOf(records, best, options) },
    techniques: techniquesOf(found.steps, finished.whyNoInt8, finished.whyNotFewer),
    measurements: records,
  };
}

function recordOf(records: readonly LoggedRecord[], id: string): LoggedRecord {
  return records.find((record) => record.id === id)!;
}

/** Judgements that were made on the search part (`quality`) or on the held-out part (`verdict`), in order. */
function judgementsIn(records: readonly LoggedRecord[], kind: 'quality' | 'verdict'): readonly LoggedRecord[] {
  return records.filter((record) => record.kind === kind && record.error === null);
}

/** Configurations that detect the same share a judgement. The latest counts: an earlier run had other finalists. */
function judgedRecord(judgements: readonly LoggedRecord[], configuration: Configuration): LoggedRecord | null {
  const key = qualityKey(configuration);
  return judgements.findLast((judged) => qualityKey(judged.configuration) === key) ?? null;
}

function judgedResult(judgements: readonly LoggedRecord[], configuration: Configuration): Judgement | undefined {
  return judgedRecord(judgements, configuration)?.result as Judgement | undefined;
}

/** The verdict on the held-out part; null if the configuration needed none. */
export function finalJudgementOf(records: readonly LoggedRecord[], configuration: Configuration): Judgement | null {
  const record = judgedRecord(judgementsIn(records, 'verdict'), configuration);
  return record === null ? null : (record.result as Judgement);
}

function speedupOf({ speedup }: SearchResult, records: readonly LoggedRecord[]): ReportSpeedup | null {
  if (speedup === null) return null;
  const { before = [], after = [] } = recordOf(records, speedup.measurements[0]!).result as {
    readonly before?: readonly number[];
    readonly after?: readonly number[];
  };
  const [beforeFps, afterFps] = [before, after].map((rates) => (rates.length === 0 ? null : median(rates)));
  // Without time for a comparison the pairs of the search are the proof: A B B A, two turns each.
  const pairs = before.length > 0 ? before.length : 2 * speedup.measurements.length;
  return { ...speedup, pairs, beforeFps: beforeFps!, afterFps: afterFps! };
}

function limitsOf(record: LoggedRecord, { isOnGpu }: Finished, times: InferTimes | null): ReportBottleneck[] {
  const context = {
    hasOwnDevice: isOnGpu,
    inferSlowdown: times === null ? null : times.allThreadsMs / times.oneThreadMs,
    isResizedBySharp: record.configuration.resizeBy === 'sharp',
  };
  return findBottlenecks(record.result as TrialResult, context).map((limit) => ({
    ...limit,
    measurements: [record.id],
  }));
}

/** CPU time of a stage after a change over that before it, within which the change is one that halves it. */
const HALVED = [0.4, 0.6] as const;

/** Levers that may change along with another one, since they act on the time for inference alone. */
const INFERENCE: readonly string[] = LEVER_IDS.filter(isPartLever);

/**
 * The gain of the change that does what a remedy assumes, from the baseline on: the same number of threads, or half of a stage's time. A
 * change that does more or less is not compared.
 */
function comparedGain(
  { lever, measurements }: ReportBottleneck,
  before: LoggedRecord,
  steps: readonly Step[],
  records: readonly LoggedRecord[],
): Pick<ReportBottleneck, 'measuredGain' | 'measurements'> {
  const first = steps.findIndex(({ isTaken }) => isTaken);
  const fromBaseline = first < 0 ? steps : steps.slice(0, first + 1);
  const isAlike = (step: Step): boolean => {
    const along = /\((.*)\)$/.exec(step.to)?.[1]?.split(', ') ?? [];
    if (step.measuredGain === null || along.some((text) => !INFERENCE.includes(text.split(' ')[0]!))) return false;
    if (lever === 'inferenceThreads') return step.lever === lever && Number(step.to) === before.machine.cores;
    if (lever === 'resizeBy' || lever === 'decodeThreads') return step.lever === lever;
    const stage = lever === 'engine' ? 'infer' : lever === 'hwaccel' ? 'decode' : null;
    return stage !== null && isHalved(stage, step, records);
  };
  const step = fromBaseline.find(isAlike);
  return { measuredGain: step?.measuredGain ?? null, measurements: [...measurements, ...(step?.measurements ?? [])] };
}

function isHalved(stage: 'infer' | 'decode', { measurements }: Step, records: readonly LoggedRecord[]): boolean {
  const pair = measurements
    .map((id) => recordOf(records, id))
    .find(({ kind, error }) => kind === 'pair' && error === null);
  const cost = (side: 'a' | 'b'): number | null =>
    (pair?.result as { a: TrialResult[]; b: TrialResult[] } | undefined)?.[side][0]?.cpuMsPerFrame?.[stage] ?? null;
  const [old, now] = [cost('a'), cost('b')];
  if (old === null || now === null || old === 0) return false;
  return now / old >= HALVED[0] && now / old <= HALVED[1];
}

/** What the detector of a configuration finds: by labels where there are any, else by agreement, whatever it skips. */
function qualityOf(judgements: readonly LoggedRecord[], configuration: Configuration): QualityFigure | null {
  const record = judgedRecord(judgements, configuration);
  const judged = record === null ? null : (record.result as Judgement);
  const gate = judged?.labels ?? (judged?.video?.isLossJudged === true ? judged.video : null);
  if (record === null || gate === null) return null;
  return { ...gate, measurements: [record.id] };
}

function heldOutOf(figure: QualityFigure | null, { finalists }: SearchResult): ReportQuality['heldOut'] {
  return figure === null ? null : { ...figure, finalists: finalists.length };
}

function skippedOf(judgements: readonly LoggedRecord[], best: Configuration): ReportSkipped | null {
  const record = judgedRecord(judgements, best);
  const gate = judgedResult(judgements, best)?.skips ?? null;
  return record === null || gate === null
    ? null
    : { f1: gate.candidate, frames: gate.pictures, measurements: [record.id] };
}

/** What a verdict on identities says; null without one. */
export function identityFigures(gate: GateVerdict | undefined): IdentityFigures | null {
  if (gate?.identities === undefined) return null;
  const { verdict, reference, candidate, loss, interval, allowed, evidence: tracks, identities } = gate;
  return { verdict, reference, candidate, loss, interval, allowed, tracks, identities };
}

/** Lines, zones and tracks where a video was judged. */
function countsOf(
  judgements: readonly LoggedRecord[],
  baseline: Configuration,
  best: Configuration,
  isAccepted: boolean,
): ReportCounts | null {
  const judged = judgedResult(judgements, best);
  const videos = [judged?.video?.video, judged?.skips?.video].filter((video) => video != null);
  if (videos.length === 0) return null;
  return {
    counts: videos.flatMap(({ counts }) => counts),
    tracks: videos.map(({ tracks }) => tracks),
    isOtherDetector: best.model !== baseline.model,
    isAccepted,
  };
}

/** The newest run at the speed of cameras with the number that the configuration serves; else the newest of any number. */
function liveOf(records: readonly LoggedRecord[], side: ReportSide, { cameraFps }: ReportOptions): LiveSide | null {
  const key = configurationKey(side.configuration);
  const live = records.filter(
    ({ configuration, scenario, error }) =>
      error === null && scenario.startsWith('cameras') && configurationKey(configuration) === key,
  );
  const streamsOf = ({ result }: LoggedRecord): number => (result as TrialResult).streams;
  const record = live.findLast((one) => streamsOf(one) === side.capacity?.cameras) ?? live.at(-1);
  if (record === undefined) return null;
  const rate = / at (\d+(?:\.\d+)?) fps/.exec(record.scenario)?.[1];
  return { cameras: streamsOf(record), cameraFps: Number(rate ?? cameraFps), measurement: record.id };
}

const NOT_PREDICTED = 'not predicted to be faster, or not among --levers';

/** Techniques that somebody would ask about, and what became of them. */
export function techniquesOf(
  steps: readonly Step[],
  whyNoInt8: string | null,
  whyNotFewer: string | null = null,
): readonly Technique[] {
  const int8 = steps.filter(({ from, to }) => /\bint8\b/.test(to) && !/\bint8\b/.test(from));
  const batches = steps.filter(({ lever, measuredGain }) => lever === 'maxBatch' && measuredGain !== null);
  const decodes = steps.filter(({ lever }) => lever === 'decode');
  const skips = steps.filter(({ lever }) => isSkipLever(lever) && lever !== 'decode');
  const best = (tried: readonly Step[]): string => {
    const step = tried.find(({ isTaken }) => isTaken) ?? tried.at(-1)!;
    const gain = step.measuredGain === null ? 'not run' : `${step.measuredGain.toFixed(2)} times the rate`;
    return `${step.isTaken ? 'taken' : 'not taken'}: ${gain}, ${step.reason}`;
  };
  const row = (name: string, tried: readonly Step[], why: string): Technique =>
    tried.length > 0
      ? {
          name,
          state: 'tried',
          reason: best(tried),
          measurements: [...new Set(tried.flatMap((step) => step.measurements))],
        }
      : { name, state: 'not tried', reason: why, measurements: [] };
  return [
    row('INT8', int8, whyNoInt8 ?? 'the search found faster formats first, or ended before'),
    row('batches across streams', batches, NOT_PREDICTED),
    row('skipping inference', skips, NOT_PREDICTED),
    row('decoding fewer frames', decodes, whyNotFewer ?? NOT_PREDICTED),
    row(
      'caching of results',
      [],
      'it saves inference only for pictures that are identical bit by bit, which no camera sends; model.cacheResults turns it on for archives',
    ),
    row('tiles', [], 'each costs an inference and finds smaller objects: a setting for quality, not for rate'),
    row('region', [], 'only you know which area matters; a region also changes the size of objects in the input'),
  ];
}
