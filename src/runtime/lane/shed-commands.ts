import { shedCommand } from '../../decode/shed-filters.ts';

/**
 * A command that sheds frames is repeated this often, since ffmpeg forgets it when it builds its filters again for another
 * picture size.
 */
const REPEAT_MS = 1000;
/** Distances of the golden ratio fill a circle evenly, however many streams there are. */
const GOLDEN = 0.618;

/** Decides when a running ffmpeg is commanded which share of its frames it keeps. */
export class ShedCommands {
  readonly #phase: number;
  #keepRatio = 1;
  /** Time until the command is sent again; null while ffmpeg is to keep all frames and knows it. */
  #dueInMs: number | null = null;

  /** @param streamNumber - streams of one source shed different frames. */
  constructor(streamNumber: number) {
    this.#phase = (streamNumber * GOLDEN) % 1;
  }

  /** Above 0, up to 1. */
  set keepRatio(keepRatio: number) {
    if (keepRatio === this.#keepRatio) return;
    this.#keepRatio = keepRatio;
    this.#dueInMs = 0;
  }

  /** Call when ffmpeg has shed a frame: one that is to keep all has not understood the last command. */
  onShed(): void {
    if (this.#keepRatio === 1) this.#dueInMs ??= REPEAT_MS / 2;
  }

  /**
   * Returns the command that is due; null if none is. ffmpeg reads one in 100 ms.
   *
   * @param isRunning - false: the time passes, and the command stays due.
   */
  next(passedMs: number, isRunning: boolean): string | null {
    if (this.#dueInMs === null) return null;
    this.#dueInMs -= passedMs;
    if (this.#dueInMs > 0 || !isRunning) return null;
    this.#dueInMs = this.#keepRatio < 1 ? REPEAT_MS : null;
    return shedCommand(this.#keepRatio, this.#phase);
  }
}
