import { SightlineError } from '../errors/sightline-error.ts';
import { framesNeeded } from './binomial-bound.ts';
import type { TargetVerdict, TrialResult } from './trial-result.ts';

/** What a target can be about, with its direction and unit. */
const METRICS = {
  fps: { relation: '>=', unit: '' },
  streams: { relation: '>=', unit: '' },
  p50: { relation: '<=', unit: 'ms' },
  p90: { relation: '<=', unit: 'ms' },
  p95: { relation: '<=', unit: 'ms' },
  p99: { relation: '<=', unit: 'ms' },
  drops: { relation: '<=', unit: '%' },
  cpu: { relation: '<=', unit: '%' },
} as const;

export type TargetMetric = keyof typeof METRICS;

const QUANTILES: Readonly<Partial<Record<TargetMetric, number>>> = { p50: 0.5, p90: 0.9, p95: 0.95, p99: 0.99 };

export interface Target {
  readonly metric: TargetMetric;
  /** fps: of the slowest stream. Latencies in milliseconds. `drops` and `cpu` as a ratio, 0.01 for 1 %. */
  readonly limit: number;
  /** As a user writes it, `p99<=50ms`. */
  readonly text: string;
}

const EXAMPLE = 'fps>=30,p99<=50ms,streams>=8';
const PART = /^([a-z0-9]+)\s*(>=|<=)\s*(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|%)?$/;

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
  if (relation !== rule.relation) throw invalid(part, `expected ${metric}${rule.relation}, since it is a limit`);
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

/** What targets are compared with. */
export type TargetEvidence = Pick<
  TrialResult,
  'streamFps' | 'seconds' | 'latencyMs' | 'latenciesMs' | 'dropRatio' | 'machine'
> & {
  /** Streams that ran, or the largest number that a search for the capacity found. */
  readonly streams: number;
};

/**
 * Compares a trial with the targets. A percentile is met only if enough frames were measured to be 99 % sure of it; see
 * `framesNeeded`.
 */
export function judgeTargets(targets: readonly Target[], evidence: TargetEvidence): TargetVerdict[] {
  return targets.map((target) => judge(target, evidence));
}

function judge(target: Target, evidence: TargetEvidence): TargetVerdict {
  const { metric, limit } = target;
  const quantile = QUANTILES[metric];
  if (quantile !== undefined) return judgePercentile(target, quantile, evidence);
  switch (metric) {
    case 'fps': {
      const fps = Math.min(...evidence.streamFps);
      if (evidence.streamFps.length === 0) return unknown(target, 'no frame was published');
      // A window may begin right after a frame and end right before one: one frame is the resolution of a count.
      const isMet = fps + 1 / evidence.seconds >= limit;
      return verdict(target, fps, isMet, `the slowest stream published ${fps.toFixed(1)} frames/s`);
    }
    case 'streams':
      return verdict(target, evidence.streams, evidence.streams >= limit, `${evidence.streams} streams`);
    case 'drops': {
      const { dropRatio } = evidence;
      return verdict(target, dropRatio, dropRatio <= limit, `${percent(dropRatio)} of the frames were dropped`);
    }
    default: {
      const ratio = evidence.machine.ownRatio;
      if (ratio === null) return unknown(target, 'this system does not report the use of the CPU');
      return verdict(target, ratio, ratio <= limit, `${percent(ratio)} of the CPU was used`);
    }
  }
}

function judgePercentile(target: Target, quantile: number, { latenciesMs }: TargetEvidence): TargetVerdict {
  const sample = latenciesMs ?? [];
  if (sample.length === 0) return unknown(target, 'no frame was published');
  const misses = sample.filter((ms) => ms > target.limit).length;
  const sorted = [...sample].sort((a, b) => a - b);
  const measured = sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)]!;
  const counted = `${misses} of ${sample.length} frames took longer`;
  if (measured > target.limit) return verdict(target, measured, false, counted);
  const needed = framesNeeded(quantile, misses);
  if (sample.length >= needed) return verdict(target, measured, true, counted);
  const reason = `${counted}; ${needed} frames are needed to be 99 % sure`;
  return { ...verdict(target, measured, true, reason), state: 'not enough frames' };
}

function verdict({ metric, limit, text }: Target, measured: number, isMet: boolean, reason: string): TargetVerdict {
  const surplus = METRICS[metric].relation === '>=' ? measured - limit : limit - measured;
  const gap = limit === 0 ? -measured : surplus / limit;
  return { target: text, measured, state: isMet ? 'met' : 'missed', reason, gap };
}

/** A target without a measurement is never met. */
function unknown({ text }: Target, reason: string): TargetVerdict {
  return { target: text, measured: null, state: 'not enough frames', reason, gap: null };
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}
