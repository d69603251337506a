import { monoNowMs } from '../../core/clock.ts';
import type { FfmpegProcess } from '../../decode/ffmpeg-process.ts';
import type { OpenedSource } from '../../source/open/opened-source.ts';

/**
 * A connection must last this long to reset the back-off; one that sends a frame and ends must not be retried in a
 * tight loop.
 */
const STEADY_MS = 5_000;

/** One connection: from the start of an ffmpeg until it ends or is abandoned. */
export interface Connection {
  readonly startedMs: number;
  process: FfmpegProcess | null;
  opened: OpenedSource | null;
  isWarned: boolean;
  frames: number;
  /**
   * Time without progress, counted in ticks: a suspended process has missed many seconds, but only one tick. A decoded frame
   * is progress, whether or not `every` and `maxFps` take it.
   */
  silentMs: number;
  /** Pictures at the last tick. */
  pictures: number;
  /** Stops the listing of the file's packets. */
  readonly abort: AbortController;
  readonly problems: string[];
  isOver: boolean;
}

/** @param pictures - received by the connections before. */
export function newConnection(pictures: number): Connection {
  return {
    startedMs: monoNowMs(),
    process: null,
    opened: null,
    isWarned: false,
    frames: 0,
    silentMs: 0,
    pictures,
    abort: new AbortController(),
    problems: [],
    isOver: false,
  };
}

/** Returns whether it has lasted long enough to be no failed attempt. */
export function isSteady({ frames, startedMs }: Connection): boolean {
  return frames > 0 && monoNowMs() - startedMs > STEADY_MS;
}
