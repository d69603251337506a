import { describe, expect, it } from 'vitest';
import type { Detection } from '../../../../../src/base/core/detection.ts';
import { maskOf, runsOfPolygons } from '../../../../../src/base/geometry/rle.ts';
import type { GateVerdict } from '../../../../../src/lab/optimize/gate/gate-verdict.ts';
import { judge } from '../../../../../src/lab/optimize/gate/judge.ts';
import { scoreDetections } from '../../../../../src/network/evaluate/average-precision.ts';
import type { CocoAnnotations } from '../../../../../src/network/evaluate/coco-dataset.ts';
import { cocoResultsOf, type RecordedResults } from '../../../../../src/network/evaluate/recorded-results.ts';
import { asleepFrom, labelledScene, mapDetections, seePictures, shiftedBy } from '../../../../support/gate-scenes.ts';

const SCENE = labelledScene(200, 1);
const REFERENCE = seePictures(SCENE, { seed: 1, missRatio: 0.03, jitter: 0.05 });

function judged(candidate: RecordedResults, reference = REFERENCE, scene = SCENE): Promise<GateVerdict> {
  const ground = { kind: 'labels', annotations: scene } as const;
  return judge(reference, candidate, ground, { maxLoss: 0.02, resamples: 400 });
}

describe('the gate with labels passes', () => {
  it('the reference itself, at no loss', async () => {
    const verdict = await judged(REFERENCE);
    expect(verdict).toMatchObject({ verdict: 'passed', loss: 0, interval: [0, 0], picturesThatWouldDecide: null });
  });

  it('a detector that is better', async () => {
    const verdict = await judged(seePictures(SCENE, { seed: 1, missRatio: 0, jitter: 0.02 }));
    expect(verdict.verdict).toBe('passed');
    expect(verdict.loss).toBeLessThan(0);
  });

  it('with the figures of scoreDetections', async () => {
    const candidate = seePictures(SCENE, { seed: 1, missRatio: 0.05, jitter: 0.06 });
    const { reference, candidate: got, loss, bySize } = await judged(candidate);
    const [wanted, found] = [REFERENCE, candidate].map((results) =>
      scoreDetections(SCENE, cocoResultsOf(results, SCENE)),
    );
    expect(reference).toBe(wanted!.AP);
    expect(got).toBe(found!.AP);
    expect(loss).toBe(wanted!.AP - found!.AP);
    expect(bySize.map(({ reference: before }) => before)).toEqual([wanted!.APs, wanted!.APm, wanted!.APl]);
  });
});

describe('the gate of a model for another task', () => {
  /** Half of each box is the object; the mask of a candidate may be its other half, in the same box. */
  const half = (side: 'upper' | 'lower') => (found: Detection) => {
    const [x, y, width, height] = found.box.map(Math.round) as [number, number, number, number];
    const middle = y + Math.round(height / 2);
    const [top, bottom] = side === 'upper' ? [y, middle] : [middle, y + height];
    const polygon = [x, top, x + width, top, x + width, bottom, x, bottom];
    return { ...found, mask: maskOf(runsOfPolygons([polygon], 480, 640)) };
  };
  const segmented: CocoAnnotations = {
    ...SCENE,
    iouType: 'segm',
    images: SCENE.images.map((image) => ({ ...image, size: [480, 640] })),
    annotations: SCENE.annotations.map((object) => ({
      ...object,
      mask: half('upper')({ classId: 0, label: '', score: 1, box: object.box }).mask,
    })),
  };

  it('judges masks by masks: one in the same box that shows another part is refused', async () => {
    const reference = mapDetections(REFERENCE, half('upper'));
    const same = await judged(reference, reference, segmented);
    expect(same).toMatchObject({ verdict: 'passed', measure: 'mask AP', loss: 0 });
    const other = await judged(mapDetections(REFERENCE, half('lower')), reference, segmented);
    expect(other).toMatchObject({ verdict: 'refused', measure: 'mask AP', candidate: 0 });
    expect(other.reason).toMatch(/^mask AP 0\.000 against 0\.\d+ of the reference/);
  });

  it('never judges results without masks by their boxes', async () => {
    await expect(judged(REFERENCE, REFERENCE, segmented)).rejects.toThrow(
      /segmentation: expected what segm is matched by/,
    );
  });
});

function withScores(results: RecordedResults, factor: number): RecordedResults {
  return mapDetections(results, (found) => ({ ...found, score: Math.min(1, found.score * factor) }));
}

describe('at the score threshold, the gate with labels', () => {
  it('refuses scores that fall below it, though their order and so AP stay the same', async () => {
    const verdict = await judged(withScores(REFERENCE, 0.6));
    expect(verdict).toMatchObject({ verdict: 'refused', loss: 0 });
    expect(verdict.reason).toMatch(/recall at the score threshold falls by more than 10 % of itself/);
    expect(verdict.published!.precision.loss).toBeLessThanOrEqual(0);
  });

  it('refuses a candidate that finds more by flooding wrong boxes', async () => {
    const flood = [0, 160, 320, 480].map((x) => ({
      classId: 0,
      label: 'person',
      score: 0.301,
      box: [x, 440, 30, 30] as const,
    }));
    const frames = REFERENCE.frames.map((frame) => ({ ...frame, detections: [...frame.detections, ...flood] }));
    const verdict = await judged({ ...REFERENCE, frames });
    expect(verdict.interval[1]).toBeLessThan(0.02);
    expect(verdict).toMatchObject({ verdict: 'refused', published: { recall: { loss: 0 } } });
    expect(verdict.reason).toMatch(/precision at the score threshold falls/);
  });

  it('judges each side at its own', async () => {
    const scaled = { ...withScores(REFERENCE, 0.5), scoreThreshold: 0.15 };
    expect(await judged(scaled)).toMatchObject({
      verdict: 'passed',
      published: { thresholds: [0.3, 0.15], recall: { loss: 0 }, precision: { loss: 0 } },
    });
    const higher = await judged({ ...REFERENCE, scoreThreshold: 0.75 });
    expect(higher.verdict).toBe('refused');
    expect(higher.reason).toMatch(
      /at a score of 0\.75 or more \(the reference: 0\.3\) recall 0\.\d{3} against 0\.\d{3} \(loss 95 % interval .*\) and precision \d\.\d{3} against/,
    );
  });

  it('does not decide on a small fall that chance may hide', async () => {
    // 8 of 100 boxes slip below it, and 10 % are allowed.
    const slipped = mapDetections(REFERENCE, (found, { frame }) =>
      (frame * 7 + Math.floor(found.box[0])) % 12 === 0 ? { ...found, score: found.score * 0.2 } : found,
    );
    const { verdict, published, picturesThatWouldDecide } = await judge(
      ...([REFERENCE, slipped, { kind: 'labels', annotations: SCENE }] as const),
      { maxLoss: 0.02, resamples: 400, level: 0.9999 },
    );
    expect(published!.recall.loss / published!.recall.reference).toBeLessThan(0.1);
    expect(verdict).toBe('inconclusive');
    expect(picturesThatWouldDecide).toBeGreaterThan(200);
  });

  it('judges recall and precision of another detector as one, and holds each as estimated', async () => {
    const few = labelledScene(60, 3);
    const reference = seePictures(few, { seed: 1, missRatio: 0.35, jitter: 0.05 });
    const ground = { kind: 'labels', annotations: few } as const;
    const options = { maxLoss: 0.02, resamples: 400 };
    // It finds more; a box in nine is wrong.
    const eager = seePictures(few, { seed: 2, missRatio: 0.15, jitter: 0.05 });
    let boxes = 0;
    const wrong = mapDetections(eager, (found) =>
      boxes++ % 9 === 0 ? { ...found, box: shiftedBy(found.box, 5, 5) } : found,
    );
    const judgedAs = async (isOtherDetector: boolean) =>
      judge(reference, wrong, { ...ground, isOtherDetector }, options);
    const one = await judgedAs(true);
    expect(one.published!.precision.loss).toBeGreaterThan(0.03);
    expect(one, one.reason).toMatchObject({ verdict: 'passed', reason: expect.stringContaining('together F1') });
    expect((await judgedAs(false)).verdict).not.toBe('passed');
    // A fall of one that the other pays for is still a fall.
    boxes = 0;
    const wild = mapDetections(eager, (found) =>
      boxes++ % 4 === 0 ? { ...found, box: shiftedBy(found.box, 5, 5) } : found,
    );
    const refused = await judge(reference, wild, { ...ground, isOtherDetector: true }, options);
    expect(refused).toMatchObject({ verdict: 'refused', reason: expect.stringMatching(/precision at the score/) });
  });

  it('decides nothing where the reference publishes nothing', async () => {
    const silent = { ...REFERENCE, scoreThreshold: 0.95 };
    expect(await judged(silent, silent)).toMatchObject({
      verdict: 'inconclusive',
      reason: expect.stringContaining('no labelled object with a score of 0.95 or more'),
    });
  });
});

describe('the gate with labels refuses', () => {
  const cheats: [string, RecordedResults][] = [
    ['the result of the first picture for all pictures', asleepFrom(REFERENCE, 0)],
    [
      'boxes that are shifted by a tenth of their size',
      mapDetections(REFERENCE, (found) => ({ ...found, box: shiftedBy(found.box, 0.1, 0.1) })),
    ],
    ['a class that is never reported', mapDetections(REFERENCE, (found) => (found.label === 'dog' ? null : found))],
    [
      'a class that is reported in one picture only',
      mapDetections(REFERENCE, (found, { frame }) => (found.label === 'dog' && frame !== 3 ? null : found)),
    ],
    [
      'two classes that are mixed up',
      mapDetections(REFERENCE, (found) => ({ ...found, classId: [1, 0, 2][found.classId]! })),
    ],
    ['nothing at all', mapDetections(REFERENCE, () => null)],
    [
      'scores that mean nothing',
      mapDetections(REFERENCE, (found) => ({ ...found, score: 0.001 + (found.box[0] % 1) / 2 })),
    ],
  ];

  it.each(cheats)('%s', async (_, candidate) => {
    const verdict = await judged(candidate);
    expect(verdict.verdict, verdict.reason).toBe('refused');
    expect(verdict.reason).toMatch(/AP 0\.\d{3} against 0\.\d{3}/);
    expect(verdict.reason).not.toContain('NaN');
  });

  it('scores that all fall below the threshold, and says so', async () => {
    const { reason, verdict } = await judged({ ...REFERENCE, scoreThreshold: 0.95 });
    expect(verdict).toBe('refused');
    expect(reason).toContain('precision of nothing, since it publishes nothing, against');
  });

  it('a rare class that is lost, although the mean over many classes hides it', async () => {
    // 40 classes: losing one of them costs 1 / 40 of AP at most, which is within an allowance of 0.03.
    const categories = Array.from({ length: 40 }, (_, id) => ({ id, name: `class ${id}` }));
    const scene = {
      ...SCENE,
      categories,
      annotations: SCENE.annotations.map((object, i) => ({ ...object, categoryId: i % 40 })),
    };
    const frames = scene.images.map(({ id }, frame) => ({
      frame,
      ptsUs: 0,
      width: 640,
      height: 480,
      detections: scene.annotations
        .filter(({ imageId }) => imageId === id)
        .map(({ categoryId, box }) => ({ classId: categoryId, label: `class ${categoryId}`, score: 0.9, box })),
    }));
    const perfect = { classes: categories.map(({ name }) => name), scoreThreshold: 0.001, frames };
    // One stray box is no recovery.
    let strays = 0;
    const blind = mapDetections(perfect, (found) => (found.classId === 7 && strays++ > 0 ? null : found));
    const ground = { kind: 'labels', annotations: scene } as const;
    const verdict = await judge(perfect, blind, ground, { maxLoss: 0.06, resamples: 100 });
    expect(verdict.interval[1]).toBeLessThan(0.06);
    expect(verdict).toMatchObject({
      verdict: 'refused',
      objections: expect.arrayContaining([expect.stringMatching(/^class 7 is lost: 1 found/)]),
    });
    expect(verdict.byClass[0]).toMatchObject({ label: 'class 7' });
    expect(verdict.byClass[0]!.candidate).toBeLessThan(0.1);
  });
});

describe('the gate with labels does not decide', () => {
  it('on few pictures, and names a number that would do', async () => {
    const scene = labelledScene(40, 2);
    const reference = seePictures(scene, { seed: 1, missRatio: 0.1, jitter: 0.1 });
    const candidate = seePictures(scene, { seed: 5, missRatio: 0.1, jitter: 0.1 });
    const verdict = await judged(candidate, reference, scene);
    expect(verdict, verdict.reason).toMatchObject({ verdict: 'inconclusive', pictures: 40 });
    // The width falls with the root of the number: 40 pictures have a standard error that fits between loss and allowance then.
    const { standardError, loss, picturesThatWouldDecide } = verdict;
    const fits = 40 * ((1.96 * standardError) / (0.02 - loss)) ** 2;
    expect(picturesThatWouldDecide! / fits).toBeGreaterThan(0.9);
    expect(picturesThatWouldDecide! / fits).toBeLessThan(2);
    expect(verdict.reason).toContain(`40 pictures are too few, about ${picturesThatWouldDecide} would settle it`);
  });

  it('on a handful of pictures on which nothing differs', async () => {
    const scene = labelledScene(4, 2);
    const same = seePictures(scene, { seed: 1, missRatio: 0, jitter: 0 });
    expect(await judged(same, same, scene)).toMatchObject({ verdict: 'inconclusive', picturesThatWouldDecide: 30 });
  });

  it('against a reference that finds nothing: every candidate would pass', async () => {
    const nothing = mapDetections(REFERENCE, () => null);
    expect(await judged(nothing, nothing)).toMatchObject({
      verdict: 'inconclusive',
      reason: expect.stringContaining('the AP of the reference is only 0.000'),
    });
  });
});

describe('settings that make no sense', () => {
  const ground = { kind: 'labels', annotations: SCENE } as const;

  it.each([
    [{ maxLoss: Number.NaN }, /maxLoss/],
    [{ maxLoss: 2 }, /maxLoss: expected 0 to 1, received 2/],
    [{ maxLoss: 0.02, resamples: 10 }, /resamples: expected a whole number from 100, received 10/],
  ])('%j', async (options, message) => {
    await expect(judge(REFERENCE, REFERENCE, ground, options)).rejects.toThrow(message);
  });
});
