import { CleanCuts } from '../../decode/clean-cuts.ts';
import { listPackets, readStreamHeader } from '../../decode/list-packets.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { SegmentSpan } from '../../protocol/fleet.ts';

/** Containers with an index by time, in which ffmpeg seeks exactly. Not MPEG-TS, AVI, FLV or raw streams. */
const CONTAINERS: ReadonlySet<string> = new Set(['mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm']);

/**
 * Codecs whose key frames are taken at their word, and those whose packets must hold a unit of these types: in H.264 only an
 * IDR picture (5) is sure to end all references backwards, in HEVC every random access picture (16 to 21) is, where no
 * leading pictures follow. Not VP8: its hidden frames are packets of their own, so packets do not count frames.
 */
const KEY_UNITS: ReadonlyMap<string, string | null> = new Map([
  ['h264', '5'],
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

export interface PlanRequest {
  readonly ffmpegPath: string;
  /** As ffmpeg takes it, `file:` and the path. */
  readonly url: string;
  /** 0 leaves the file whole. */
  readonly segmentSeconds: number;
  readonly signal: AbortSignal;
}

/**
 * Decides where a file is cut. What cannot be cut for certain stays whole, and so does what ffmpeg cannot list: reading it
 * will then say what is wrong with it.
 *
 * @throws FFMPEG_MISSING; the signal's reason where it aborts.
 */
export async function planSegments(request: PlanRequest): Promise<readonly SegmentSpan[]> {
  if (request.segmentSeconds === 0) return [WHOLE_FILE];
  try {
    return await cutSpans(request);
  } catch (error) {
    request.signal.throwIfAborted();
    if (error instanceof SightlineError && error.code !== 'FFMPEG_MISSING') return [WHOLE_FILE];
    throw error;
  }
}

async function cutSpans({ ffmpegPath, url, segmentSeconds, signal }: PlanRequest): Promise<readonly SegmentSpan[]> {
  const { container, codec, tickUs } = await readStreamHeader(ffmpegPath, url, signal);
  const keyUnits = KEY_UNITS.get(codec);
  if (!CONTAINERS.has(container) || keyUnits === undefined || tickUs < LEAST_TICK_US) return [WHOLE_FILE];
  const finder = new CleanCuts(segmentSeconds * 1e6);
  await listPackets(ffmpegPath, url, keyUnits, signal, (packet) => finder.add(packet));
  const list = finder.choose();
  if (list === null || list.cuts.length === 0) return [WHOLE_FILE];
  const { cuts, frames } = list;
  const starts = [{ atUs: null, frame: 0 }, ...cuts];
  return starts.map(({ atUs, frame }, index) => ({
    index,
    fromUs: atUs,
    toUs: cuts[index]?.atUs ?? null,
    firstFrame: frame,
    frames: (cuts[index]?.frame ?? frames) - frame,
  }));
}
