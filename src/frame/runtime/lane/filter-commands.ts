import { type FrameRate, rateCommand } from '../../decode/rate-filters.ts';
import { shedCommand } from '../../decode/shed-filters.ts';

/**
 * A command that sheds frames is repeated this often, since ffmpeg forgets it when it builds its filters again for another
 * picture size.
 */
const REPEAT_MS = 1000;
/** Distances of the golden ratio fill a circle evenly, however many streams there are. */
const GOLDEN = 0.618;

/** Decides when a running ffmpeg is commanded at which rate it takes frames, and which share of these it keeps. */
export class FilterCommands {
  readonly #phase: number;
  #rate: FrameRate;
  /** The rate that ffmpeg was started with, and returns to whenever it builds its filters. */
  #startRate: FrameRate;
  #builds = 0;
  #isRateDue = false;
  #keepRatio = 1;
  /** Time until the command that sheds is sent again; null while ffmpeg is to keep all frames and knows it. */
  #shedInMs: number | null = null;

  /** @param streamNumber - streams of one source shed different frames. */
  constructor(streamNumber: number, rate: FrameRate) {
    this.#phase = (streamNumber * GOLDEN) % 1;
    this.#rate = rate;
    this.#startRate = rate;
  }

  set rate(rate: FrameRate) {
    if (isSame(rate, this.#rate)) return;
    this.#rate = rate;
    this.#isRateDue = true;
  }

  /** Above 0, up to 1. */
  set keepRatio(keepRatio: number) {
    if (keepRatio === this.#keepRatio) return;
    this.#keepRatio = keepRatio;
    this.#shedInMs = 0;
  }

  /** Call when an ffmpeg is started with the present rate. */
  onStart(): void {
    this.#startRate = this.#rate;
    this.#builds = 0;
    this.#isRateDue = false;
  }

  /** Times that ffmpeg has built its filters. After each one an earlier command is lost; before the first it takes none. */
  set builds(builds: number) {
    if (builds === this.#builds) return;
    this.#builds = builds;
    this.#isRateDue ||= !isSame(this.#rate, this.#startRate);
  }

  /** Call when ffmpeg has shed a frame: one that is to keep all has not understood the last command. */
  onShed(): void {
    if (this.#keepRatio === 1) this.#shedInMs ??= REPEAT_MS / 2;
  }

  /**
   * Returns the command that is due; null if none is. ffmpeg reads one in 100 ms.
   *
   * @param isRunning - false: the time passes, and the command stays due.
   */
  next(passedMs: number, isRunning: boolean): string | null {
    if (this.#isRateDue && this.#builds > 0 && isRunning) {
      this.#isRateDue = false;
      return rateCommand(this.#rate);
    }
    if (this.#shedInMs === null) return null;
    this.#shedInMs -= passedMs;
    if (this.#shedInMs > 0 || !isRunning) return null;
    this.#shedInMs = this.#keepRatio < 1 ? REPEAT_MS : null;
    return shedCommand(this.#keepRatio, this.#phase);
  }
}

function isSame(a: FrameRate, b: FrameRate): boolean {
  return a.every === b.every && a.maxFps === b.maxFps;
}
