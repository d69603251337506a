import { monoNowMs } from '../../../base/core/clock.ts';
import { PICTURE_FIT } from '../../../base/geometry/placement.ts';
import type { LaneStream } from '../../../wire/protocol/threads.ts';
import type { DecodePlan } from '../../decode/decode-command.ts';
import { type FrameHeader, newHeaderTag } from '../../decode/ffmpeg-log.ts';
import type { FfmpegProcess } from '../../decode/ffmpeg-process.ts';
import { takesCommands } from '../../decode/shed-filters.ts';
import type { OpenedSource } from '../../source/open/opened-source.ts';
import type { LaneTap } from './lane-tap.ts';

/**
 * A connection must last this long to reset the back-off; one that sends a frame and ends must not be retried in a
 * tight loop.
 */
const STEADY_MS = 5_000;
/** A frame that is older on its arrival, or comes from the future, is one of a camera whose clock is not set. */
const MOST_DELAY_MS = 60_000;
const MOST_AHEAD_MS = 1_000;

/** One connection: from the start of an ffmpeg until it ends or is abandoned. */
export interface Connection {
  readonly startedMs: number;
  process: FfmpegProcess | null;
  opened: OpenedSource | null;
  /** Null if its packets are not kept. */
  tap: LaneTap | null;
  isWarned: boolean;
  frames: number;
  /** Frames that ffmpeg decoded, taken or not. */
  decoded: number;
  /** Packets that ffmpeg has read; 0 while all frames are decoded. */
  packets: number;
  /** Frames that were not decoded, as far as reported. */
  notDecoded: number;
  /**
   * Time without progress, counted in ticks: a suspended process has missed many seconds, but only one tick. A decoded frame
   * is progress, whether or not `every` and `maxFps` take it; so is a packet, where frames are not decoded by choice.
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
    tap: null,
    isWarned: false,
    frames: 0,
    decoded: 0,
    packets: 0,
    notDecoded: 0,
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

/** Adds when the camera captured a frame, if it says so and its clock is that of this machine up to a delay. */
export function timed({ opened }: Connection, frame: FrameHeader): FrameHeader {
  const wallMs = opened?.wallMs?.(frame.ptsUs) ?? null;
  if (wallMs === null) return frame;
  const ageMs = Date.now() - wallMs;
  return ageMs > -MOST_AHEAD_MS && ageMs < MOST_DELAY_MS ? { ...frame, wallMs } : frame;
}

/** Returns what ffmpeg is started with for the next connection of a stream. */
export function decodePlan(
  stream: LaneStream,
  connection: Required<Pick<DecodePlan, 'afterUs' | 'hwaccel' | 'tapsPackets'>>,
): DecodePlan {
  const { picture, spec, views, ffmpeg, every, maxFps, decode, decodeThreads, policy } = stream;
  return {
    ...connection,
    ffmpegMajor: ffmpeg.major,
    headerTag: newHeaderTag(),
    canvas: picture === null ? { ...spec.input, fit: spec.input.resize, views } : { ...picture, fit: PICTURE_FIT },
    every,
    maxFps,
    takesCommands: policy === 'live' && takesCommands(ffmpeg.major),
    threads: decodeThreads,
    decode,
  };
}
