import { SightlineError } from '../../base/errors/sightline-error.ts';
import { framesNeeded, isBeyond, RISK } from '../../base/statistics/binomial-bound.ts';
import type { MachineUse } from '../../frame/telemetry/machine-counters.ts';
import type { PercentileCount, StreamFigures, TargetVerdict } from './trial-result.ts';

/** What a target can be about, with its direction and unit. */
const METRICS = {
  fps: { relation: '>=', unit: '' },
  total: { relation: '>=', unit: '' },
  streams: { relation: '>=', unit: '' },
  p50: { relation: '<=', unit: 'ms', quantile: 0.5 },
  p90: { relation: '<=', unit: 'ms', quantile: 0.9 },
  p95: { relation: '<=', unit: 'ms', quantile: 0.95 },
  p99: { relation: '<=', unit: 'ms', quantile: 0.99 },
  drops: { relation: '<=', unit: '%' },
  cpu: { relation: '<=', unit: '%' },
} as const;

export type TargetMetric = keyof typeof METRICS;

function quantileOf(metric: TargetMetric): number | undefined {
  const rule = METRICS[metric];
  return 'quantile' in rule ? rule.quantile : undefined;
}

export interface Target {
  readonly metric: TargetMetric;
  /** fps: of each stream; total: of all together. Latencies in milliseconds. `drops` and `cpu` as a ratio, 0.01 for 1 %. */
  readonly limit: number;
  /** As a user writes it, `p99<=50ms`. */
  readonly text: string;
}

const EXAMPLE = 'fps>=30,p99<=50ms,streams>=8';
const PART = /^([a-z0-9]+)\s*([<>=]{1,2})\s*(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|%)?$/;

/**
 * Parses targets as a user writes them: `fps>=30,p99<=50ms,streams>=8,drops<=1%,cpu<=80%`.
 *
 * @throws COMMAND_INVALID that names the part that is wrong.
 */
export function parseTargets(text: string): Target[] {
  const targets: Target[] = [];
  for (const part of text.split(',').map((piece) => piece.trim())) {
    const target = parseTarget(part);
    if (targets.some(({ metric }) => metric === target.metric))
      throw invalid(part, `expected each target once, received ${target.metric} again`);
    targets.push(target);
  }
  return targets;
}

function parseTarget(part: string): Target {
  const [, name = '', relation, number, unit = ''] = PART.exec(part) ?? [];
  if (!Object.hasOwn(METRICS, name))
    throw invalid(part, `expected one of ${Object.keys(METRICS).join(', ')} with a limit, as in ${EXAMPLE}`);
  const metric = name as TargetMetric;
  const rule = METRICS[metric];
  if (relation !== rule.relation)
    throw invalid(part, `expected ${metric}${rule.relation}${number}${unit}, since it is a limit`);
  const isSeconds = rule.unit === 'ms' && unit === 's';
  if (unit !== '' && unit !== rule.unit && !isSeconds)
    throw invalid(part, `expected ${rule.unit === '' ? 'no unit' : `the unit ${rule.unit}`}, received ${unit}`);
  const written = isSeconds ? Number(number) * 1000 : Number(number);
  if (written === 0 && rule.relation === '>=') throw invalid(part, 'expected a number above 0');
  const limit = rule.unit === '%' ? written / 100 : written;
  return { metric, limit, text: `${metric}${rule.relation}${written}${rule.unit}` };
}

function invalid(part: string, problem: string): SightlineError {
  return new SightlineError('COMMAND_INVALID', `target ${JSON.stringify(part)}: ${problem}`);
}

/** Most frames that may be dropped if no target says otherwise: latency is short where most frames are dropped. */
export const DEFAULT_DROPS = 'drops<=1%';

/** The percentiles among targets. */
export function percentileTargets(
  targets: readonly Target[],
): { readonly metric: TargetMetric; readonly quantile: number; readonly limitMs: number }[] {
  return targets.flatMap(({ metric, limit }) => {
    const quantile = quantileOf(metric);
    return quantile === undefined ? [] : [{ metric, quantile, limitMs: limit }];
  });
}

/** What targets are compared with in one stream. */
export interface StreamEvidence extends Omit<StreamFigures, 'mediaSpeed'> {
  /**
   * Frames per second that its camera offered, counted; a target for the rate asks for no more. Absent if it is not known.
   */
  readonly offeredFps?: number;
}

/** What targets are compared with. */
export interface TargetEvidence {
  readonly perStream: readonly StreamEvidence[];
  readonly seconds: number;
  /** Of all streams together. */
  readonly dropRatio: number;
  /** Null where it is not known. */
  readonly machine: Pick<MachineUse, 'ownRatio'> | null;
  /** Streams that ran, or the largest number that a search for the capacity found. */
  readonly streams: number;
  /** True if others took the CPU: a target that is missed so may be met without them. */
  readonly isDisturbed?: boolean;
}

/**
 * Compares what was measured with the targets. Targets for latency, rate and drops are judged for each stream and for all
 * together: one that is missed anywhere is missed, and one that is not decided everywhere is not met. Percentiles are
 * decided by exact binomial bounds on all frames, which are wrong with a probability of 1 % in all.
 *
 * @param looks - how often the same frames are judged, at moments fixed beforehand; each look takes its part of the 1 %.
 */
export function judgeTargets(targets: readonly Target[], evidence: TargetEvidence, looks = 1): TargetVerdict[] {
  const verdicts = targets.map((target) =>
    judge(target, evidence, RISK / (boundsOf(evidence.perStream.length) * looks)),
  );
  return evidence.isDisturbed === true ? verdicts.map(withoutMisses) : verdicts;
}

/** Compares a number of streams with a target for it. */
export function judgeCount(target: Target, streams: number): TargetVerdict {
  return { target: target.text, ...counted(target, streams, streams >= target.limit, `${streams} streams`) };
}

/** Met: every target is. Missed: one is. Else not decided. */
export function verdictOf(targets: readonly Pick<TargetVerdict, 'state'>[]): TargetVerdict['state'] {
  if (targets.some(({ state }) => state === 'missed')) return 'missed';
  return targets.every(({ state }) => state === 'met') ? 'met' : 'not enough frames';
}

/**
 * Returns how many frames of each stream decide the percentiles among the targets if all streams meet them clearly: with
 * `misses` slow frames each. 0 without percentiles.
 */
export function framesToDecide(
  targets: readonly Target[],
  { streams, misses = 2, looks = 1 }: { readonly streams: number; readonly misses?: number; readonly looks?: number },
): number {
  const risk = RISK / (boundsOf(streams) * looks);
  return Math.max(0, ...percentileTargets(targets).map(({ quantile }) => framesNeeded(quantile, misses, risk)));
}

/** Bounds of which none may be wrong: one for each stream and one for all together. */
function boundsOf(streams: number): number {
  return streams <= 1 ? 1 : streams + 1;
}

/** What one stream, or all together, say about a target. */
interface Finding {
  readonly state: TargetVerdict['state'];
  readonly measured: number | null;
  readonly reason: string;
  /** As that of a verdict. */
  readonly gap: number | null;
}

function judge(target: Target, evidence: TargetEvidence, risk: number): TargetVerdict {
  const { metric, limit, text } = target;
  const { perStream, streams, machine } = evidence;
  const quantile = quantileOf(metric);
  if (quantile !== undefined) return combine(target, percentileFindings(target, quantile, perStream, risk), perStream);
  switch (metric) {
    case 'fps':
      return combine(
        target,
        perStream.map((stream) => rateFinding(target, stream, evidence.seconds)),
        perStream,
      );
    case 'total': {
      const fps = perStream.reduce((sum, stream) => sum + stream.fps, 0);
      // One frame is the resolution of a count.
      const isMet = fps > 0 && fps + 1 / evidence.seconds >= limit;
      return {
        target: text,
        ...counted(target, fps, isMet, `all streams together published ${fps.toFixed(1)} frames/s`),
      };
    }
    case 'streams':
      return judgeCount(target, streams);
    case 'drops':
      return combine(target, dropFindings(target, evidence, risk), perStream);
    default: {
      const ratio = machine?.ownRatio ?? null;
      if (ratio === null) return { target: text, ...unknown('this system does not report the use of the CPU') };
      return { target: text, ...counted(target, ratio, ratio <= limit, `${percent(ratio)} of the CPU was used`) };
    }
  }
}

/** A stream that is known by its id, or all together. */
const ALL = 'all streams together';

/** A target is met if every finding is; the worst one is its reason. @param findings - of each stream, then of all together. */
function combine(
  { text }: Target,
  findings: readonly Finding[],
  streams: readonly { readonly id: string }[],
): TargetVerdict {
  if (streams.length === 0) return { target: text, ...unknown('no frame was published') };
  const state = verdictOf(findings);
  const badness = (finding: Finding): number => finding.gap ?? Number.NEGATIVE_INFINITY;
  const own = findings.slice(0, streams.length);
  const worstOf = (some: readonly Finding[]): Finding | null =>
    some.length === 0 ? null : some.reduce((worst, other) => (badness(other) < badness(worst) ? other : worst));
  const stream = worstOf(own.filter((finding) => finding.state === state));
  const worst = stream ?? worstOf(findings.filter((finding) => finding.state === state))!;
  const name = streams[own.indexOf(worst)]?.id ?? ALL;
  const reason = streams.length === 1 ? worst.reason : `${name}: ${worst.reason}`;
  return { target: text, measured: worst.measured, state, reason, gap: worst.gap };
}

function percentileFindings(
  target: Target,
  quantile: number,
  streams: readonly StreamEvidence[],
  risk: number,
): Finding[] {
  const countOf = ({ counts }: StreamEvidence): PercentileCount | undefined =>
    counts.find(({ metric, limitMs }) => metric === target.metric && limitMs === target.limit);
  const findings = streams.map((stream): Finding => {
    if (stream.frames === 0) return unknown('no frame was published');
    const count = countOf(stream);
    if (count === undefined) return unknown('its frames were not compared with this limit');
    return percentileFinding(target, quantile, { frames: stream.frames, ...count }, risk);
  });
  const known = streams.flatMap((stream) => {
    const count = countOf(stream);
    return count === undefined || stream.frames === 0 ? [] : [{ frames: stream.frames, ...count }];
  });
  if (streams.length < 2 || known.length === 0) return findings;
  const sum = (of: (stream: (typeof known)[number]) => number): number =>
    known.reduce((total, stream) => total + of(stream), 0);
  const surelyOver = sum((stream) => stream.surelyOver);
  const frames = sum((stream) => stream.frames);
  // If each stream is within the limit, all together are: they can only show that it is missed.
  if (isBeyond(1 - quantile, surelyOver, frames, risk)) {
    const measuredMs = Math.max(target.limit, ...known.map((stream) => stream.measuredMs));
    findings.push(percentileFinding(target, quantile, { frames, over: surelyOver, surelyOver, measuredMs }, risk));
  }
  return findings;
}

function percentileFinding(
  target: Target,
  quantile: number,
  { frames, over, surelyOver, measuredMs }: Omit<PercentileCount, 'metric' | 'limitMs'> & { readonly frames: number },
  risk: number,
): Finding {
  const reason = `${over} of ${frames} frames took longer`;
  const hasMissed = isBeyond(1 - quantile, surelyOver, frames, risk);
  // By nearest rank, so that figure and count agree to the frame.
  const isWithin = over <= frames - Math.max(1, Math.ceil(quantile * frames));
  const measured = isWithin ? Math.min(measuredMs, target.limit) : Math.max(measuredMs, target.limit);
  const gap = gapOf(target, measured, target.limit);
  if (hasMissed) return { state: 'missed', measured, reason, gap };
  const needed = framesNeeded(quantile, over, risk);
  if (frames >= needed) return { state: 'met', measured, reason, gap };
  const why = isWithin ? `${needed} frames are needed to be 99 % sure` : 'that is too near the limit to be 99 % sure';
  // Beyond the limit, but not surely so: never better than the limit itself.
  return {
    state: 'not enough frames',
    measured,
    reason: `${reason}; ${why}`,
    gap: isWithin ? gap : Math.min(gap, -1e-9),
  };
}

/** Where an interval of time begins and ends is chance: one frame is the resolution of each count. */
function rateFinding(target: Target, { fps, offeredFps, entered }: StreamEvidence, seconds: number): Finding {
  if (offeredFps !== undefined && offeredFps <= 0 && entered === 0) return unknown('its camera offered no frame');
  // A camera that offers 12 frames/s is asked for those 12, which are a count as well.
  const isAskedForLess = offeredFps !== undefined && offeredFps < target.limit;
  const asked = isAskedForLess ? offeredFps : target.limit;
  const slackFps = (offeredFps === undefined ? 1 : 2) / seconds;
  const of = isAskedForLess ? ` of ${offeredFps.toFixed(1)} offered` : '';
  const reason = `published ${fps.toFixed(1)} frames/s${of}`;
  const gap = gapOf(target, fps, asked);
  if (fps <= 0 && asked <= slackFps) return { state: 'not enough frames', measured: fps, reason, gap };
  return { state: fps > 0 && fps + slackFps >= asked ? 'met' : 'missed', measured: fps, reason, gap };
}

/** All together are compared as counted; a single stream that is above the limit by chance is not decided. */
function dropFindings(target: Target, { perStream, dropRatio }: TargetEvidence, risk: number): Finding[] {
  const text = (ratio: number): string => `${percent(ratio)} of the frames were dropped`;
  const all = counted(target, dropRatio, dropRatio <= target.limit, text(dropRatio));
  if (perStream.length < 2) return [all];
  const findings = perStream.map(({ entered, dropped }): Finding => {
    if (entered === 0) return unknown('no frame entered');
    const ratio = dropped / entered;
    const finding = counted(target, ratio, ratio <= target.limit, text(ratio));
    if (finding.state === 'met' || isBeyond(target.limit, dropped, entered, risk)) return finding;
    return { ...finding, state: 'not enough frames', reason: `${finding.reason}, ${dropped} of ${entered}` };
  });
  return [...findings, all];
}

/** A figure that is compared as it is. */
function counted(target: Target, measured: number, isMet: boolean, reason: string): Finding {
  return { measured, state: isMet ? 'met' : 'missed', reason, gap: gapOf(target, measured, target.limit) };
}

function gapOf({ metric }: Target, measured: number, limit: number): number {
  const surplus = METRICS[metric].relation === '>=' ? measured - limit : limit - measured;
  return limit === 0 ? -measured : surplus / limit;
}

/** A target without a measurement is never met. */
function unknown(reason: string): Finding {
  return { measured: null, state: 'not enough frames', reason, gap: null };
}

/** While others took the CPU, a target that was met is met; one that was missed is not decided. */
function withoutMisses(verdict: TargetVerdict): TargetVerdict {
  if (verdict.state !== 'missed') return verdict;
  return { ...verdict, state: 'not enough frames', reason: `${verdict.reason}, while others took the CPU` };
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}
