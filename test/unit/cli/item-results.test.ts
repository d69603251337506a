import { describe, expect, it } from 'vitest';
import type { RecordedFrame } from '../../../src/after/sinks/frame-record.ts';
import type { WrittenFrame } from '../../../src/after/sinks/sink.ts';
import type { ReadJob } from '../../../src/cli/detect-input.ts';
import type { DetectItem } from '../../../src/cli/detect-plan.ts';
import { ItemResults } from '../../../src/cli/item-results.ts';

/** Of a file, tracks are computed from the results. */
const FILE = import.meta.filename;
/** How reading it ended. */
const END = { seconds: 1, frames: 3, decodeErrors: 0, cached: 0, warnings: [], error: null, isInterrupted: false };

/** A person and a car that stand still. */
const frame = (n: number): RecordedFrame => ({
  frame: n,
  ptsUs: n * 40_000,
  width: 640,
  height: 480,
  by: 'inferred',
  detections: [
    { classId: 2, label: 'car', score: 0.9, box: [300, 100, 100, 50] },
    { classId: 0, label: 'person', score: 0.8, box: [10, 20, 30, 60] },
  ],
});

describe('the results of an item', () => {
  const open = async (kind: DetectItem['kind'], sources: readonly string[], classes: readonly string[] | null) => {
    const written: { source: string; frame: WrittenFrame }[] = [];
    const sink = {
      publish: (result: WrittenFrame, source: string) => written.push({ source, frame: result }) > 0,
      drained: () => Promise.resolve(),
    };
    const outputs = {
      openFor: async () => ({ own: [], all: [sink] }),
      closeOwn: async () => undefined,
      drawPicture: async () => undefined,
    };
    const runtime = { scoreThreshold: 0.3, ffmpeg: { confinement: { maxPixels: 1e6 } } };
    const flags = { every: 1, track: true };
    const job = { runtime, flags, outputs, classes: classes === null ? null : new Set(classes) };
    const item: DetectItem = {
      order: 0,
      kind,
      sources: sources.map((path) => ({ path, isPicture: kind === 'pictures', name: path, stem: path })),
    };
    const results = new ItemResults(job as unknown as ReadJob, item);
    await results.open();
    return { results, written };
  };

  it('have only the wanted classes, with the tracks that they have among all', async () => {
    const idsOf = async (classes: readonly string[] | null): Promise<Map<string, number | undefined>> => {
      const { results, written } = await open('video', [FILE], classes);
      for (let n = 0; n < 5; n++) await results.add(frame(n));
      await results.close(true);
      expect(results.summary(END).inputs[0]).toMatchObject({ frames: 5, detections: 5 * (classes?.length ?? 2) });
      return new Map(written.at(-1)!.frame.detections.map(({ label, trackId }) => [label, trackId]));
    };
    const all = await idsOf(null);
    expect(all.get('person')).toBeTypeOf('number');
    expect(await idsOf(['person'])).toEqual(new Map([['person', all.get('person')]]));
  });

  it('of pictures are inputs of one frame each, and one that failed is named', async () => {
    const { results, written } = await open('pictures', ['1.jpg', '2.jpg', '3.jpg'], null);
    const error = { code: 'SOURCE_UNREADABLE', message: '2.jpg: not an image', details: {} } as const;
    await Promise.all([
      results.add({ ...frame(0), ptsUs: 0 }),
      results.add({ frame: 1, error }),
      results.add(frame(2)),
    ]);
    await results.close(true);
    expect(written.map(({ source, frame: { frame: n, streamId } }) => [source, streamId, n])).toEqual([
      ['1.jpg', '1.jpg', 0],
      ['3.jpg', '3.jpg', 0],
    ]);
    expect(results.summary(END).inputs.map(({ frames, error: failed }) => [frames, failed?.message ?? null])).toEqual([
      [1, null],
      [0, '2.jpg: not an image'],
      [1, null],
    ]);
  });
});
