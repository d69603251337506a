import type { StreamConfig } from '../../../settings/config/stream.ts';
import { leastFps, TargetWatch } from '../../telemetry/target-watch.ts';
import { latencyMiss, type Miss, type RateLimits, rateMiss, StatedReason, type StreamPace } from './miss-reason.ts';
import type { TargetEvent } from './stream-port.ts';

interface Reasons {
  readonly fps: string | null;
  readonly latency: string | null;
}

/** Compares one stream's metrics with the operator's targets, and says why it misses one. */
export class StreamTargets {
  readonly #config: Pick<StreamConfig, 'target' | keyof RateLimits>;
  readonly #fps: TargetWatch;
  readonly #latency: TargetWatch;
  readonly #stated = { fps: new StatedReason(), latency: new StatedReason() };
  #reasons: Reasons = { fps: null, latency: null };
  #isBehind = false;

  /** @param before - those of the same stream until now: a target that it misses stays missed until the new figure is met. */
  constructor(config: Pick<StreamConfig, 'target' | keyof RateLimits>, before: StreamTargets | null = null) {
    const { fps, latencyMs } = config.target;
    this.#config = config;
    this.#fps = before === null || fps === undefined ? new TargetWatch() : before.#fps;
    this.#latency = before === null || latencyMs === undefined ? new TargetWatch() : before.#latency;
    for (const watch of [this.#fps, this.#latency]) watch.trustNext();
  }

  get isMissing(): { fps: boolean; latency: boolean } {
    return { fps: this.#fps.isMissing, latency: this.#latency.isMissing };
  }

  /** One phrase for each target that is missed, from the last update; null for the others. */
  get missReasons(): Reasons {
    return this.#reasons;
  }

  /** A target is not reached now, for a lack of this host. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** @param pace - null for streams that are paused or have ended, which are not checked. */
  update(id: string, pace: StreamPace | null, nowMs: number): TargetEvent[] {
    if (pace === null) {
      this.#fps.pause();
      this.#latency.pause();
      this.#isBehind = false;
      return [];
    }
    const events: TargetEvent[] = [];
    const { fps, latencyMs: limitMs } = this.#config.target;
    const { published } = pace.fps;
    let [rate, latency]: [Miss | null, Miss | null] = [null, null];
    this.#isBehind = false;
    if (fps !== undefined) {
      const least = leastFps(fps);
      const change = this.#fps.update(published >= least, nowMs);
      const now = rateMiss(fps, least, this.#config, pace);
      this.#isBehind ||= published < least && now.isOfHost;
      rate = this.#stated.fps.update(this.#fps.isMissing ? now : null, nowMs);
      const figures = rate?.text ?? `${published.toFixed(1)} fps, target ${fps}`;
      if (change !== null) events.push(targetEvent(id, change, 'fps', published, fps, figures, rate));
    }
    if (limitMs !== undefined) {
      const { count, p99 } = pace.latencyMs;
      const change = count > 0 ? this.#latency.update(p99 <= limitMs, nowMs) : null;
      const now = count > 0 ? latencyMiss(limitMs, pace) : null;
      this.#isBehind ||= p99 > limitMs && now?.isOfHost === true;
      latency = this.#stated.latency.update(this.#latency.isMissing ? now : null, nowMs);
      const figures = latency?.text ?? `p99 ${p99.toFixed(0)} ms, target ${limitMs} ms`;
      if (change !== null) events.push(targetEvent(id, change, 'latencyMs', p99, limitMs, figures, latency));
    }
    this.#reasons = { fps: rate?.text ?? null, latency: latency?.text ?? null };
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
  miss: Miss | null,
): TargetEvent {
  const kind = change === 'missed' ? 'target-missed' : 'target-met';
  const verb = change === 'missed' ? 'misses its target' : 'meets its target again';
  return {
    kind,
    message: `${id} ${verb}: ${figures}`,
    details: { what, measured, target },
    isOfHost: miss?.isOfHost === true,
  };
}
