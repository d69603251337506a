import type { StreamConfig } from '../../config/stream.ts';
import type { EventKind } from '../../protocol/feed.ts';
import { RATE_WINDOW_MS } from '../../telemetry/rate-meter.ts';
import { TargetWatch } from '../../telemetry/target-watch.ts';
import { latencyMiss, rateMiss, type StreamPace } from './miss-reason.ts';
import type { EventDetails } from './stream-port.ts';

/** Share of the target rate that counts as reached, since camera clocks are not exact. */
const FPS_TOLERANCE = 0.95;

/** One frame in the window of the rate: with one frame a second it comes a little earlier or later by chance. */
const ONE_FRAME_FPS = 1000 / RATE_WINDOW_MS;

export interface TargetEvent {
  readonly kind: EventKind;
  readonly message: string;
  readonly details: EventDetails;
}

interface Reasons {
  readonly fps: string | null;
  readonly latency: string | null;
}

/** Compares one stream's metrics with the operator's targets, and says why it misses one. */
export class StreamTargets {
  readonly #config: Pick<StreamConfig, 'target' | 'every' | 'maxFps'>;
  readonly #fps: TargetWatch;
  readonly #latency: TargetWatch;
  #reasons: Reasons = { fps: null, latency: null };

  /** @param before - those of the same stream until now: a target that it misses stays missed until the new figure is met. */
  constructor(config: Pick<StreamConfig, 'target' | 'every' | 'maxFps'>, before: StreamTargets | null = null) {
    const { fps, latencyMs } = config.target;
    this.#config = config;
    this.#fps = before === null || fps === undefined ? new TargetWatch() : before.#fps;
    this.#latency = before === null || latencyMs === undefined ? new TargetWatch() : before.#latency;
  }

  get isMissing(): { fps: boolean; latency: boolean } {
    return { fps: this.#fps.isMissing, latency: this.#latency.isMissing };
  }

  /** One phrase for each target that is missed, from the last update; null for the others. */
  get missReasons(): Reasons {
    return this.#reasons;
  }

  /** @param pace - null for streams that are paused or have ended, which are not checked. */
  update(id: string, pace: StreamPace | null, nowMs: number): TargetEvent[] {
    if (pace === null) {
      this.#fps.pause();
      this.#latency.pause();
      return [];
    }
    const events: TargetEvent[] = [];
    const { fps, latencyMs: limitMs } = this.#config.target;
    const { published } = pace.fps;
    let [rate, latency]: [string | null, string | null] = [null, null];
    if (fps !== undefined) {
      const least = Math.min(fps * FPS_TOLERANCE, fps - ONE_FRAME_FPS);
      const change = this.#fps.update(published >= least, nowMs);
      if (this.#fps.isMissing) rate = rateMiss(fps, least, this.#config, pace);
      const figures = rate ?? `${published.toFixed(1)} fps, target ${fps}`;
      if (change !== null) events.push(targetEvent(id, change, 'fps', published, fps, figures));
    }
    if (limitMs !== undefined) {
      const { count, p99 } = pace.latencyMs;
      const change = count > 0 ? this.#latency.update(p99 <= limitMs, nowMs) : null;
      if (this.#latency.isMissing && count > 0) latency = latencyMiss(limitMs, pace);
      const figures = latency ?? `p99 ${p99.toFixed(0)} ms, target ${limitMs} ms`;
      if (change !== null) events.push(targetEvent(id, change, 'latencyMs', p99, limitMs, figures));
    }
    this.#reasons = { fps: rate, latency };
    return events;
  }
}

function targetEvent(
  id: string,
  change: 'missed' | 'met',
  what: string,
  measured: number,
  target: number,
  figures: string,
): TargetEvent {
  const kind = change === 'missed' ? 'target-missed' : 'target-met';
  const verb = change === 'missed' ? 'misses its target' : 'meets its target again';
  return { kind, message: `${id} ${verb}: ${figures}`, details: { what, measured, target } };
}
