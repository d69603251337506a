import type { PublishedFrame } from '../core/frame.ts';
import type { SightlineError } from '../errors/sightline-error.ts';

/**
 * Where results go. A sink never throws out of `publish`: what goes wrong is told to `SinkFailureListener` at the time
 * and by `close` at the end, so that a broken sink never takes a stream down with it.
 */
export interface Sink {
  /** The name that the user gave it, or that the command made up; stands in every message about it. */
  readonly id: string;

  /**
   * Takes a result over. Frames of one source must come in order; the sink keeps that order.
   *
   * @param source - name of the input as results should show it, credentials already redacted.
   * @returns false when the caller should wait for `drained()` before the next one. It may go on all the same (a live
   *   stream does): the sink then follows its own loss policy and counts what it loses.
   */
  publish(frame: PublishedFrame, source: string): boolean;

  /** Resolves when `publish` would return true again, at once where it would now, and when the sink fails or closes. */
  drained(): Promise<void>;

  /**
   * Writes out all that was taken over and lets go of files and sockets. Later calls return the same promise;
   * frames published after the first call are lost.
   *
   * @param isComplete - the inputs were read to their end, which is assumed; a part of what was asked for never replaces an
   *   earlier file.
   * @throws SINK_FAILED when any result was lost since the start; the message says how many and why.
   */
  close(isComplete?: boolean): Promise<void>;
}

/** A sink that needs the full picture of a frame. Its stream keeps pictures, and their slots until `draw` is done. */
export interface PictureSink {
  readonly id: string;

  /**
   * Draws a result on its picture. The next one may be given before the promise settles; the order is kept.
   *
   * @param picture - u8 `[height, width, 3]` in shared memory, the sink's own until the promise settles; never rejects.
   */
  draw(frame: PublishedFrame, picture: Uint8Array): Promise<void>;

  /** As `Sink.close`. @throws SINK_FAILED when the picture of any file was lost. */
  close(isComplete?: boolean): Promise<void>;
}

/** Hears of each failure (always code SINK_FAILED) when it happens. Must not throw. */
export type SinkFailureListener = (error: SightlineError) => void;
