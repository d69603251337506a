import type { Clock } from '../core/clock.ts';
import type { RuntimePort } from './runtime-port.ts';

/** Timers and decoders jitter: a picture that comes a little early is not one too many. */
const EARLY_SHARE = 0.2;

/** Keeps pictures from costing more than somebody's eyes are worth: which streams are watched, and how often. */
export class PreviewWatch {
  readonly #port: RuntimePort;
  readonly #minGapMs: number;
  readonly #clock: Clock;
  readonly #lastMs = new Map<string, number>();
  #watched: ReadonlySet<string> = new Set();

  constructor(port: RuntimePort, maxFps: number, clock: Clock) {
    this.#port = port;
    this.#minGapMs = ((1 - EARLY_SHARE) * 1000) / maxFps;
    this.#clock = clock;
  }

  /** Tells the runtime the union of what the clients watch, if it changed. null is a client without previews. */
  update(wishes: readonly ('all' | ReadonlySet<string> | null)[]): void {
    const watched = new Set<string>();
    for (const wish of wishes) {
      if (wish === null) continue;
      const ids = wish === 'all' ? this.#port.report().streams.map((stream) => stream.id) : wish;
      for (const id of ids) watched.add(id);
    }
    if (isSame(watched, this.#watched)) return;
    for (const id of this.#lastMs.keys()) if (!watched.has(id)) this.#lastMs.delete(id);
    this.#watched = watched;
    this.#port.watchPreviews(watched);
  }

  /** Says whether a picture of the stream may go out now, and counts it. */
  mayGo(streamId: string): boolean {
    if (!this.#watched.has(streamId)) return false;
    const now = this.#clock.now();
    if (now - (this.#lastMs.get(streamId) ?? Number.NEGATIVE_INFINITY) < this.#minGapMs) return false;
    this.#lastMs.set(streamId, now);
    return true;
  }
}

function isSame(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  return left.size === right.size && [...left].every((id) => right.has(id));
}
