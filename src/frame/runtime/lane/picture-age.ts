/** How far media time may fall behind the clock each second before it is a delay: cameras whose time stamps do not fit their rate are a few percent off. */
const MOST_DRIFT = { media: 0.05, camera: 0.0002 };
/** Pictures come in bursts, as segments do: the least delay in so much time counts. */
const WINDOW_S = 15;
/** A delay up to this may be forgotten, as that of time stamps that do not fit; a longer one stays, but for how far media time fell behind before it. */
const FORGOTTEN_MS = 2_500;
/** Over so much time it is learned how far media time falls behind each second. */
const LEARN_S = 60;
/** Two clocks that step apart by more between two frames were set. */
const CLOCK_STEP_MS = 1_000;

/** When a frame arrived, and what it says of its own time, in milliseconds. */
interface Moment {
  /** Of the monotonic clock. */
  readonly nowMs: number;
  readonly mediaMs: number;
  /** Of the camera's clock; null if it is not known. */
  readonly cameraMs: number | null;
}

/**
 * How old the pictures of a live source are, beyond their least delay so far: a server or a network that keeps pictures back sends them at the usual rate, each of them old.
 *
 * By the camera's clock where it is known (RTCP sender reports), which goes on over connections, else by media time, of which each connection has its own. A step of the
 * time stamps is none of the delay: a delay that grows by more than a frame took to arrive was not waited for.
 */
export class PictureAge {
  /** By clock. */
  readonly #series = { media: new Series(MOST_DRIFT.media), camera: new Series(MOST_DRIFT.camera) };
  #hasCamera = false;
  /** What was accepted, in milliseconds. */
  #acceptedMs = 0;

  onFrame({ nowMs, mediaMs, cameraMs }: Moment): void {
    this.#series.media.add(nowMs, nowMs - mediaMs);
    this.#hasCamera = cameraMs !== null;
    if (cameraMs !== null) this.#series.camera.add(nowMs, nowMs - cameraMs);
  }

  /** Another connection begins: its media time starts over. */
  onConnection(): void {
    this.#series.media = new Series(MOST_DRIFT.media);
    this.#series.camera.restart();
    if (!this.#hasCamera) this.#acceptedMs = 0;
  }

  /** Takes note that nothing can be done about the present age: it is none that `behindMs` counts. */
  accept(nowMs: number): void {
    this.#acceptedMs = this.lateMs(nowMs) ?? 0;
  }

  /** How much older the pictures are than they were at best, in milliseconds, at least 0; null while too little is known. */
  lateMs(nowMs: number): number | null {
    return (this.#hasCamera ? this.#series.camera : this.#series.media).lateMs(nowMs);
  }

  /** How much of that was not accepted, in milliseconds, at least 0; 0 while too little is known. */
  behindMs(nowMs: number): number {
    const lateMs = this.lateMs(nowMs);
    if (lateMs === null) return 0;
    // What was caught up since can be lost again.
    this.#acceptedMs = Math.min(this.#acceptedMs, lateMs);
    return lateMs - this.#acceptedMs;
  }
}

/** Delays by one clock. */
class Series {
  readonly #mostDrift: number;
  /** The least delay of each second of the window, by its number. */
  readonly #least = new Float64Array(WINDOW_S).fill(Number.POSITIVE_INFINITY);
  #second = Number.NEGATIVE_INFINITY;
  #startedMs = Number.NaN;
  #base = Number.POSITIVE_INFINITY;
  #lastMs = Number.NaN;
  #lastDelay = Number.NaN;
  /** Least delays at the ends of windows in which the pictures were in time, the oldest first. */
  #inTime: { readonly atMs: number; readonly leastMs: number }[] = [];
  /** How far media time falls behind each second, as learned; not known yet: as far as it may. */
  #drift: number;

  constructor(mostDrift: number) {
    this.#mostDrift = mostDrift;
    this.#drift = mostDrift;
  }

  add(nowMs: number, delayMs: number): void {
    const waitedMs = nowMs - this.#lastMs;
    const grownMs = delayMs - this.#lastDelay;
    // After a pause as long as the window all of what it holds was kept back, if only for a moment.
    if (Number.isNaN(this.#startedMs) || waitedMs > WINDOW_S * 1000) this.#startedMs = nowMs;
    if (waitedMs > 0) {
      const leastMs = this.#leastMs(nowMs);
      const isInTime = leastMs === null || leastMs - this.#base < FORGOTTEN_MS;
      if (isInTime && leastMs !== null) this.#learn(nowMs, leastMs);
      this.#base += (isInTime ? this.#mostDrift : this.#drift) * waitedMs;
    }
    // What grew by more than was waited is a step of a clock.
    if (grownMs > waitedMs + CLOCK_STEP_MS) this.#shift(grownMs - Math.max(0, waitedMs));
    this.#lastMs = nowMs;
    this.#lastDelay = delayMs;
    this.#base = Math.min(this.#base, delayMs);
    const second = Math.floor(nowMs / 1000);
    this.#forget(second);
    const place = second % WINDOW_S;
    this.#least[place] = Math.min(this.#least[place]!, delayMs);
  }

  lateMs(nowMs: number): number | null {
    const leastMs = this.#leastMs(nowMs);
    return leastMs === null ? null : Math.max(0, leastMs - this.#base);
  }

  /** The least delay in the window; null while it is not full. */
  #leastMs(nowMs: number): number | null {
    if (!(nowMs - this.#startedMs >= WINDOW_S * 1000)) return null;
    this.#forget(Math.floor(nowMs / 1000));
    const leastMs = Math.min(...this.#least);
    // Nothing came for so long: that is another trouble.
    return Number.isFinite(leastMs) ? leastMs : null;
  }

  /** The delay of before stays the least; the window begins again. */
  restart(): void {
    this.#inTime = [];
    this.#startedMs = Number.NaN;
    this.#lastMs = Number.NaN;
    this.#lastDelay = Number.NaN;
    this.#least.fill(Number.POSITIVE_INFINITY);
  }

  /** Takes in the least delay of a window in which the pictures were in time. */
  #learn(nowMs: number, leastMs: number): void {
    const last = this.#inTime.at(-1);
    if (last !== undefined && nowMs - last.atMs < WINDOW_S * 1000) return;
    this.#inTime.push({ atMs: nowMs, leastMs });
    const [first] = this.#inTime;
    if (nowMs - first!.atMs < LEARN_S * 1000) return;
    this.#drift = Math.min(this.#mostDrift, Math.max(0, (leastMs - first!.leastMs) / (nowMs - first!.atMs)));
    this.#inTime.shift();
  }

  #shift(byMs: number): void {
    this.#inTime = [];
    this.#base += byMs;
    for (const [place, least] of this.#least.entries()) this.#least[place] = least + byMs;
  }

  /** Empties the seconds that have left the window. */
  #forget(second: number): void {
    const gone = Math.min(WINDOW_S, second - this.#second);
    for (let i = 0; i < gone; i += 1) this.#least[(second - i) % WINDOW_S] = Number.POSITIVE_INFINITY;
    this.#second = Math.max(this.#second, second);
  }
}
