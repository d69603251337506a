import type { DropReason } from '../../../base/core/frame.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import { LATENCY_STAGES, type LatencyStage } from '../../../wire/protocol/latency.ts';
import type { Percentiles } from '../../../wire/protocol/report.ts';
import type { Busy } from '../../telemetry/judge-overload.ts';
import type { StageWaits } from './stream-port.ts';

/** The settings that limit how many frames a stream takes. */
export type RateLimits = Pick<StreamConfig, 'every' | 'maxFps' | 'decode'>;

/** What a stream does now. Rates in frames per second. */
export interface StreamPace {
  readonly fps: { readonly in: number; readonly published: number };
  /** Frames dropped per second, by reason. */
  readonly droppedFps: Readonly<Partial<Record<DropReason, number>>>;
  readonly latencyMs: Percentiles;
  readonly stagesMs: Readonly<Record<LatencyStage, Percentiles>>;
  /** Null without second stages. */
  readonly stageWaits: StageWaits | null;
  /** The source is being opened again. */
  readonly isReconnecting: boolean;
  /** Its decoder waits, because no slot is free: a file that is read faster than it is inferred. */
  readonly isHeldBack: boolean;
  /** What has no room for more work on the host, and its busy ratio; null if all have room. */
  readonly busy: Busy | null;
}

const RECONNECTING = 'reconnecting';

/** Share of the frames that entered. Fewer drops than this are normal and explain no missed rate. */
const SOME_DROPS = 0.03;

const BUSY_TEXT: Readonly<Record<Busy['part'], string>> = {
  decode: 'decoding',
  preprocess: 'preprocessing',
  infer: 'inference',
  main: 'the main thread',
  processor: 'the processor',
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

/** Why a target is missed. */
export interface Miss {
  /** Changes only if the reason is another one, not with the figures. */
  readonly cause: string;
  /** It is a lack of this host, which other streams share; otherwise it concerns this stream. */
  readonly isOfHost: boolean;
  /** One phrase with the figures. */
  readonly text: string;
}

/** Returns why a stream publishes fewer frames than its target, as "publishes 2.0 of 25 frames/s because maxFps is 2". */
export function rateMiss(target: number, least: number, limits: RateLimits, pace: StreamPace): Miss {
  const published = `${pace.fps.published.toFixed(1)} of ${target} frames/s`;
  if (pace.fps.published >= least)
    return { cause: 'none', isOfHost: false, text: `publishes ${published} again, for less than 30 s` };
  const { text, ...miss } = rateCause(target, least, limits, pace);
  return { ...miss, text: `publishes ${published} because ${text}` };
}

/** Order matters: causes that an operator can change come before mere symptoms. */
function rateCause(target: number, least: number, { every, maxFps, decode }: RateLimits, pace: StreamPace): Miss {
  const { fps, isReconnecting, isHeldBack, busy } = pace;
  // The report says why beside this.
  if (isReconnecting) return own(RECONNECTING, 'the source is being opened again');
  const dropped = Object.entries(pace.droppedFps) as [DropReason, number][];
  const droppedFps = dropped.reduce((sum, [, rate]) => sum + rate, 0);
  const isCapped = maxFps !== undefined && maxFps < target;
  // A limit explains the miss unless drops keep the rate well below the limit.
  if (droppedFps > SOME_DROPS * Math.max(fps.in, target) && !(isCapped && fps.published >= 0.9 * maxFps)) {
    const [most] = dropped.reduce((a, b) => (b[1] > a[1] ? b : a));
    // Frames get old because they wait for a detector that is busy.
    const isBusy = busy !== null || dropped.some(([reason]) => reason === 'shed' || reason === 'queue-full');
    const reason = most === 'stale' && isBusy ? 'queue-full' : most;
    const text = `${DROP_TEXT[reason]}: ${droppedFps.toFixed(1)} frames/s are dropped${busyText(busy)}`;
    return { cause: DROP_TEXT[reason], isOfHost: ['shed', 'queue-full', 'stale'].includes(reason), text };
  }
  if (isCapped) return own('maxFps', `maxFps is ${maxFps}`);
  const step = slowestStep(pace);
  if (isHeldBack && step.isSecond)
    return { cause: step.name, isOfHost: true, text: `${step.name} cannot keep up (p99 ${step.p99.toFixed(0)} ms)` };
  if (isHeldBack) return { cause: 'held back', isOfHost: true, text: `the detector cannot keep up${busyText(busy)}` };
  // A detector that is busy costs frames that have entered; it does not keep them from entering.
  const sendsTooFew = busy?.part === 'infer' && fps.in < least;
  if (busy !== null && !sendsTooFew)
    return { cause: 'busy', isOfHost: true, text: `${BUSY_TEXT[busy.part]} is ${percent(busy.ratio)} % busy` };
  if (every > 1 && fps.in * every >= least)
    return own('every', `every is ${every} and the source sends ${(fps.in * every).toFixed(1)} frames/s`);
  if (decode !== 'all')
    return own('decode', `decode is ${decode} and the source has ${(fps.in * every).toFixed(1)} such frames/s`);
  const sent = fps.in === 0 ? 'no frames arrive from the source' : `the source sends ${fps.in.toFixed(1)} frames/s`;
  return own('source', sent);
}

function own(cause: string, text: string): Miss {
  return { cause, isOfHost: false, text };
}

function busyText(busy: StreamPace['busy']): string {
  return busy === null ? '' : ` (${BUSY_TEXT[busy.part]} is ${percent(busy.ratio)} % busy)`;
}

/** Returns why results are older than the target, as "p99 520 ms, target 400 ms, most of it in queue (p99 310 ms)". */
export function latencyMiss(limitMs: number, pace: StreamPace): Miss {
  const { latencyMs, busy } = pace;
  const figures = `p99 ${latencyMs.p99.toFixed(0)} ms, target ${limitMs} ms`;
  if (latencyMs.p99 <= limitMs) return own('none', `${figures}, within it for less than 30 s`);
  const { name, p99 } = slowestStep(pace);
  const text = `${figures}, most of it in ${name} (p99 ${p99.toFixed(0)} ms)`;
  return { cause: name, isOfHost: busy !== null, text };
}

interface Step {
  readonly name: string;
  readonly p99: number;
  /** It is a second stage. */
  readonly isSecond: boolean;
}

/** Returns the step with the most time: a stage of the frame, or a second stage, where frames wait for these before they are published. */
function slowestStep({ stagesMs, stageWaits }: Pick<StreamPace, 'stagesMs' | 'stageWaits'>): Step {
  const waited = stageWaits?.whole.p99 ?? 0;
  const steps: Step[] = LATENCY_STAGES.map((name) => {
    const { p99 } = stagesMs[name];
    return { name, p99: name === 'publish' ? p99 - waited : p99, isSecond: false };
  });
  for (const [name, { p99 }] of stageWaits?.byStage ?? [])
    steps.push({ name: `second stage "${name}"`, p99, isSecond: true });
  return steps.reduce((a, b) => (b.p99 > a.p99 ? b : a));
}

/** A reason is replaced by another one once that has held for so long. */
const REASON_MS = 5_000;

/** Keeps the reason of a miss while another one is there for a moment only. */
export class StatedReason {
  #stated: Miss | null = null;
  #other: { readonly cause: string; readonly sinceMs: number } | null = null;

  /** @param miss - now; null if nothing is missed. @returns the one to state */
  update(miss: Miss | null, nowMs: number): Miss | null {
    const isCertain = miss === null || this.#stated === null || miss.cause === RECONNECTING;
    if (isCertain || miss.cause === this.#stated?.cause) {
      this.#stated = miss;
      this.#other = null;
      return miss;
    }
    if (this.#other?.cause !== miss.cause) this.#other = { cause: miss.cause, sinceMs: nowMs };
    if (nowMs - this.#other.sinceMs < REASON_MS) return this.#stated;
    this.#stated = miss;
    this.#other = null;
    return miss;
  }
}

const percent = (ratio: number): number => Math.round(100 * ratio);
