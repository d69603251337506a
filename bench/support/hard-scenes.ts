import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { seededRandom } from '../../src/base/core/seeded-random.ts';

const SCENE_WIDTH = 640;
const SCENE_HEIGHT = 360;
const PIXELS = SCENE_WIDTH * SCENE_HEIGHT;
const QUIET = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-y'];

/** A picture, u8 RGB `[height, width, 3]`. */
interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** An object that was cut out of a picture, u8 RGBA `[height, width, 4]`. */
interface Sprite {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** What scenes are made of. */
export interface SceneMaterial {
  /** Pictures of the size of a scene. */
  readonly pictures: readonly Picture[];
  readonly person: Sprite;
  readonly otherPerson: Sprite;
  readonly vehicle: Sprite;
  /** Frames of a clip of a fixed camera, of the size of a scene. */
  readonly clip: readonly Picture[];
}

/** A clip to be made. */
export interface HardScene {
  readonly name: string;
  readonly fps: number;
  readonly frames: number;
  /** Options of the encoder; a usual camera if absent. */
  readonly encode?: readonly string[];
  /** Standard deviation of the sensor's noise at a frame, in levels, where the camera has `sigma`. */
  readonly sigmaAt?: (sigma: number, frame: number) => number;
  /** Levels of noise that it is tried at, if not at the usual ones. */
  readonly sigmas?: readonly number[];
  /** Draws a frame, without noise. */
  paint(canvas: Canvas, frame: number): void;
}

/** The picture that is being drawn. */
class Canvas {
  readonly pixels = new Uint8ClampedArray(PIXELS * 3);

  /** Shows a window of a picture that is at least as large as a scene. */
  show({ pixels, width }: Picture, x = 0, y = 0): void {
    for (let row = 0; row < SCENE_HEIGHT; row++) {
      const from = ((row + y) * width + x) * 3;
      this.pixels.set(pixels.subarray(from, from + SCENE_WIDTH * 3), row * SCENE_WIDTH * 3);
    }
  }

  /** Draws a sprite with its top left corner at a place, which may be outside. */
  paste({ width, height, pixels }: Sprite, atX: number, atY: number): void {
    const [left, top] = [Math.round(atX), Math.round(atY)];
    for (let y = Math.max(0, -top); y < Math.min(height, SCENE_HEIGHT - top); y++)
      for (let x = Math.max(0, -left); x < Math.min(width, SCENE_WIDTH - left); x++) {
        const from = (y * width + x) * 4;
        const to = ((y + top) * SCENE_WIDTH + x + left) * 3;
        const alpha = pixels[from + 3]! / 255;
        for (let c = 0; c < 3; c++)
          this.pixels[to + c] = this.pixels[to + c]! * (1 - alpha) + pixels[from + c]! * alpha;
      }
  }

  /** Makes each level `level * gain + offset`. */
  light(gain: number, offset = 0): void {
    const levels = Uint8ClampedArray.from({ length: 256 }, (_, level) => level * gain + offset);
    for (let i = 0; i < this.pixels.length; i++) this.pixels[i] = levels[this.pixels[i]!]!;
  }

  /** Adds noise that is normally distributed and independent from pixel to pixel and frame to frame. */
  addNoise(sigma: number, random: () => number): void {
    if (sigma === 0) return;
    let at = 0;
    for (let pixel = 0; pixel < PIXELS; pixel++) {
      if (pixel % 1024 === 0) at = Math.floor(random() * (NORMAL.length - 1024));
      const value = sigma * NORMAL[at++]!;
      const to = pixel * 3;
      this.pixels[to] = this.pixels[to]! + value;
      this.pixels[to + 1] = this.pixels[to + 1]! + value;
      this.pixels[to + 2] = this.pixels[to + 2]! + value;
    }
  }
}

/** Normally distributed numbers (Box and Muller), drawn once: drawing them for each pixel takes most of the time. */
const NORMAL = normal(1 << 18);

function normal(count: number): Float32Array {
  const random = seededRandom(5);
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}

/** Pictures side by side, in front of which a window can move. */
function mosaic(pictures: readonly Picture[]): Picture {
  const width = SCENE_WIDTH * pictures.length;
  const pixels = new Uint8Array(width * SCENE_HEIGHT * 3);
  for (const [i, picture] of pictures.entries())
    for (let row = 0; row < SCENE_HEIGHT; row++)
      pixels.set(
        picture.pixels.subarray(row * SCENE_WIDTH * 3, (row + 1) * SCENE_WIDTH * 3),
        (row * width + i * SCENE_WIDTH) * 3,
      );
  return { width, height: SCENE_HEIGHT, pixels };
}

const between = (from: number, to: number, ratio: number): number =>
  from + (to - from) * Math.min(1, Math.max(0, ratio));

/**
 * The hard cases for skipped work. Objects that come and go are between 1 and 2 % of the picture, unless they fill it.
 */
export function hardScenes({ pictures, person, otherPerson, vehicle, clip }: SceneMaterial): HardScene[] {
  const fps = 25;
  const seconds = (count: number): number => Math.round(count * fps);
  const view = mosaic(pictures.slice(0, 6));
  const [first, second, third] = [pictures[6]!, pictures[7]!, pictures[8]!];
  const ground = SCENE_HEIGHT - person.height - 20;
  const shakes = seededRandom(9);
  const shaken = Array.from({ length: 400 }, () => [shakes() * 6, shakes() * 6] as const);
  return [
    {
      name: 'cuts between six pictures',
      fps,
      frames: seconds(9),
      paint: (canvas, frame) => canvas.show(pictures[Math.floor(frame / seconds(1.5))]!),
    },
    {
      name: 'six presets with stops',
      fps,
      frames: seconds(12),
      paint(canvas, frame) {
        const preset = Math.floor(frame / seconds(2));
        const moved = (frame - preset * seconds(2) - seconds(1.6)) / seconds(0.4);
        canvas.show(view, Math.round(between(preset, Math.min(5, preset + 1), moved) * SCENE_WIDTH));
      },
    },
    {
      name: 'pan',
      fps,
      frames: seconds(8),
      paint: (canvas, frame) => canvas.show(view, Math.round(frame * 2.4)),
    },
    {
      name: 'shake, somebody comes in it',
      fps,
      frames: seconds(10),
      paint(canvas, frame) {
        const [x, y] = frame > seconds(2) && frame < seconds(8) ? shaken[frame]! : [3, 3];
        canvas.show(view, Math.round(x), 0);
        canvas.paste(person, between(-person.width, 300, (frame - seconds(4)) / seconds(3)) - x, ground - y);
      },
    },
    {
      name: 'light off and on',
      fps,
      frames: seconds(8),
      paint(canvas, frame) {
        canvas.show(first);
        canvas.paste(person, 200, ground);
        if (Math.floor(frame / seconds(2)) % 2 === 1) canvas.light(0.15);
      },
    },
    {
      name: 'exposure ramp',
      fps,
      frames: seconds(10),
      paint(canvas, frame) {
        canvas.show(second);
        canvas.paste(person, 300, ground);
        canvas.light(0.55 + 0.45 * Math.cos((2 * Math.PI * frame) / seconds(10)));
      },
    },
    {
      name: 'fog comes and goes',
      fps,
      frames: seconds(12),
      paint(canvas, frame) {
        canvas.show(third);
        canvas.paste(person, 240, ground);
        const clear = 0.54 + 0.46 * Math.cos((2 * Math.PI * frame) / seconds(12));
        canvas.light(clear, 200 * (1 - clear));
      },
    },
    {
      name: 'night, a small person stops',
      fps,
      frames: seconds(16),
      paint(canvas, frame) {
        canvas.show(pictures[9]!);
        const x = between(-person.width, 280, (frame - seconds(3)) / seconds(4));
        canvas.paste(person, x + between(0, 400, (frame - seconds(11)) / seconds(4)), ground);
        canvas.light(0.3, 6);
      },
    },
    {
      name: 'slow walkers',
      fps,
      frames: seconds(12),
      paint(canvas, frame) {
        canvas.show(pictures[10]!);
        // The first moves by about a block of the gate in a second, the other by a third of one.
        canvas.paste(person, 120 + (frame * 10.7) / fps, ground);
        canvas.paste(otherPerson, 440 - (frame * 3.5) / fps, ground - 10);
      },
    },
    {
      name: 'a vehicle fills the picture and stops',
      fps,
      frames: seconds(10),
      paint(canvas, frame) {
        canvas.show(pictures[11]!);
        const x = between(-vehicle.width, (SCENE_WIDTH - vehicle.width) / 2, (frame - seconds(2)) / seconds(1.5));
        const y = SCENE_HEIGHT - vehicle.height;
        canvas.paste(vehicle, x + between(0, SCENE_WIDTH, (frame - seconds(7)) / seconds(1.5)), y);
      },
    },
    {
      name: 'low bit rate, a key frame each second',
      fps,
      frames: seconds(12),
      encode: ['-b:v', '80k', '-maxrate', '80k', '-bufsize', '80k', '-g', '25'],
      paint(canvas, frame) {
        canvas.show(pictures[12]!);
        canvas.paste(person, 100 + between(0, 200, (frame - seconds(7)) / seconds(5)), ground);
      },
    },
    {
      name: 'a still minute, then a walker',
      fps: 10,
      frames: 700,
      paint(canvas, frame) {
        canvas.show(pictures[13]!);
        canvas.paste(otherPerson, between(-otherPerson.width, 320, (frame - 600) / 80), ground);
      },
    },
    {
      name: 'infrared light comes on, then somebody',
      fps,
      frames: seconds(14),
      sigmaAt: (sigma, frame) => (frame < seconds(4) ? sigma : sigma + 6),
      paint(canvas, frame) {
        canvas.show(pictures[14]!);
        const x = between(-person.width, 300, (frame - seconds(8)) / seconds(5));
        canvas.paste(person, x, ground);
        canvas.light(frame < seconds(4) ? 0.25 : 0.5, 8);
      },
    },
    {
      name: 'light that flickers, somebody comes in it',
      fps,
      frames: seconds(12),
      paint(canvas, frame) {
        canvas.show(pictures[15]!);
        canvas.paste(otherPerson, between(-otherPerson.width, 300, (frame - seconds(6)) / seconds(4)), ground);
        canvas.light(0.6 * (1 + 0.04 * Math.sin((2 * Math.PI * 3.3 * frame) / fps)));
      },
    },
    {
      name: 'a night without anybody',
      fps,
      frames: seconds(20),
      paint(canvas) {
        canvas.show(pictures[9]!);
        canvas.light(0.3, 6);
      },
    },
    {
      name: 'a dim room, somebody comes and stops',
      fps,
      frames: seconds(14),
      paint(canvas, frame) {
        canvas.show(pictures[3]!);
        const x = between(-person.width, 280, (frame - seconds(4)) / seconds(3));
        canvas.paste(person, x + between(0, 400, (frame - seconds(11)) / seconds(3)), ground);
        canvas.light(DIM, 14);
      },
    },
    {
      name: 'a light comes on in a dim room, somebody is there',
      fps,
      frames: seconds(12),
      paint(canvas, frame) {
        canvas.show(pictures[4]!);
        if (frame >= seconds(6)) canvas.paste(person, 260, ground);
        if (frame < seconds(6) || frame >= seconds(10)) canvas.light(DIM, 14);
      },
    },
    {
      name: 'low quality, a slow walker stops',
      fps,
      frames: seconds(18),
      encode: ['-crf', '34', '-g', '250'],
      paint(canvas, frame) {
        canvas.show(pictures[5]!);
        canvas.paste(person, 100 + between(0, 120, (frame - seconds(5)) / seconds(9)), ground);
      },
    },
    {
      name: 'low quality, a still minute, then a slow walker',
      fps: 10,
      frames: 700,
      encode: ['-crf', '30', '-g', '50'],
      paint(canvas, frame) {
        canvas.show(pictures[7]!);
        canvas.paste(otherPerson, between(-otherPerson.width, 120, (frame - 600) / 100), ground);
      },
    },
    {
      name: 'five frames a second, somebody comes after a still minute',
      fps: 5,
      frames: 375,
      paint(canvas, frame) {
        canvas.show(pictures[8]!);
        canvas.paste(person, between(-person.width, 300, (frame - 300) / 40), ground);
      },
    },
    ...NOISES.flatMap((noise) => CRFS.map((crf) => stillCamera(clip[0]!, noise, crf))),
    {
      name: 'a street',
      fps: 10,
      frames: clip.length,
      paint: (canvas, frame) => canvas.show(clip[frame]!),
    },
  ];
}

/** What is left of the light in a dim room. */
const DIM = 0.12;
/** Strengths of ffmpeg's noise, which is in the colours too, and qualities of x264. */
const NOISES = [3, 7, 15];
const CRFS = [18, 23, 30, 34];

/** A camera that looks at one picture: from the second second on, every inference but those that are due is superfluous. */
function stillCamera(picture: Picture, noise: number, crf: number): HardScene {
  return {
    name: `still, noise ${noise}, crf ${crf}`,
    fps: 25,
    frames: 500,
    sigmas: [0],
    encode: ['-vf', `noise=alls=${noise}:allf=t`, '-crf', String(crf)],
    paint: (canvas) => canvas.show(picture),
  };
}

const CAMERA = ['-crf', '24', '-g', '50'];

/** Encodes a scene as H.264. @throws if ffmpeg fails. */
export async function encodeScene(
  ffmpeg: string,
  scene: HardScene,
  { sigma, seed, path }: { readonly sigma: number; readonly seed: number; readonly path: string },
): Promise<void> {
  const child = spawn(
    ffmpeg,
    [
      ...[...QUIET.filter((option) => option !== '-nostdin'), '-f', 'rawvideo', '-pix_fmt', 'rgb24'],
      ...['-s', `${SCENE_WIDTH}x${SCENE_HEIGHT}`, '-r', String(scene.fps), '-i', 'pipe:0'],
      ...['-c:v', 'libx264', '-preset', 'veryfast', ...(scene.encode ?? CAMERA), '-pix_fmt', 'yuv420p', path],
    ],
    { stdio: ['pipe', 'ignore', 'inherit'] },
  );
  const exit = once(child, 'exit');
  const canvas = new Canvas();
  const random = seededRandom(seed);
  for (let frame = 0; frame < scene.frames; frame++) {
    scene.paint(canvas, frame);
    canvas.addNoise(scene.sigmaAt?.(sigma, frame) ?? sigma, random);
    if (!child.stdin.write(Buffer.from(canvas.pixels))) await once(child.stdin, 'drain');
  }
  child.stdin.end();
  const [code] = await exit;
  if (code !== 0) throw new Error(`ffmpeg could not encode "${scene.name}" (exit code ${code})`);
}

/** Annotations of people and vehicles that are whole in their pictures, in COCO val2017. */
const PEOPLE = [1756536, 460884, 2017004, 425370, 201384, 517908, 493019, 1299510];
const VEHICLES = [168880, 139476, 366014, 139801];
const CLIP_FRAMES = 100;
/** Share of the picture that a person covers. */
const PERSON_SHARE = 0.016;

/**
 * Takes material from the shared folder.
 *
 * @param pack - which pictures and objects: packs 0 to 3 share none of the pictures and no object.
 */
export async function sceneMaterial(ffmpeg: string, sharedDir: string, pack: number): Promise<SceneMaterial> {
  const labelled = join(sharedDir, 'coco-val-100');
  const calibration = join(sharedDir, 'calibration-60');
  const files = [...(await jpegsOf(join(labelled, 'images'))), ...(await jpegsOf(calibration))];
  const count = 16;
  const own = files.filter((_, i) => i % 8 === pack).slice(0, count);
  const pictures = await Promise.all(own.map((path) => pictureOf(path)));
  const cut = (id: number, area: number | null): Promise<Sprite> => spriteOf(labelled, id, area);
  const area = PERSON_SHARE * PIXELS;
  return {
    pictures,
    person: await cut(PEOPLE[pack * 2]!, area),
    otherPerson: await cut(PEOPLE[pack * 2 + 1]!, area),
    vehicle: await cut(VEHICLES[pack]!, null),
    clip: await clipOf(ffmpeg, join(sharedDir, 'videos', 'vtest_h264.mp4'), 10 + 15 * pack, CLIP_FRAMES),
  };
}

async function jpegsOf(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => name.endsWith('.jpg'))
    .sort()
    .map((name) => join(folder, name));
}

async function pictureOf(path: string): Promise<Picture> {
  const size = { width: SCENE_WIDTH, height: SCENE_HEIGHT };
  const data = await sharp(path)
    .resize({ ...size, fit: 'cover' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer();
  return { ...size, pixels: new Uint8Array(data) };
}

/** The part of COCO's format that holds outlines, which scoring does not read. */
interface Outlines {
  readonly images: readonly {
    readonly id: number;
    readonly file_name: string;
    readonly width: number;
    readonly height: number;
  }[];
  readonly annotations: readonly {
    readonly id: number;
    readonly image_id: number;
    readonly bbox: readonly number[];
    readonly segmentation: readonly (readonly number[])[];
  }[];
}

/** Cuts an object out along its outline. @param area - of its box in the scene; null: it fills the scene. */
async function spriteOf(folder: string, id: number, area: number | null): Promise<Sprite> {
  const { annotations, images } = JSON.parse(await readFile(join(folder, 'instances.json'), 'utf8')) as Outlines;
  const { image_id, bbox, segmentation } = annotations.find((annotation) => annotation.id === id)!;
  const { file_name, width, height } = images.find((image) => image.id === image_id)!;
  const outline = segmentation.map((corners) => `<polygon points="${corners.join(' ')}" fill="white"/>`).join('');
  const mask = Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${outline}</svg>`,
  );
  const whole = await sharp(join(folder, 'images', file_name))
    .ensureAlpha()
    .composite([{ input: mask, blend: 'dest-in' }])
    .png()
    .toBuffer();
  const [left, top, w, h] = bbox.map(Math.floor) as [number, number, number, number];
  const scale =
    area === null ? Math.min((0.95 * SCENE_WIDTH) / w, (0.95 * SCENE_HEIGHT) / h) : Math.sqrt(area / (w * h));
  const size = { width: Math.round(w * scale), height: Math.round(h * scale) };
  const data = await sharp(whole)
    .extract({ left, top, width: w, height: h })
    .resize({ ...size, fit: 'fill' })
    .raw()
    .toBuffer();
  return { ...size, pixels: new Uint8Array(data) };
}

/** Reads frames of a clip. */
async function clipOf(ffmpeg: string, path: string, fromSeconds: number, count: number): Promise<Picture[]> {
  const size = { width: SCENE_WIDTH, height: SCENE_HEIGHT };
  const fill = `scale=${SCENE_WIDTH}:${SCENE_HEIGHT}:force_original_aspect_ratio=increase,crop=${SCENE_WIDTH}:${SCENE_HEIGHT}`;
  const { stdout } = await promisify(execFile)(
    ffmpeg,
    [
      ...[...QUIET, '-ss', String(fromSeconds), '-i', path, '-frames:v', String(count), '-vf', fill],
      ...['-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'],
    ],
    { encoding: 'buffer', maxBuffer: count * PIXELS * 3 },
  );
  return Array.from({ length: count }, (_, frame) => ({
    ...size,
    pixels: new Uint8Array(stdout.subarray(frame * PIXELS * 3, (frame + 1) * PIXELS * 3)),
  }));
}
