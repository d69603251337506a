import type { DropReason } from '../../core/frame.ts';
import {
  BOTTLENECK_RATIO,
  type BusyStage,
  type HostReport,
  LATENCY_STAGES,
  type LatencyStage,
  type Percentiles,
} from '../../protocol/report.ts';

/** The settings that limit how many frames a stream takes. */
export interface RateLimits {
  readonly every: number;
  readonly maxFps?: number | undefined;
}

/** What a stream does now. Rates in frames per second. */
export interface StreamPace {
  readonly fps: { readonly in: number; readonly published: number };
  /** Frames dropped per second, by reason. */
  readonly droppedFps: Readonly<Partial<Record<DropReason, number>>>;
  readonly latencyMs: Percentiles;
  readonly stagesMs: Readonly<Record<LatencyStage, Percentiles>>;
  /** The source is being opened again. */
  readonly isReconnecting: boolean;
  /** Its decoder waits, because no slot is free: a file that is read faster than it is inferred. */
  readonly isHeldBack: boolean;
  /** The stage of the host without room for more work, and its busy ratio; null if all have room. */
  readonly busy: { readonly stage: BusyStage; readonly ratio: number } | null;
}

/** Share of the frames that entered. Fewer drops than this are normal and explain no missed rate. */
const SOME_DROPS = 0.03;

const BUSY_TEXT: Readonly<Record<BusyStage, string>> = {
  decode: 'decoding',
  preprocess: 'preprocessing',
  infer: 'inference',
  main: 'the main thread',
};

const DROP_TEXT: Readonly<Record<DropReason, string>> = {
  'queue-full': 'the detector cannot keep up',
  shed: 'the detector cannot keep up',
  stale: 'frames wait longer than maxAgeMs',
  'engine-failed': 'an inference thread failed',
  'lane-failed': 'a lane thread failed',
  'reference-lost': 'frames equal one that was dropped',
  'lease-lost': 'the lease was lost',
  stopped: 'the stream was stopped or changed',
};

/** Returns why a stream publishes fewer frames than its target, as "publishes 2.0 of 25 frames/s because maxFps is 2". */
export function rateMiss(target: number, least: number, limits: RateLimits, pace: StreamPace): string {
  const published = `${pace.fps.published.toFixed(1)} of ${target} frames/s`;
  if (pace.fps.published >= least) return `publishes ${published} again, for less than 5 s`;
  return `publishes ${published} because ${rateCause(target, least, limits, pace)}`;
}

/** Order matters: causes that an operator can change come before mere symptoms. */
function rateCause(target: number, least: number, { every, maxFps }: RateLimits, pace: StreamPace): string {
  const { fps, isReconnecting, isHeldBack, busy } = pace;
  // The report says why beside this.
  if (isReconnecting) return 'the source is being opened again';
  const dropped = Object.entries(pace.droppedFps) as [DropReason, number][];
  const droppedFps = dropped.reduce((sum, [, rate]) => sum + rate, 0);
  const isCapped = maxFps !== undefined && maxFps < target;
  // A limit explains the miss unless drops keep the rate well below the limit.
  if (droppedFps > SOME_DROPS * Math.max(fps.in, target) && !(isCapped && fps.published >= 0.9 * maxFps)) {
    const [reason] = dropped.reduce((a, b) => (b[1] > a[1] ? b : a));
    return `${DROP_TEXT[reason]}: ${droppedFps.toFixed(1)} frames/s are dropped${busyText(busy)}`;
  }
  if (isCapped) return `maxFps is ${maxFps}`;
  if (isHeldBack) return `the detector cannot keep up${busyText(busy)}`;
  if (busy !== null) return `${BUSY_TEXT[busy.stage]} is ${percent(busy.ratio)} % busy`;
  if (every > 1 && fps.in * every >= least)
    return `every is ${every} and the source sends ${(fps.in * every).toFixed(1)} frames/s`;
  return fps.in === 0 ? 'no frames arrive from the source' : `the source sends ${fps.in.toFixed(1)} frames/s`;
}

function busyText(busy: StreamPace['busy']): string {
  return busy === null ? '' : ` (${BUSY_TEXT[busy.stage]} is ${percent(busy.ratio)} % busy)`;
}

/** Returns why results are older than the target, as "p99 520 ms, target 400 ms, most of it in queue (p99 310 ms)". */
export function latencyMiss(limitMs: number, { latencyMs, stagesMs }: StreamPace): string {
  const figures = `p99 ${latencyMs.p99.toFixed(0)} ms, target ${limitMs} ms`;
  if (latencyMs.p99 <= limitMs) return `${figures}, within it for less than 5 s`;
  const stage = LATENCY_STAGES.reduce((a, b) => (stagesMs[b].p99 > stagesMs[a].p99 ? b : a));
  return `${figures}, most of it in ${stage} (p99 ${stagesMs[stage].p99.toFixed(0)} ms)`;
}

const percent = (ratio: number): number => Math.round(100 * ratio);

/** The stage that limits the host; null if all have room, or nothing was measured yet. */
export function busyStage(host: HostReport | undefined): StreamPace['busy'] {
  if (host === undefined || host.busyRatio[host.bottleneck] < BOTTLENECK_RATIO) return null;
  return { stage: host.bottleneck, ratio: host.busyRatio[host.bottleneck] };
}
