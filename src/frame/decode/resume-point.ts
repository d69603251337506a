import type { SourceInput } from '../../base/core/source.ts';
import { areTimesCorrect, type CutRequest, listCuts } from './file-cuts.ts';

/** How to continue reading a file after a frame that was delivered. */
export interface ResumePoint {
  readonly source: SourceInput;
  /** ffmpeg discards frames up to this media time; null for none. */
  readonly afterUs: number | null;
  /** Number of pictures that the reader discards; not 0 if their times do not distinguish them. */
  readonly discard: number;
}

export interface ResumeRequest extends Pick<CutRequest, 'ffmpeg' | 'source' | 'onPacket' | 'signal'> {
  /** As in `LaneStream`; null to read from the start. */
  readonly after: { readonly ptsUs: number; readonly frames: number | null } | null;
}

/** Less media time than this is decoded again: listing the packets of the file would not be faster. */
const SEEK_FROM_US = 10_000_000;
/** The key frames of the listing are at least 1/32 of this apart. */
const CUT_DISTANCE_US = 32_000_000;

/**
 * Finds where to start reading a file so that exactly the frames after the given one follow: at the last clean key frame
 * before it, or at the start if the file has none.
 *
 * @throws the signal's reason if it aborts.
 */
export async function findResumePoint({ after, ...request }: ResumeRequest): Promise<ResumePoint> {
  const { source, signal } = request;
  if (after === null) return { source, afterUs: null, discard: 0 };
  const fromUs = await cutBefore(after.ptsUs, { ...request, distanceUs: CUT_DISTANCE_US }).catch(() => null);
  signal.throwIfAborted();
  if (fromUs !== null) {
    const window = { fromUs, toUs: source.window?.toUs ?? null, firstFrame: 0 };
    return { source: { ...source, window }, afterUs: after.ptsUs, discard: 0 };
  }
  if (after.frames !== null) return { source, afterUs: null, discard: after.frames };
  return { source, afterUs: after.ptsUs, discard: 0 };
}

async function cutBefore(ptsUs: number, request: CutRequest): Promise<number | null> {
  const { kind, options, window } = request.source;
  const startUs = window?.fromUs ?? 0;
  if (kind !== 'file' || options.loop || ptsUs - startUs < SEEK_FROM_US) return null;
  const listed = await listCuts(request);
  const found = listed?.finder.before(ptsUs) ?? null;
  if (listed === null || found === null || found.cut.atUs <= startUs) return null;
  return (await areTimesCorrect(request, listed, found)) ? found.cut.atUs : null;
}
