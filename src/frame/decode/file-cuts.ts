import type { SourceInput } from '../../base/core/source.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import { CleanCuts, type CutList } from './clean-cuts.ts';
import { H264_KEY_UNITS, KEY_UNITS } from './key-units.ts';
import { listFrames } from './list-frames.ts';
import { type Listing, listPackets, type StreamHead } from './list-packets.ts';
import { SpanCheck } from './span-check.ts';

/** Containers with a time index, in which ffmpeg seeks exactly. Not MPEG-TS, AVI, FLV or raw streams. */
const CONTAINERS: ReadonlySet<string> = new Set(['mov,mp4,m4a,3gp,3g2,mj2', 'matroska,webm']);

/** Cuts are whole microseconds; with a finer time base two frames could have the same time. */
const MIN_TICK_US = 1;

interface Listed extends Listing {
  readonly finder: CleanCuts;
}

export interface CutRequest {
  readonly ffmpeg: Ffmpeg;
  readonly source: SourceInput;
  /** Target media time between cuts, in microseconds; of key frames much closer together all but one are left out. */
  readonly distanceUs: number;
  /** Returns whether the file is worth listing. */
  readonly isWanted?: (head: StreamHead) => boolean;
  /** Called for each listed packet. */
  readonly onPacket?: () => void;
  readonly signal: AbortSignal;
}

/**
 * Lists where a file may be cut: as H.264, which most files are, and again if the codec turns out to be another one.
 *
 * @returns null if files of this kind cannot be cut.
 * @throws SOURCE_*, DECODE_EXITED, FFMPEG_MISSING; the signal's reason if it aborts.
 */
export async function listCuts(request: CutRequest): Promise<Listed | null> {
  let units: string | null = H264_KEY_UNITS;
  let first: Listed | null;
  try {
    first = await listAs(units, request);
  } catch (error) {
    // ffmpeg's filter by NAL unit fails for codecs without NAL units.
    if (!(error instanceof SightlineError) || error.code === 'FFMPEG_MISSING') throw error;
    units = null;
    first = await listAs(units, request);
  }
  if (first === null || !canBeCut(first.head, request)) return null;
  const right = KEY_UNITS.get(first.head.codec)!;
  const listed = right === units ? first : await listAs(right, request);
  return listed === null || listed.tickUs < MIN_TICK_US ? null : listed;
}

async function listAs(units: string | null, request: CutRequest): Promise<Listed | null> {
  const { ffmpeg, source, distanceUs, onPacket, signal } = request;
  const finder = new CleanCuts(distanceUs);
  const listing = await listPackets(ffmpeg, source.url, units, signal, {
    isWanted: (head) => canBeCut(head, request) && KEY_UNITS.get(head.codec) === units,
    onPacket: (packet) => {
      finder.add(packet);
      onPacket?.();
    },
  });
  return listing === null ? null : { ...listing, finder };
}

function canBeCut(head: StreamHead, { isWanted = () => true }: CutRequest): boolean {
  return CONTAINERS.has(head.container) && KEY_UNITS.has(head.codec) && isWanted(head);
}

/**
 * Returns whether frames have the times of their packets. If every packet's presentation time equals its decoding time,
 * either the file has no reordered frames, or the program that wrote it ignored them (a raw stream put into MP4). Decodes
 * `shortest`, the shortest possible segment, to find out.
 */
export async function areTimesCorrect(
  { ffmpeg, source, signal }: CutRequest,
  { head }: Listing,
  { isReordered, shortest }: Pick<CutList, 'isReordered' | 'shortest'>,
): Promise<boolean> {
  if (isReordered || head.isBaseline) return true;
  const { from, to, frames } = shortest;
  const window = { fromUs: from?.atUs ?? null, toUs: to.atUs, firstFrame: from?.frame ?? 0 };
  const check = new SpanCheck({ ...window, index: 0, frames }, 1);
  let isCorrect = true;
  const decodeErrors = await listFrames(ffmpeg, { ...source, window }, signal, (frame) => {
    isCorrect &&= check.next(frame) === null;
  });
  return isCorrect && check.end(decodeErrors) === null;
}
