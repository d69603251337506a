import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  FrameRecord,
  type RecordEntry,
  type Recorded,
  type RecordedFrame,
} from '../../../../src/after/sinks/frame-record.ts';
import type { Detection } from '../../../../src/base/core/detection.ts';

const END = { seconds: 1, frames: 3, decodeErrors: 0, cached: 0, warnings: [], error: null };

describe('the record of an item', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-record-'));
    path = join(folder, '0.jsonl');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const open = (keeps: (recorded: Recorded) => boolean = () => true): Promise<FrameRecord> =>
    FrameRecord.open({ path, classes: ['person', 'car'], every: 2, onFailure: () => undefined }, keeps);
  const frame = (n: number): RecordedFrame => ({
    frame: n * 2,
    ptsUs: n * 80_000,
    width: 640,
    height: 480,
    by: 'inferred',
    detections: [
      { classId: 1, label: 'car', score: Math.fround(0.1), box: [Math.fround(1 / 3), 2, 3.5, 1e-7] },
      { classId: 0, label: 'person', score: 0.75, box: [0, 0, 1, 1], trackId: 4 },
    ],
  });
  const all = async (record: FrameRecord): Promise<RecordEntry[]> => {
    const entries: RecordEntry[] = [];
    for await (const entry of record.entries()) entries.push(entry);
    return entries;
  };
  const write = async (count: number): Promise<void> => {
    const record = await open();
    for (let n = 0; n < count; n++) record.add(frame(n));
    await record.close(null);
  };

  it('gives back exactly what was added, while it is written and later', async () => {
    const record = await open();
    const reading = all(record);
    for (let n = 0; n < 3; n++) record.add(frame(n));
    await record.close(END);
    expect(await reading).toEqual([frame(0), frame(1), frame(2)]);
    const again = await open();
    expect(again.recorded).toEqual({ frames: 3, ptsUs: 160_000, end: END });
    await again.close(null);
    expect(await all(again)).toEqual([frame(0), frame(1), frame(2)]);
  });

  it('keeps how the camera moved, with and without what other tasks add', async () => {
    const moved = { x: 1 / 3, y: -2 };
    const entries = [
      { ...frame(0), moved },
      { ...frame(1), moved, detections: [{ ...frame(0).detections[0]!, angle: 3 }] },
      { ...frame(2), moved, detections: [] },
    ];
    const record = await open();
    for (const entry of entries) record.add(entry);
    await record.close(null);
    expect(await all(record)).toEqual(entries);
  });

  it('keeps masks, key points and angles, attributes, and the label of what a second stage found', async () => {
    const [first, second] = frame(0).detections as [Detection, Detection];
    const mask = { size: [480, 640], counts: 'abc' } as const;
    const rich = {
      ...frame(0),
      detections: [
        { ...first, mask, angle: 12.25 },
        { ...second, keypoints: [1.5, 2, 0.25], attributes: { colour: { label: 'red', score: 0.5, atUs: 7 } } },
        { ...second, classId: 80, label: 'plate', parent: 7 },
      ],
    };
    const record = await open();
    record.add(rich);
    record.add(frame(1));
    await record.close(END);
    expect(await all(record)).toEqual([rich, frame(1)]);
  });

  it('keeps the warnings about a picture, also about one without a result', async () => {
    const warning = (n: number): RecordEntry => ({ frame: n * 2, warning: `${n}.jpg: cut off` });
    const record = await open();
    for (const entry of [frame(0), warning(1), frame(1), warning(2)]) record.add(entry);
    await record.close(null);
    const again = await open();
    expect(again.recorded).toMatchObject({ frames: 2, end: null });
    again.add(frame(2));
    await again.close(END);
    expect(await all(again)).toEqual([frame(0), warning(1), frame(1), warning(2), frame(2)]);
  });

  it.each([
    ['an incomplete line', '[6,240000,640'],
    ['zeros, as after a power failure', '\0\0\0\0\n[6,240000,640,480,"inferred"]\n'],
    ['a missing frame', '[8,320000,640,480,"inferred"]\n'],
    ['a line of another kind', '17\nnull\n'],
    ['boxes without a class', '[6,240000,640,480,"inferred",1,2,3]\n'],
  ])('is cut off at %s, and continued there', async (_, damage) => {
    await write(3);
    appendFileSync(path, damage);
    const record = await open();
    expect(record.recorded).toEqual({ frames: 3, ptsUs: 160_000, end: null });
    record.add(frame(3));
    await record.close(null);
    expect(await all(record)).toEqual([frame(0), frame(1), frame(2), frame(3)]);
  });

  it('that cannot be used begins empty', async () => {
    await write(3);
    const record = await open(() => false);
    expect(record.recorded.frames).toBe(0);
    await record.close(null);
    expect(readFileSync(path, 'utf8')).toBe('');
  });

  it('counts pictures that gave no result', async () => {
    writeFileSync(path, '');
    const record = await FrameRecord.open({ path, classes: [], every: 1, onFailure: () => undefined }, () => true);
    const error = { code: 'SOURCE_UNREADABLE', message: 'no picture', details: {} } as const;
    record.add({ frame: 0, error });
    record.add({ ...frame(0), frame: 1, ptsUs: 0, detections: [] });
    await record.close(null);
    const again = await FrameRecord.open({ path, classes: [], every: 1, onFailure: () => undefined }, () => true);
    expect(again.recorded.frames).toBe(2);
    await again.close(null);
    expect((await all(again))[0]).toEqual({ frame: 0, error });
  });
});
