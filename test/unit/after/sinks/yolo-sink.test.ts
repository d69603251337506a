import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WrittenFrame } from '../../../../src/after/sinks/sink.ts';
import { YoloSink } from '../../../../src/after/sinks/yolo-sink.ts';
import type { PtsUs } from '../../../../src/base/core/units.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { maskOf, runsOfBitmap } from '../../../../src/base/geometry/rle.ts';

describe('YOLO labels', () => {
  let folder: string;
  let failures: SightlineError[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-yolo-'));
    failures = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const open = (isPicture: boolean, to = folder): YoloSink =>
    new YoloSink({ id: '--yolo', folder: to, stem: 'a', isPicture, onFailure: (error) => failures.push(error) });
  const frame = (n: number, boxes: readonly number[][]) =>
    ({
      streamId: 's',
      frame: n,
      ptsUs: 0 as PtsUs,
      width: 200,
      height: 100,
      by: 'inferred' as const,
      detections: boxes.map((box) => ({ classId: 3, label: 'car', score: 0.5, box })),
    }) as unknown as WrittenFrame;

  it('are the centre and size of each box, in ratios of the picture', async () => {
    const sink = open(true);
    sink.publish(
      frame(0, [
        [50, 25, 100, 50],
        [0, 0, 200, 100],
      ]),
    );
    await sink.close();
    expect(readdirSync(folder)).toEqual(['a.txt']);
    expect(readFileSync(join(folder, 'a.txt'), 'utf8')).toBe(
      '3 0.500000 0.500000 0.500000 0.500000\n3 0.500000 0.500000 1.000000 1.000000\n',
    );
  });

  it('leave out what second stages found, which is no class of the model', async () => {
    const sink = open(true);
    const found = { classId: 80, label: 'plate', score: 0.5, box: [0, 0, 20, 10], parent: 1 };
    const own = frame(0, [[50, 25, 100, 50]]);
    sink.publish({ ...own, detections: [...own.detections, found] } as unknown as WrittenFrame);
    await sink.close();
    expect(readFileSync(join(folder, 'a.txt'), 'utf8')).toBe('3 0.500000 0.500000 0.500000 0.500000\n');
  });

  it('of other tasks are the outline of the mask, the corners of the box, or the box and its key points', async () => {
    // A mask of 4x2 pixels at the left top, and one pixel elsewhere, which is not its largest part.
    const bitmap = new Uint8Array(200 * 100);
    for (const at of [0, 1, 2, 3, 200, 201, 202, 203, 150 * 50]) bitmap[at] = 1;
    const mask = maskOf(runsOfBitmap(bitmap, 100, 200));
    const boxed = { classId: 0, label: 'a', score: 0.5, box: [50, 25, 100, 50] as const };
    const sink = open(true);
    sink.publish({
      ...frame(0, []),
      detections: [
        { ...boxed, mask },
        { ...boxed, angle: 90 },
        { ...boxed, keypoints: [20, 10, 0.9, 30, 10, 0.1] },
      ],
    });
    await sink.close();
    expect(readFileSync(join(folder, 'a.txt'), 'utf8').split('\n')).toEqual([
      '0 0.000000 0.000000 0.020000 0.000000 0.020000 0.020000 0.000000 0.020000',
      '0 0.625000 0.000000 0.625000 1.000000 0.375000 1.000000 0.375000 0.000000',
      '0 0.500000 0.500000 0.500000 0.500000 0.100000 0.100000 2 0.150000 0.100000 0',
      '',
    ]);
  });

  it('of a video have a file for each frame, empty ones too', async () => {
    const sink = open(false);
    for (const n of [0, 7, 1_234_567]) sink.publish(frame(n, []));
    await sink.close();
    expect(readdirSync(folder).sort()).toEqual(['a_000000.txt', 'a_000007.txt', 'a_1234567.txt']);
    expect(sink.figures).toMatchObject({ sent: 3, waiting: 0 });
  });

  it('that cannot be written are reported once, with their path', async () => {
    const sink = open(false, join(folder, 'gone'));
    sink.publish(frame(0, []));
    sink.publish(frame(1, []));
    await expect(sink.close()).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(failures.map(({ message }) => message)).toEqual([expect.stringContaining('a_000000.txt')]);
    expect(sink.figures.lost.failed).toBe(2);
  });
});
