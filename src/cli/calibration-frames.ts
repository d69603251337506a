import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ModelSpec } from '../base/core/model.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { openFfmpeg } from '../frame/decode/ffmpeg-binary.ts';
import { probeSource } from '../frame/decode/probe.ts';
import { sampleFrames } from '../frame/decode/sample-frames.ts';
import { preprocessImage } from '../frame/preprocess/sharp-preprocessor.ts';
import { parseSource } from '../frame/source/parse-source.ts';
import { type CliIo, note } from './cli-io.ts';
import { picturesIn } from './sample-pictures.ts';

/** More pictures hardly change the ranges of the tensors, and cost time. */
const MOST_FRAMES = 64;
const PROBE_MS = 30_000;

/**
 * Reads the pictures of a folder, or frames spread over a video, and fits them into a model's input as it was trained.
 *
 * @returns u8 [height, width, 3] RGB.
 * Throws SOURCE_* where there are none, FFMPEG_MISSING.
 */
export async function calibrationFrames(place: string, spec: ModelSpec, io: CliIo): Promise<Uint8Array[]> {
  const found = await stat(place).catch(() => null);
  if (found === null)
    throw new SightlineError('SOURCE_NOT_FOUND', `--calibration ${place}: expected a folder of pictures or a video`);
  if (found.isDirectory()) return fitPictures(await picturesIn(place, MOST_FRAMES), spec);
  if (!found.isFile())
    throw new SightlineError(
      'SOURCE_UNREADABLE',
      `--calibration ${place}: expected a folder of pictures or a video, found a pipe or a device`,
    );
  const folder = await mkdtemp(join(tmpdir(), 'sightline-calibration-'));
  try {
    const ffmpeg = await openFfmpeg(io.environment, (text) => note(io, text));
    const options = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: PROBE_MS } as const;
    const { durationUs } = await probeSource(ffmpeg, parseSource(place, options), PROBE_MS);
    await sampleFrames(ffmpeg, resolve(place), durationUs, MOST_FRAMES, join(folder, '%04d.png'), io.stop);
    return await fitPictures(await picturesIn(folder, MOST_FRAMES), spec);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Fits image files into the input of a model. */
async function fitPictures(paths: readonly string[], spec: ModelSpec): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for (const path of paths) {
    const frame = new Uint8Array(spec.input.width * spec.input.height * 3);
    await preprocessImage(path, spec, frame);
    frames.push(frame);
  }
  return frames;
}
