import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Ffmpeg } from '../../src/base/process/confinement.ts';
import { findFfmpeg } from '../../src/frame/decode/ffmpeg-binary.ts';
import { probeSource } from '../../src/frame/decode/probe.ts';
import { decodeStill } from '../../src/frame/decode/still-picture.ts';
import { parseSource } from '../../src/frame/source/parse-source.ts';
import { cli } from '../support/cli.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';

const SIDE = 16_000;
const OPTIONS = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5_000 } as const;
const ALLOWED = 67_108_864;

/** Writes numbers of any length in bits, as H.264 headers have them. */
class BitWriter {
  #bits = '';

  fixed(value: number, length: number): this {
    this.#bits += value.toString(2).padStart(length, '0');
    return this;
  }

  /** Exponential-Golomb. */
  golomb(value: number): this {
    const text = (value + 1).toString(2);
    this.#bits += '0'.repeat(text.length - 1) + text;
    return this;
  }

  bytes(): Buffer {
    const whole = `${this.#bits}1`;
    const padded = whole.padEnd(Math.ceil(whole.length / 8) * 8, '0');
    return Buffer.from(padded.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)));
  }
}

/** A sequence header of the baseline profile, level 6.2. */
function sequenceHeader(width: number, height: number): Buffer {
  const bits = new BitWriter().fixed(66, 8).fixed(0, 8).fixed(62, 8);
  // Number of this header, digits of the frame's number, order of output (as decoded), reference frames.
  bits.golomb(0).golomb(0).golomb(2).golomb(1).fixed(0, 1);
  bits.golomb(width / 16 - 1).golomb(height / 16 - 1);
  // Whole frames, direct 8x8; neither cropping nor more facts.
  return Buffer.concat([Buffer.from([0, 0, 0, 1, 0x67]), bits.fixed(1, 1).fixed(1, 1).fixed(0, 1).fixed(0, 1).bytes()]);
}

/** Puts another sequence header before each picture of a raw H.264 stream. */
function withHeader(stream: Buffer, header: Buffer): Buffer {
  const starts: number[] = [];
  for (let at = stream.indexOf('000001', 0, 'hex'); at >= 0; at = stream.indexOf('000001', at + 3, 'hex'))
    starts.push(at);
  const units = starts.map((at, i) => stream.subarray(at, starts[i + 1]));
  return Buffer.concat(units.map((unit) => ((unit[3]! & 0x1f) === 7 ? header : unit)));
}

describe('pictures that are larger than allowed', () => {
  const folder = new VideoFolder();
  const png = `${folder.path}/large.png`;
  /** Without an extension, by which ffmpeg would take it for a sequence of images, which is refused anyway. */
  const jpeg = `${folder.path}/large`;
  const h264 = `${folder.path}/lies.h264`;
  let honest: string;

  beforeAll(async () => {
    const grey = { width: SIDE, height: SIDE, channels: 3, background: '#333' } as const;
    const image = sharp({ create: grey, limitInputPixels: false });
    await image.clone().png({ compressionLevel: 1 }).toFile(png);
    await image.clone().jpeg({ quality: 10 }).toFile(jpeg);
    honest = await folder.make('honest.mp4', { frames: 3 });
    const raw = `${folder.path}/raw.h264`;
    const baseline = ['-c:v', 'libx264', '-profile:v', 'baseline', '-pix_fmt', 'yuv420p', '-f', 'h264', raw];
    await promisify(execFile)(testFfmpeg.path, ['-loglevel', 'error', '-i', honest, ...baseline]);
    writeFileSync(h264, withHeader(readFileSync(raw), sequenceHeader(SIDE, SIDE)));
  }, 120_000);

  afterAll(() => folder.remove());

  it.each([
    ['PNG', png],
    ['JPEG', jpeg],
    ['H.264 whose header lies', h264],
  ])('%s: ffmpeg refuses it, with size and limit', async (_, path) => {
    await expect(probeSource(testFfmpeg, parseSource(path, OPTIONS), 30_000)).rejects.toMatchObject({
      code: 'SOURCE_TOO_LARGE',
      message: expect.stringContaining(
        `its pictures are ${SIDE}x${SIDE}, and decoder.maxPixels allows ${ALLOWED} pixels`,
      ),
    });
  });

  it.each([
    ['PNG', png],
    ['JPEG', jpeg],
  ])('%s: a still picture is refused', async (_, path) => {
    const canvas = { width: 2, height: 2, fit: { mode: 'stretch' } } as const;
    await expect(decodeStill(testFfmpeg, path, canvas, new Uint8Array(12))).rejects.toThrow(
      `Picture size ${SIDE}x${SIDE} exceeds`,
    );
  });

  it.each([
    ['PNG', png, 'the picture is'],
    ['H.264 whose header lies', h264, 'its pictures are'],
  ])('%s: detect ends with the reason', async (_, path, text) => {
    const { code, stderr } = await cli(['detect', path, '--engine', 'fake', '--out', `${folder.path}/out.jsonl`], {
      FFMPEG_PATH: testFfmpeg.path,
    });
    expect(stderr).toContain(`${text} ${SIDE}x${SIDE}, and decoder.maxPixels allows ${ALLOWED} pixels`);
    expect(stderr).toContain('[SOURCE_TOO_LARGE]');
    expect(code).toBe(1);
  });

  it('the limit can be raised, and a picture of exactly its size is read', async () => {
    const size = await sizeWith({ maxPixels: SIDE * SIDE });
    expect(size).toMatchObject({ width: SIDE, height: SIDE });
    await expect(sizeWith({ maxPixels: SIDE * SIDE - 1 })).rejects.toMatchObject({ code: 'SOURCE_TOO_LARGE' });
  });

  it.skipIf(process.platform !== 'linux')('one that needs more memory than allowed is refused (Linux)', async () => {
    await expect(sizeWith({ maxPixels: SIDE * SIDE, memoryMib: 256 })).rejects.toMatchObject({
      code: 'SOURCE_TOO_LARGE',
      message: expect.stringContaining('decoder.memoryMib'),
    });
  });

  it('video of 7680x4320 is read', async () => {
    const path = await folder.make('8k.mp4', { frames: 2, width: 7680, height: 4320 });
    expect(await probeSource(testFfmpeg, parseSource(path, OPTIONS), 60_000)).toMatchObject({
      width: 7680,
      height: 4320,
    });
  });

  async function sizeWith(limits: { maxPixels: number; memoryMib?: number }) {
    const decoder = { sandbox: 'none', memoryMib: 4096, packaged: true, ...limits } as const;
    const ffmpeg: Ffmpeg = await findFfmpeg({
      path: testFfmpeg.path,
      searchPath: process.env.PATH ?? '',
      decoder,
    });
    return probeSource(ffmpeg, parseSource(png, OPTIONS), 60_000);
  }
});
