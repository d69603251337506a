import type { SourceInput } from '../../../base/core/source.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { Ffmpeg } from '../../../base/process/confinement.ts';
import { areTimesCorrect, listCuts } from '../../../frame/decode/file-cuts.ts';
import type { StreamHead } from '../../../frame/decode/list-packets.ts';
import { parseSource } from '../../../frame/source/parse-source.ts';
import type { SegmentSpan } from '../../../wire/protocol/fleet.ts';

export const WHOLE_FILE: SegmentSpan = { index: 0, fromUs: null, toUs: null, firstFrame: 0 };

/** Minimum length of a file that is cut, in segments. For a shorter one, starting more decoders costs more than it saves. */
const MIN_SEGMENTS = 1.5;

const READ_OPTIONS = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5_000 } as const;

export interface PlanRequest {
  readonly ffmpeg: Ffmpeg;
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
async function cutSpans(
  { ffmpeg, segmentSeconds, tapers, signal }: PlanRequest,
  source: SourceInput,
): Promise<readonly SegmentSpan[] | null> {
  const distanceUs = segmentSeconds * 1e6;
  const isLong = ({ durationUs }: StreamHead): boolean =>
    durationUs === null || durationUs >= distanceUs * MIN_SEGMENTS;
  const request = { ffmpeg, source, distanceUs, isWanted: isLong, signal };
  const listed = await listCuts(request);
  const found = listed?.finder.choose(tapers) ?? null;
  if (listed === null || found === null || !(await areTimesCorrect(request, listed, found))) return null;
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
