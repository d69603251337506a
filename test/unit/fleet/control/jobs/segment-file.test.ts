import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { Detection } from '../../../../../src/base/core/detection.ts';
import {
  type SegmentFrame,
  type SegmentHeader,
  SegmentReader,
  SegmentWriter,
} from '../../../../../src/fleet/control/jobs/segment-file.ts';
import { SegmentFolder } from '../../../../../src/fleet/control/jobs/segment-folder.ts';
import { frameOf } from '../../../after/sinks/frames.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sightline-segment-')));
const results = new SegmentFolder(folder, 'job', async () => folder);
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(results.path, '0-0.jsonl');

const HEADER: SegmentHeader = {
  version: 1,
  span: { index: 0, fromUs: null, toUs: 400_000, firstFrame: 0, frames: 10 },
  every: 1,
  scoreThreshold: 0.1,
  input: { bytes: 1000, modifiedMs: 1_700_000_000_000 },
};

/** A box as engines return it: unrounded 32-bit floats. */
const box = (seed: number): Detection => {
  const [x, y, width, height, score] = [0.1, 0.2, 0.3, 0.7, 0.011].map((n) => Math.fround(n * (seed + 1)));
  return { classId: seed, label: `class ${seed}`, score: score!, box: [x!, y!, width!, height!] };
};

async function write(frames: number): Promise<void> {
  const writer = await SegmentWriter.create(path, HEADER, results);
  for (let i = 0; i < frames; i++)
    await writer.add(
      frameOf(
        i,
        Array.from({ length: i % 4 }, (_, k) => box(k)),
      ),
    );
  await writer.commit();
}

async function readAll(): Promise<{ header: SegmentHeader; frames: SegmentFrame[] }> {
  const reader = await SegmentReader.open(path);
  try {
    const frames: SegmentFrame[] = [];
    for await (const frame of reader!.frames()) frames.push(frame);
    return { header: reader!.header, frames };
  } finally {
    await reader?.close();
  }
}

describe('a segment result', () => {
  beforeEach(() => rmSync(path, { force: true }));

  it('returns what was written, bit for bit', async () => {
    await write(5);
    const { header, frames } = await readAll();
    expect(header).toEqual(HEADER);
    expect(frames.map(({ ptsUs }) => ptsUs)).toEqual([0, 40_000, 80_000, 120_000, 160_000]);
    const { box: place, score, classId } = box(1);
    expect([...frames[2]!.rows.subarray(6)]).toEqual([...place, score, classId]);
  });

  it('keeps how the camera moved, beside whatever else a frame has', async () => {
    const moved = { x: 1 / 3, y: -2 };
    const crop = { x: 1, y: 2, width: 3, height: 4, pictureWidth: 640 };
    const looks = {
      picture: { width: 640, height: 360 },
      readings: [{ stage: 'colour', crop, rows: Float32Array.of(1) }],
    };
    const writer = await SegmentWriter.create(path, HEADER, results);
    await writer.add({ ...frameOf(0, [box(0)]), moved });
    await writer.add({ ...frameOf(1, [{ ...box(0), angle: 5 }]), moved, ...looks });
    await writer.add({ ...frameOf(2, []), moved: undefined });
    await writer.commit();
    const { frames } = await readAll();
    expect(frames.map((frame) => frame.moved)).toEqual([moved, moved, undefined]);
    expect(frames.map(({ rows, extras, readings }) => [rows.length, extras.length, readings.length])).toEqual([
      [6, 0, 0],
      [6, 1, 1],
      [0, 0, 0],
    ]);
  });

  it('keeps what second stages found in crops, also the empty places of a vector', async () => {
    const crop = { x: 1, y: 2, width: 3, height: 4, pictureWidth: 640 };
    const readings = [
      { stage: 'colour', crop, rows: Float32Array.of(0, 0, 0, 0, 0.1, 2) },
      { stage: 'like', crop, rows: Float32Array.of(0.3, Number.NaN) },
    ];
    const picture = { width: 640, height: 360 };
    const writer = await SegmentWriter.create(path, HEADER, results);
    await writer.add({ ...frameOf(0, [{ ...box(0), angle: 5 }]), picture, readings });
    await writer.add({ ...frameOf(1, [box(0)]), picture, readings: [] });
    await writer.commit();
    const { frames } = await readAll();
    expect(frames.map((frame) => [frame.picture, frame.readings])).toEqual([
      [picture, readings],
      [null, []],
    ]);
    expect(frames.map(({ extras }) => extras)).toEqual([[{ angle: 5 }], []]);
  });

  it('keeps what other tasks add to boxes', async () => {
    const keypoints = [0.1, 0.2, 0.3].map(Math.fround);
    const writer = await SegmentWriter.create(path, HEADER, results);
    await writer.add(frameOf(0, [box(0), { ...box(1), keypoints }]));
    await writer.add(frameOf(1, [{ ...box(0), mask: { size: [2, 3], counts: '06' }, angle: -12.5 }]));
    await writer.commit();
    const { frames } = await readAll();
    expect(frames.map(({ rows }) => rows.length)).toEqual([12, 6]);
    expect(frames.map(({ extras }) => extras)).toEqual([
      [{}, { keypoints }],
      [{ mask: { size: [2, 3], counts: '06' }, angle: -12.5 }],
    ]);
  });

  it('is read in chunks without losing a line', async () => {
    await write(5000);
    expect((await readAll()).frames.map(({ ptsUs }) => ptsUs)).toEqual(
      Array.from({ length: 5000 }, (_, i) => i * 40_000),
    );
  });

  it('is not visible before it is complete, and leaves nothing when discarded', async () => {
    const writer = await SegmentWriter.create(path, HEADER, results);
    await writer.add(frameOf(0));
    expect(readdirSync(results.path).filter((name) => !name.endsWith('.tmp'))).toEqual([]);
    await writer.discard();
    expect(readdirSync(results.path)).toEqual([]);
  });

  it('that does not exist opens as null', async () => {
    expect(await SegmentReader.open(path)).toBeNull();
  });

  it('with any byte changed is damaged', async () => {
    await write(6);
    const good = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bad = Buffer.from(good);
        bad[at] = bad[at]! ^ change;
        writeFileSync(path, bad);
        // With a changed header it is valid, but the result of another segment: the reader compares headers.
        const read = await readAll().catch((error: unknown) => error);
        if (read instanceof Error) expect(read).toMatchObject({ code: 'SEGMENT_MISMATCH', message: /is damaged/ });
        else expect.unreachable(`a changed byte at ${at} was not noticed`);
      }),
      { numRuns: 300 },
    );
  });

  it('truncated anywhere is damaged', async () => {
    await write(6);
    const { length } = readFileSync(path);
    for (let bytes = 0; bytes < length; bytes += 7) {
      truncateSync(path, bytes);
      await expect(readAll()).rejects.toMatchObject({ code: 'SEGMENT_MISMATCH' });
      await write(6);
    }
  });
});
