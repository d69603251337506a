import type { SourceInput } from '../../core/source.ts';
import { CleanCuts, type CutList } from '../../decode/clean-cuts.ts';
import { H264_KEY_UNITS, KEY_UNITS } from '../../decode/key-units.ts';
import { listFrames } from '../../decode/list-frames.ts';
import { type Listing, listPackets, type StreamHead } from '../../decode/list-packets.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { SegmentSpan } from '../../protocol/fleet.ts';
import { parseSource } from '../../source/parse-source.ts';
import { SpanCheck } from './span-check.ts';

/** Containers with a time index, in which ffmpeg seeks exactly. Not MPEG-TS, AVI, FLV or raw streams. */
const CONTAINERS: ReadonlySet<string> = new Set(['mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm']);

/** Cuts are whole microseconds; with a finer time base two frames could have the same time. */
const MIN_TICK_US = 1;

export const WHOLE_FILE: SegmentSpan = { index: 0, fromUs: null, toUs: null, firstFrame: 0 };

/** In segments: a shorter file does not repay the start of further decoders, so it is not even listed. */
const MIN_SEGMENTS = 1.5;

const READ_OPTIONS = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5_000 } as const;

export interface PlanRequest {
  readonly ffmpeg: { readonly path: string; readonly major: number };
  readonly path: string;
  /** 0 does not cut the file. */
  readonly segmentSeconds: number;
  /** Makes segments shorter towards the end of the file. */
  readonly tapers: boolean;
  readonly signal: AbortSignal;
}

/**
 * Decides where to cut a file. A file that cannot be cut safely stays whole, and so does one that ffmpeg cannot list:
 * inferring it will report the cause.
 *
 * @throws SOURCE_NOT_FOUND, FFMPEG_MISSING; the signal's reason if it aborts.
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

/** @returns null if the file must stay whole. */
async function cutSpans(request: PlanRequest, source: SourceInput): Promise<readonly SegmentSpan[] | null> {
  const listed = await list(request, source);
  const found = listed?.finder.choose(request.tapers) ?? null;
  if (listed === null || found === null || listed.tickUs < MIN_TICK_US) return null;
  if (!found.isReordered && !listed.head.isBaseline && !(await areTimesCorrect(request, source, found))) return null;
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
 * Lists the packets as H.264, which most files are, and again if the codec turns out to be another one.
 *
 * @returns null if files of this kind cannot be cut.
 */
async function list(request: PlanRequest, source: SourceInput): Promise<Listed | null> {
  let units: string | null = H264_KEY_UNITS;
  let first: Listed | null;
  try {
    first = await listAs(units, request, source);
  } catch (error) {
    // ffmpeg's filter by NAL unit fails for codecs without NAL units.
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
  const isShort = durationUs !== null && durationUs < segmentSeconds * 1e6 * MIN_SEGMENTS;
  return CONTAINERS.has(container) && KEY_UNITS.has(codec) && !isShort;
}

/**
 * If every packet's presentation time equals its decoding time, either the file has no reordered frames, or the program that
 * wrote it ignored them (a raw stream put into MP4): then frames have other times than their packets. Decodes the shortest
 * segment to find out.
 */
async function areTimesCorrect(
  { ffmpeg, signal }: PlanRequest,
  source: SourceInput,
  { shortest }: CutList,
): Promise<boolean> {
  const { from, to, frames } = shortest;
  const window = { fromUs: from?.atUs ?? null, toUs: to.atUs, firstFrame: from?.frame ?? 0 };
  const check = new SpanCheck({ ...window, index: 0, frames }, 1);
  let isCorrect = true;
  const decodeErrors = await listFrames(ffmpeg, { ...source, window }, signal, (frame) => {
    isCorrect &&= check.next(frame) === null;
  });
  return isCorrect && check.end(decodeErrors) === null;
}
