import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { exitText } from '../../../base/process/child-group.ts';
import type { Ffmpeg } from '../../../base/process/confinement.ts';
import { LogTail, lastLines } from '../../../base/process/log-tail.ts';
import { startReader } from '../../../base/process/start-reader.ts';
import { type CameraPictures, cameraArguments } from '../../../frame/decode/encode-command.ts';
import { type CodedFrame, FlvReader } from './flv-reader.ts';

/** A stretch of coded video that begins with a key frame and can be repeated. */
export interface CodedClip {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly frames: readonly CodedFrame[];
}

/** Long enough to differ from frame to frame; 1 to 2 MB in memory for each size. */
const CLIP_SECONDS = 5;
const TIMEOUT_MS = 60_000;
const LOG_CHARS = 2_000;

/**
 * Encodes a clip into memory, once for each size and rate: cameras then only copy its bytes.
 *
 * @throws FFMPEG_MISSING if ffmpeg cannot run or cannot encode H.264; SOURCE_UNREADABLE if it cannot read the pictures.
 */
export async function encodeClip(
  ffmpeg: Ffmpeg,
  size: { readonly width: number; readonly height: number; readonly fps: number },
  pictures: CameraPictures,
): Promise<CodedClip> {
  const count = Math.max(1, Math.round(size.fps * CLIP_SECONDS));
  const args = cameraArguments({ ...size, pictures, frames: count });
  const reads = pictures.kind === 'file' ? [pictures.path] : [];
  const { group } = await startReader(ffmpeg, args, { reads }).catch((error: Error) => {
    throw noEncoder(ffmpeg, error.message);
  });
  const { child } = group;
  const log = new LogTail(child.stderr!, LOG_CHARS);
  const reader = new FlvReader();
  const frames: CodedFrame[] = [];
  child.stdout!.on('data', (chunk: Buffer) => frames.push(...reader.push(chunk)));
  group.killAfter(TIMEOUT_MS);
  const end = await new Promise<string | null>((resolve) => {
    child.once('close', (code, signal) => resolve(code === 0 ? null : exitText({ code, signal })));
  });
  if (end === null && frames[0]?.isKey === true) return { ...size, frames };
  const reason = lastLines(log.text, 3).join(' | ') || (end ?? 'it wrote no key frame');
  if (/unknown encoder/i.test(reason)) throw noEncoder(ffmpeg, reason);
  throw new SightlineError('SOURCE_UNREADABLE', `no clip for virtual cameras could be made: ${reason}`);
}

function noEncoder({ path }: Ffmpeg, reason: string): SightlineError {
  return new SightlineError('FFMPEG_MISSING', `virtual cameras need an ffmpeg with libx264; ${path}: ${reason}`);
}
