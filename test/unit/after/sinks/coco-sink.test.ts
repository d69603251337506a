import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CocoSink, type CocoSinkOptions } from '../../../../src/after/sinks/coco-sink.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { frameOf, person } from './frames.ts';
import { describeSink } from './sink-contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-coco-sink-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** 80 labels; only the first and the last must be COCO's. */
const coco80 = Array.from({ length: 80 }, (_, k) => (k === 0 ? 'person' : k === 79 ? 'toothbrush' : `class ${k}`));
const unexpected = (error: SightlineError) => expect.unreachable(error.message);

interface Entry {
  image_id: number;
  category_id: number;
  bbox: number[];
  score: number;
}

function open(name: string, more: Partial<CocoSinkOptions> = {}) {
  const path = join(folder, name);
  const sink = new CocoSink({ id: 'out', path, classes: coco80, onFailure: unexpected, ...more });
  return { path, sink, read: () => JSON.parse(readFileSync(path, 'utf8')) as Entry[] };
}

describeSink(
  'CocoSink',
  (onFailure) => new CocoSink({ id: 'under-test', path: join(folder, 'works.json'), classes: ['person'], onFailure }),
  (onFailure) =>
    new CocoSink({ id: 'under-test', path: join(folder, 'missing', 'out.json'), classes: ['person'], onFailure }),
);

describe('the file', () => {
  it('holds one entry per detection, in the order of publishing', async () => {
    const { sink, read } = open('entries.json');
    sink.publish(frameOf(0, [person, { ...person, score: 0.12346, box: [1.234, 2.345, 3.456, 4.567] }]), 'a.mp4');
    sink.publish(frameOf(1), 'a.mp4');
    sink.publish(frameOf(2, [person]), 'a.mp4');
    await sink.close();
    expect(read()).toEqual([
      { image_id: 1, category_id: 1, bbox: [10, 20, 30, 40], score: 0.91 },
      { image_id: 1, category_id: 1, bbox: [1.23, 2.35, 3.46, 4.57], score: 0.1235 },
      { image_id: 3, category_id: 1, bbox: [10, 20, 30, 40], score: 0.91 },
    ]);
  });

  it('leaves out what second stages found, which is no class of the model', async () => {
    const { sink, read } = open('found.json');
    sink.publish(frameOf(0, [person, { ...person, classId: 80, label: 'plate', parent: 1 }]), 'a.mp4');
    await sink.close();
    expect(read().map(({ category_id }) => category_id)).toEqual([1]);
  });

  it('has the masks and key points of models that find them', async () => {
    const { sink, read } = open('tasks.json');
    const mask = { size: [720, 1280], counts: 'abc' } as const;
    sink.publish(
      frameOf(0, [
        { ...person, mask },
        { ...person, keypoints: [1.234, 5.678, 0.12346] },
        { ...person, angle: 12.346 },
      ]),
      'a.mp4',
    );
    await sink.close();
    const entry = { image_id: 1, category_id: 1, bbox: [10, 20, 30, 40], score: 0.91 };
    expect(read()).toEqual([
      { ...entry, segmentation: mask },
      { ...entry, keypoints: [1.23, 5.68, 0.1235] },
      { ...entry, angle: 12.35 },
    ]);
  });

  it('is an empty list if there are no detections', async () => {
    const { sink, read } = open('empty.json');
    sink.publish(frameOf(0), 'a.mp4');
    await sink.close();
    expect(read()).toEqual([]);
  });

  it('is only replaced once the new one is complete', async () => {
    const { sink, path, read } = open('replaced.json');
    writeFileSync(path, 'old');
    sink.publish(frameOf(0, [person]), 'a.mp4');
    expect(readFileSync(path, 'utf8')).toBe('old');
    await sink.close();
    expect(read()).toHaveLength(1);
  });

  it('is never left incomplete', async () => {
    mkdirSync(join(folder, 'taken.json', 'not-empty'), { recursive: true });
    const failures: SightlineError[] = [];
    const { sink } = open('taken.json', { onFailure: (error) => failures.push(error) });
    sink.publish(frameOf(0, [person]), 'a.mp4');
    await expect(sink.close()).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(failures).toHaveLength(1);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(existsSync(join(folder, 'taken.json', 'not-empty'))).toBe(true);
  });
});

describe('category ids', () => {
  it("are COCO's for its 80 classes: 11 is followed by 13, and the last is 90", async () => {
    const { sink, read } = open('categories.json');
    sink.publish(
      frameOf(
        0,
        [0, 10, 11, 79].map((classId) => ({ ...person, classId, label: coco80[classId]! })),
      ),
      'a.mp4',
    );
    await sink.close();
    expect(read().map((entry) => entry.category_id)).toEqual([1, 11, 13, 90]);
  });

  it('are the class index + 1 for any other list', async () => {
    const { sink, read } = open('others.json', { classes: ['person', 'helmet'] });
    sink.publish(frameOf(0, [person, { ...person, classId: 1, label: 'helmet' }]), 'a.mp4');
    await sink.close();
    expect(read().map((entry) => entry.category_id)).toEqual([1, 2]);
  });

  it('of another detector of the pipeline go by the label: known ones are the same, new ones come behind', async () => {
    const { sink, read } = open('several.json', { classes: [...coco80, 'face', 'plate'] });
    const found = (['plate', 'person', 'face', 'class 2'] as const).map((label, classId) => ({
      ...person,
      classId,
      label,
    }));
    sink.publish(frameOf(0, found), 'a.mp4');
    await sink.close();
    expect(read().map((entry) => entry.category_id)).toEqual([92, 1, 91, 3]);
  });
});

describe('image ids', () => {
  it("are in a separate range for each source, in the user's order", async () => {
    const { sink, read } = open('sources.json', { sources: ['a.mp4', 'b.mp4'] });
    sink.publish(frameOf(0, [person]), 'b.mp4');
    sink.publish(frameOf(5, [person]), 'a.mp4');
    sink.publish(frameOf(0, [person]), 'c.mp4');
    await sink.close();
    expect(read().map((entry) => entry.image_id)).toEqual([10_000_001, 6, 20_000_001]);
  });

  it('are the number in the file name of a picture, as in COCO', async () => {
    const { sink, read } = open('pictures.json', { sources: ['x.mp4', 'val/000000000802.jpg', 'val/cat2.jpg'] });
    sink.publish(frameOf(0, [person]), 'val/000000000802.jpg');
    sink.publish(frameOf(0, [person]), 'val/cat2.jpg');
    await sink.close();
    expect(read().map((entry) => entry.image_id)).toEqual([802, 20_000_001]);
  });
});
