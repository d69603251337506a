import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  compareMot,
  readMotBoxes,
  readMotTruth,
  readSequenceInfo,
} from '../../../../src/network/evaluate/mot-files.ts';
import {
  pooledTracking,
  type TrackingCounts,
  trackingCounts,
  trackingFigures,
} from '../../../../src/network/evaluate/tracking-score.ts';
import { madeSequence } from './made-sequence.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-tracks-'));
afterAll(() => rmSync(folder, { recursive: true }));

function written(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

async function countsOf(truth: string, tracks: string, every = 1): Promise<TrackingCounts> {
  const read = await readMotTruth(written('gt.txt', truth));
  return trackingCounts(compareMot(read, await readMotBoxes(written('tracks.txt', tracks), true), every));
}

/** What trackeval 1.3.0 gives for `madeSequence`, and for ground truth of nine columns by the rules of MOT17. */
const BY_TRACKEVAL = [
  {
    classes: false,
    seed: 1,
    figures: {
      hota: 0.48918784227293755,
      detA: 0.5468159616894683,
      assA: 0.4382004071899245,
      idf1: 0.6586206896551724,
      mota: 0.631578947368421,
      precision: 0.8913043478260869,
      recall: 0.8092105263157895,
    },
    counts: {
      switches: 24,
      fragmentations: 45,
      mostlyTracked: 3,
      mostlyLost: 0,
      trueBoxes: 304,
      trueIds: 8,
      foundIds: 15,
    },
  },
  {
    classes: true,
    seed: 2,
    figures: {
      hota: 0.4897627154428365,
      detA: 0.5484959096046765,
      assA: 0.4374464572316467,
      idf1: 0.6723044397463002,
      mota: 0.6798418972332015,
      precision: 0.9136363636363637,
      recall: 0.7944664031620553,
    },
    counts: {
      switches: 10,
      fragmentations: 36,
      mostlyTracked: 2,
      mostlyLost: 0,
      trueBoxes: 253,
      trueIds: 6,
      foundIds: 13,
    },
  },
];

describe('figures of tracks', () => {
  it.each(BY_TRACKEVAL)(
    'equal those of trackeval (nine columns: $classes)',
    async ({ classes, seed, figures, counts }) => {
      const { truth, tracks } = madeSequence(seed, classes);
      const found = await countsOf(truth, tracks);
      expect(found).toMatchObject(counts);
      for (const [name, value] of Object.entries(trackingFigures(found)))
        expect(value, name).toBeCloseTo(figures[name as keyof typeof figures], 12);
    },
  );

  it('are 1 for the truth itself, and 0 for nothing', async () => {
    const { truth } = madeSequence(1, false);
    const perfect = await countsOf(truth.replaceAll(/,0,-1,-1,-1$/gm, ',1,-1,-1,-1'), truth);
    expect(trackingFigures(perfect)).toEqual({ hota: 1, detA: 1, assA: 1, idf1: 1, mota: 1, precision: 1, recall: 1 });
    expect(perfect).toMatchObject({ switches: 0, mostlyTracked: 8, mostlyLost: 0 });
    const nothing = await countsOf(truth, '');
    expect(trackingFigures(nothing)).toEqual({ hota: 0, detA: 0, assA: 0, idf1: 0, mota: 0, precision: 0, recall: 0 });
    expect(nothing).toMatchObject({ mostlyLost: 8, foundBoxes: 0 });
  });

  it('count an identity that goes on under another one, and one that two objects share', async () => {
    const row = (frame: number, id: number, x: number): string => `${frame},${id},${x},0,10,20,1,-1,-1,-1\n`;
    const frames = Array.from({ length: 10 }, (_, i) => i + 1);
    const truth = frames.map((frame) => row(frame, 1, 0) + row(frame, 2, 100)).join('');
    const broken = frames.map((frame) => row(frame, frame <= 5 ? 7 : 8, 0) + row(frame, 9, 100)).join('');
    expect(await countsOf(truth, broken)).toMatchObject({ switches: 1, fragmentations: 0, matches: 20, idMatches: 15 });
    const swapped = frames
      .map((frame) => row(frame, frame <= 5 ? 7 : 9, 0) + row(frame, frame <= 5 ? 9 : 7, 100))
      .join('');
    const counts = await countsOf(truth, swapped);
    expect(counts).toMatchObject({ switches: 2, matches: 20, idMatches: 10 });
    expect(trackingFigures(counts).mota).toBeCloseTo(0.9, 12);
  });

  it('of frames that are far apart take no longer, and without a true box MOTA is 0', async () => {
    const far = await countsOf('1,1,0,0,9,9,1,-1,-1,-1\n', '1,1,0,0,9,9,1\n999999999999,1,0,0,9,9,1\n');
    expect(far).toMatchObject({ frames: 2, matches: 1, foundBoxes: 2 });
    const nothing = await countsOf('1,1,0,0,9,9,0,-1,-1,-1\n', '1,1,0,0,9,9,1\n');
    expect(trackingFigures(nothing)).toMatchObject({ mota: 0, idf1: 0, precision: 0 });
  });

  it('of every n-th frame are those of the frames 1, 1 + n, ...', async () => {
    const { truth, tracks } = madeSequence(3, false);
    const kept = (text: string): string =>
      text
        .trimEnd()
        .split('\n')
        .filter((line) => (Number(line.split(',')[0]) - 1) % 4 === 0)
        .map((line) => `${line}\n`)
        .join('');
    const taken = await countsOf(truth, tracks, 4);
    expect(taken).toEqual(await countsOf(kept(truth), kept(tracks)));
  });

  it('of several sequences follow from the sums of their counts', async () => {
    const all = await Promise.all([countsOf(...pairOf(4))]);
    const twice = pooledTracking([all[0]!, all[0]!]);
    expect(trackingFigures(twice)).toEqual(trackingFigures(all[0]!));
    expect(twice.trueBoxes).toBe(2 * all[0]!.trueBoxes);
  });
});

function pairOf(seed: number): [truth: string, tracks: string] {
  const { truth, tracks } = madeSequence(seed, false);
  return [truth, tracks];
}

describe('files of MOTChallenge', () => {
  it.each([
    ['1,2,3', /line 1: expected at least six numbers \(frame from 1, id, left, top, width, height\), received "1,2,3"/],
    ['1,1,0,0,9,9,1\n0,1,0,0,9,9,1', /line 2: expected at least six/],
    ['1,1,0,0,9,x,1', /line 1: expected at least six/],
    ['1,1,0,0,9,9,1\n\n1,1,5,5,9,9,1', /line 3: expected id 1 once in frame 1/],
    ['', /expected a line for each box, received an empty file/],
  ])('that are damaged are refused with the place: %j', async (text, message) => {
    await expect(readMotTruth(written('bad.txt', text))).rejects.toMatchObject({
      code: 'DATASET_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('may have blanks between their numbers, and no line at the end', async () => {
    expect(await readMotBoxes(written('t.txt', '1 4 0.5 1 9 9 0.7\r\n2, 4, 1, 1, 9, 9, 0.8'), true)).toEqual([
      { frame: 1, id: 4, box: [0.5, 1, 9, 9], score: 0.7 },
      { frame: 2, id: 4, box: [1, 1, 9, 9], score: 0.8 },
    ]);
  });

  it('of detections have scores from 0 to 1', async () => {
    for (const score of ['-1', '85', '1.01'])
      await expect(readMotBoxes(written('d.txt', `1,-1,0,0,9,9,0.5\n1,-1,0,0,9,9,${score}\n`), false)).rejects.toThrow(
        `line 2: expected a score from 0 to 1 as the seventh number, received ${score}`,
      );
    await expect(readMotBoxes(written('d.txt', '1,-1,0,0,9,9'), false)).rejects.toThrow(
      /seventh number, received null/,
    );
  });

  it('say of a sequence how fast and how long it is', async () => {
    const text = '[Sequence]\nname=A\nframeRate=7\nseqLength=795\nimWidth=768\nimHeight=576\n';
    expect(await readSequenceInfo(written('seqinfo.ini', text))).toEqual({
      name: 'A',
      fps: 7,
      frames: 795,
      width: 768,
      height: 576,
    });
    await expect(readSequenceInfo(written('seqinfo.ini', text.replace('=7\n', '=0\n')))).rejects.toThrow(
      /frameRate: expected a number above 0, at most 10000000, received "0"/,
    );
  });
});
