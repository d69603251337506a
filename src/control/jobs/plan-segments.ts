import type { SourceInput } from '../../core/source.ts';
import { CleanCuts, type CutList } from '../../decode/clean-cuts.ts';
import { listFrames } from '../../decode/list-frames.ts';
import { type Listing, listPackets, type StreamHead } from '../../decode/list-packets.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { SegmentSpan } from '../../protocol/fleet.ts';
import { parseSource } from '../../source/parse-source.ts';
import { SpanCheck } from './span-check.ts';

/** Containers with an index by time, in which ffmpeg seeks exactly. Not MPEG-TS, AVI, FLV or raw streams. */
const CONTAINERS: ReadonlySet<string> = new Set(['mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm']);

const H264_KEY_UNITS = '5';

/**
 * Codecs whose key frames are taken at their word, and those whose packets must hold a unit of these types: in H.264 only an
 * IDR picture (5) is sure to end all references backwards, in HEVC every random access picture (16 to 21) is, where no
 * leading pictures follow. Not VP8: its hidden frames are packets of their own, so packets do not count frames.
 */
const KEY_UNITS: ReadonlyMap<string, string | null> = new Map([
  ['h264', H264_KEY_UNITS],
  ['hevc', '16-21'],
  ['av1', null],
  ['vp9', null],
  ['mpeg4', null],
  ['mjpeg', null],
  ['prores', null],
  ['dnxhd', null],
]);

/** Cuts are named in whole microseconds: a finer time base could not tell one frame from the next. */
const LEAST_TICK_US = 1;

export const WHOLE_FILE: SegmentSpan = { index: 0, fromUs: null, toUs: null, firstFrame: 0 };

/** In segments: a file shorter than this is not worth the starts, and need not be listed. */
const WORTH_CUTTING = 1.5;

const READ_OPTIONS = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5_000 } as const;

export interface PlanRequest {
  readonly ffmpeg: { readonly path: string; readonly major: number };
  readonly path: string;
  /** 0 leaves the file whole. */
  readonly segmentSeconds: number;
  /** Shorter segments towards the end of the file. */
  readonly tapers: boolean;
  readonly signal: AbortSignal;
}

/**
 * Decides where a file is cut. What cannot be cut for certain stays whole, and so does what ffmpeg cannot list: reading it
 * will then say what is wrong with it.
 *
 * @throws SOURCE_NOT_FOUND, FFMPEG_MISSING; the signal's reason where it aborts.
 */
export async function planSegments(request: PlanRequest): Promise<readonly SegmentSpan[]> {
  if (request.segmentSeconds === 0) return [WHOLE_FILE];
  const source = parseSource(request.path, READ_OPTIONS);
  try {
    return (await cutSpans(request, source)) ?? [WHOLE_FILE];
  } catch (error) {
    request.signal.throwIfAborted();
    if (error instanceof SightlineError && error.code !== 'FFMPEG_MISSING') return [WHOLE_FILE];
    throw error;
  }
}

/** @returns null where it is to stay whole. */
async function cutSpans(request: PlanRequest, source: SourceInput): Promise<readonly SegmentSpan[] | null> {
  const listed = await list(request, source);
  const found = listed?.finder.choose(request.tapers) ?? null;
  if (listed === null || found === null || listed.tickUs < LEAST_TICK_US) return null;
  if (!found.isReordered && !listed.head.isBaseline && !(await areTimesTrue(request, source, found))) return null;
  const { cuts, frames } = found;
  const starts = [{ atUs: null, frame: 0 }, ...cuts];
  return starts.map(({ atUs, frame }, index) => ({
    index,
    fromUs: atUs,
    toUs: cuts[index]?.atUs ?? null,
    firstFrame: frame,
    frames: (cuts[index]?.frame ?? frames) - frame,
  }));
}

interface Listed extends Listing {
  readonly finder: CleanCuts;
}

/**
 * Lists the packets as if the file were H.264, as most are; those that are not, again. @returns null where the file is of no
 * kind that can be cut.
 */
async function list(request: PlanRequest, source: SourceInput): Promise<Listed | null> {
  let units: string | null = H264_KEY_UNITS;
  let first: Listed | null;
  try {
    first = await listAs(units, request, source);
  } catch (error) {
    // The filter of units refuses codecs that have none.
    if (!(error instanceof SightlineError) || error.code === 'FFMPEG_MISSING') throw error;
    units = null;
    first = await listAs(units, request, source);
  }
  if (first === null || !canBeCut(first.head, request)) return null;
  const right = KEY_UNITS.get(first.head.codec)!;
  return right === units ? first : listAs(right, request, source);
}

async function listAs(units: string | null, request: PlanRequest, { url }: SourceInput): Promise<Listed | null> {
  const { ffmpeg, segmentSeconds, signal } = request;
  const finder = new CleanCuts(segmentSeconds * 1e6);
  const listing = await listPackets(ffmpeg.path, url, units, signal, {
    isWanted: (head) => canBeCut(head, request) && KEY_UNITS.get(head.codec) === units,
    onPacket: (packet) => finder.add(packet),
  });
  return listing === null ? null : { ...listing, finder };
}

function canBeCut({ container, codec, durationUs }: StreamHead, { segmentSeconds }: PlanRequest): boolean {
  const isShort = durationUs !== null && durationUs < segmentSeconds * 1e6 * WORTH_CUTTING;
  return CONTAINERS.has(container) && KEY_UNITS.has(codec) && !isShort;
}

/**
 * A container that shows every packet when it is decoded either holds no reordered frames, or was made by a program that did
 * not know of them (a raw stream put into MP4): then frames have other times than their packets. Decoding one stretch tells.
 */
async function areTimesTrue(
  { ffmpeg, signal }: PlanRequest,
  source: SourceInput,
  { shortest }: CutList,
): Promise<boolean> {
  const { from, to, frames } = shortest;
  const window = { fromUs: from?.atUs ?? null, toUs: to.atUs, firstFrame: from?.frame ?? 0 };
  const check = new SpanCheck({ ...window, index: 0, frames }, 1);
  let isTrue = true;
  const decodeErrors = await listFrames(ffmpeg, { ...source, window }, signal, (frame) => {
    isTrue &&= check.see(frame) === null;
  });
  return isTrue && check.end(decodeErrors) === null;
}
