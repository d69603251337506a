import type { StreamConfig } from '../../config/stream.ts';
import type { EventKind } from '../../protocol/feed.ts';
import type { Percentiles } from '../../protocol/report.ts';
import { RATE_WINDOW_MS } from '../../telemetry/rate-meter.ts';
import { TargetWatch } from '../../telemetry/target-watch.ts';
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

/** Compares one stream's metrics with the operator's targets. */
export class StreamTargets {
  readonly #target: StreamConfig['target'];
  readonly #fps: TargetWatch;
  readonly #latency: TargetWatch;

  /** @param before - those of the same stream until now: a target that it misses stays missed until the new figure is met. */
  constructor(target: StreamConfig['target'], before: StreamTargets | null = null) {
    this.#target = target;
    this.#fps = before === null || target.fps === undefined ? new TargetWatch() : before.#fps;
    this.#latency = before === null || target.latencyMs === undefined ? new TargetWatch() : before.#latency;
  }

  get isMissing(): { fps: boolean; latency: boolean } {
    return { fps: this.#fps.isMissing, latency: this.#latency.isMissing };
  }

  /** @param isLive - false for streams that are paused or have ended, which are not checked. */
  update(id: string, publishedFps: number, latencyMs: Percentiles, isLive: boolean, nowMs: number): TargetEvent[] {
    if (!isLive) {
      this.#fps.pause();
      this.#latency.pause();
      return [];
    }
    const events: TargetEvent[] = [];
    const { fps, latencyMs: limitMs } = this.#target;
    if (fps !== undefined) {
      const least = Math.min(fps * FPS_TOLERANCE, fps - ONE_FRAME_FPS);
      const change = this.#fps.update(publishedFps >= least, nowMs);
      if (change !== null)
        events.push(targetEvent(id, change, 'fps', publishedFps, fps, `${publishedFps.toFixed(1)} fps, target ${fps}`));
    }
    if (limitMs !== undefined && latencyMs.count > 0) {
      const change = this.#latency.update(latencyMs.p99 <= limitMs, nowMs);
      if (change !== null)
        events.push(
          targetEvent(
            id,
            change,
            'latencyMs',
            latencyMs.p99,
            limitMs,
            `p99 ${latencyMs.p99.toFixed(0)} ms, target ${limitMs} ms`,
          ),
        );
    }
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
