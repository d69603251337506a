import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import { OverlayPainter } from '../after/sinks/drawing/draw-overlay.ts';
import type { Detection } from '../base/core/detection.ts';
import { DEFAULT_MAX_PIXELS } from '../base/core/frame.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { readImage } from '../frame/preprocess/sharp-preprocessor.ts';
import { fetchFromNpm } from '../network/store/npm-package.ts';
import { runToEnd } from '../serve/host/run-to-end.ts';
import { batchConfig } from '../settings/config/batch.ts';
import { check } from '../settings/config/check.ts';
import type { ModelConfig } from '../settings/config/model-config.ts';
import { parseStream } from '../settings/config/parse-stream.ts';
import { type CliIo, note } from './cli-io.ts';

const PICTURES = /\.(jpe?g|png|webp)$/i;

/** Photographs of people, of the package of the default detector (MIT): a JPEG of 1280x1158 with a row of small ones at its top. */
const PEOPLE = { spec: '@vladmandic/human@3.3.6', sheet: 'assets/samples.jpg' } as const;
/** Layout of the sheet: photographs of people side by side, 156 pixels high, below a border of one pixel. */
const SHEET = { scenes: 4, width: 160, height: 156, top: 1, enlarge: 3 } as const;

/** Returns the pictures of a folder, sorted by name, at most `max`. @throws SOURCE_NOT_FOUND, SOURCE_EMPTY */
export async function picturesIn(folder: string, max: number): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new SightlineError(
      'SOURCE_NOT_FOUND',
      `${folder}: ${error.code === 'ENOENT' ? 'no such folder' : error.message}`,
      { folder },
    );
  });
  const pictures = names.filter((name) => PICTURES.test(name)).sort();
  if (pictures.length === 0)
    throw new SightlineError('SOURCE_EMPTY', `${folder}: no pictures in this folder (looked for jpg, png, webp)`);
  return pictures.slice(0, max).map((name) => join(folder, name));
}

/** Cuts photographs of people out of a sheet, which each call fetches from npm. */
export async function demoPictures(folder: string, io: CliIo): Promise<string[]> {
  note(io, 'fetching the demonstration photographs from npm; use --images DIR for your own');
  const sheet = sharp((await fetchFromNpm(PEOPLE.spec, [PEOPLE.sheet])).get(PEOPLE.sheet)!);
  await mkdir(folder, { recursive: true });
  const { scenes, width, height, top, enlarge } = SHEET;
  const paths: string[] = [];
  for (let scene = 0; scene < scenes; scene += 1) {
    const path = join(folder, `photograph-${scene + 1}.png`);
    await sheet
      .clone()
      .extract({ left: scene * width, top, width, height })
      .resize(width * enlarge, height * enlarge)
      .png()
      .toFile(path);
    paths.push(path);
  }
  return paths;
}

/** Runs a model on pictures. @returns the detections of each picture, in the same order. */
export async function detectInPictures(
  model: ModelConfig,
  imagePaths: readonly string[],
  io: CliIo,
): Promise<(readonly Detection[])[]> {
  const { openRuntime } = await import('../frame/runtime/open-runtime.ts');
  const runtime = await openRuntime({
    model,
    batch: check(batchConfig, {}, 'batch'),
    environment: io.environment,
    onNotice: (text) => note(io, text),
    signal: io.stop,
  });
  try {
    const found: (readonly Detection[])[] = imagePaths.map(() => []);
    runtime.masks.watch('program', null);
    runtime.published.add(({ frame, detections }) => {
      found[frame] = detections;
    });
    const config = parseStream({ id: 'pictures', source: imagePaths[0]!, policy: 'file' }, {});
    const input = { source: null, imagePaths, label: 'pictures', policy: 'file', picture: null } as const;
    const { error } = await runToEnd(runtime, async () => runtime.add(config, input), io.stop);
    io.stop.throwIfAborted();
    if (error !== null) throw error;
    return found;
  } finally {
    await runtime.stop();
  }
}

/** Draws the detections on a copy of each picture. @returns the paths of the copies. */
export async function drawPictures(
  imagePaths: readonly string[],
  found: readonly (readonly Detection[])[],
  folder: string,
): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const drawn: string[] = [];
  for (const [index, source] of imagePaths.entries()) {
    const path = join(folder, `${basename(source).replace(PICTURES, '')}-boxes.jpg`);
    await writeFile(path, await pictureWithBoxes(source, found[index] ?? [], DEFAULT_MAX_PIXELS));
    drawn.push(path);
  }
  return drawn;
}

/** Draws the detections on a picture. @returns a JPEG. @throws as `readImage` */
export async function pictureWithBoxes(
  source: string,
  detections: readonly Detection[],
  maxPixels: number,
): Promise<Buffer> {
  const { pixels, width, height } = await readImage(source, maxPixels);
  const canvas = { pixels, width, height };
  new OverlayPainter(canvas, { zones: [], lines: [] }).draw(canvas, {
    detections,
    counts: { zones: [], lines: [] },
    sourceWidth: width,
    sourceHeight: height,
    placement: { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 },
  });
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 90 })
    .toBuffer();
}
