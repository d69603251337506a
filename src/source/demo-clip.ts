import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../disk/replace-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { Ffmpeg } from '../process/confinement.ts';
import { FedChild } from '../process/fed-child.ts';

/** The row of small pictures at the top of the sheet (1280x1158): eight scenes with people, without drawn boxes. */
const STRIP = { x: 0, y: 1, width: 1280, height: 156 } as const;
const CLIP = { width: 1280, height: 720, fps: 25, seconds: 20 } as const;
/** Length of the camera pan in pixels of the strip: the five scenes whose people are large enough to be detected. */
const PAN_PX = 640;
/** Largest zoom during the pan. */
const ZOOM_RATIO = 1.12;
/** H.264 if this ffmpeg can encode it; every ffmpeg has MPEG-4. */
const ENCODERS = [
  ['-c:v', 'libx264', '-preset', 'superfast', '-crf', '23'],
  ['-c:v', 'mpeg4', '-q:v', '4'],
] as const;
/** Encoding takes 2 seconds on two slow cores. */
const TIMEOUT_MS = 180_000;

export interface DemoClipOptions {
  readonly ffmpeg: Ffmpeg;
  readonly cacheDir: string;
  /** JPEG of the sheet of pictures, 1280x1158. */
  readonly fetchPhoto: () => Promise<Uint8Array>;
  /** Receives one sentence about what is fetched and made. */
  readonly onNotice: (text: string) => void;
}

/**
 * Makes the demonstration clip if the cache does not have it: the camera pans along photographs of people and back, with a
 * slight zoom. 1280x720, 25 frames a second, 20 seconds; it ends where it began, so it loops without a jump.
 *
 * @returns its path in the cache. The file is complete or absent, even if several processes make it at the same time.
 * @throws SOURCE_UNREACHABLE if the pictures cannot be fetched; SOURCE_UNREADABLE if ffmpeg cannot make the clip.
 */
export async function ensureDemoClip({ ffmpeg, cacheDir, fetchPhoto, onNotice }: DemoClipOptions): Promise<string> {
  const version = createHash('sha256').update(filterGraph()).digest('hex').slice(0, 8);
  const folder = join(cacheDir, 'demo');
  const path = join(folder, `people-${version}.mp4`);
  if (existsSync(path)) return path;
  onNotice('making the demonstration clip (first use only): fetching its pictures and encoding them');
  const photo = await fetchPhoto().catch((cause: unknown) => {
    throw new SightlineError(
      'SOURCE_UNREACHABLE',
      `demonstration clip: its pictures could not be fetched: ${(cause as Error).message}. Check the network and the ` +
        'npm settings, or use a video of your own instead',
      {},
      { cause },
    );
  });
  await mkdir(folder, { recursive: true });
  await replaceFile(path, (temporaryPath) => encode(ffmpeg, photo, temporaryPath));
  return path;
}

async function encode(ffmpeg: Ffmpeg, photo: Uint8Array, path: string): Promise<void> {
  for (const [i, encoder] of ENCODERS.entries()) {
    const child = new FedChild(ffmpeg, demoArguments(encoder, path), { timeoutMs: TIMEOUT_MS });
    child.input.end(photo);
    const { isSuccess, message } = await child.ended;
    if (isSuccess) return;
    if (i < ENCODERS.length - 1 && /Unknown encoder|Encoder not found/.test(message)) continue;
    throw new SightlineError(
      'SOURCE_UNREADABLE',
      `demonstration clip: ffmpeg at ${ffmpeg.path} could not make it (${message}). Use a video of your own instead`,
      { ffmpegPath: ffmpeg.path },
    );
  }
}

function demoArguments(encoder: readonly string[], path: string): string[] {
  const { fps, seconds } = CLIP;
  return [
    ...['-y', '-hide_banner', '-loglevel', 'error', '-f', 'mjpeg', '-i', 'pipe:0'],
    ...['-vf', filterGraph(), '-t', String(seconds), '-r', String(fps), '-an', ...encoder],
    ...['-pix_fmt', 'yuv420p', '-movflags', '+faststart', '-f', 'mp4', `file:${path}`],
  ];
}

/** Returns the filters that turn one sheet into the clip. A cosine makes the camera slow down at both ends of the pan. */
function filterGraph(): string {
  const { x, y, width, height } = STRIP;
  const scale = CLIP.height / height;
  const frames = CLIP.fps * CLIP.seconds;
  const swing = `(1-cos(2*PI*n/${frames}))/2`;
  return [
    `crop=${width}:${height}:${x}:${y}`,
    `scale=${2 * Math.round((width * scale) / 2)}:${CLIP.height}:flags=lanczos`,
    'format=yuv420p',
    'loop=loop=-1:size=1:start=0',
    `setpts=N/${CLIP.fps}/TB`,
    `crop=${CLIP.width}:${CLIP.height}:y=0:x='${Math.round(PAN_PX * scale)}*${swing}'`,
    `zoompan=d=1:fps=${CLIP.fps}:s=${CLIP.width}x${CLIP.height}:z='1+${(ZOOM_RATIO - 1).toFixed(2)}*${swing.replace('n', 'on')}':x='(iw-iw/zoom)/2':y='(ih-ih/zoom)/2'`,
    'setsar=1',
  ].join(',');
}
