import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../../src/base/core/seeded-random.ts';
import type { Counters } from '../../../../../src/lab/optimize/gate/compare-counts.ts';
import type { GateVerdict } from '../../../../../src/lab/optimize/gate/gate-verdict.ts';
import { judge } from '../../../../../src/lab/optimize/gate/judge.ts';
import type { RecordedResults } from '../../../../../src/network/evaluate/recorded-results.ts';
import { asleepFrom, mapDetections, seeVideo, shiftedBy, VIDEO_FPS } from '../../../../support/gate-scenes.ts';

const GOOD = { missRatio: 0.002, jitter: 0.03 };
const REFERENCE = seeVideo({ seed: 1, ...GOOD });
const COUNTERS: Counters = {
  lines: [{ id: 'gate', from: [0.2, 0], to: [0.2, 1], anchor: 'center' }],
  zones: [
    {
      id: 'hall',
      polygon: [
        [0, 0],
        [0.5, 0],
        [0.5, 1],
        [0, 1],
      ],
      anchor: 'center',
    },
  ],
};

function judged(candidate: RecordedResults, reference = REFERENCE, maxLoss = 0.02): Promise<GateVerdict> {
  return judge(reference, candidate, { kind: 'video', counters: COUNTERS }, { maxLoss, resamples: 300 });
}

/** The reference has scores from 0.6 to 0.9 and a threshold of 0.3. */
function withScores(factor: number): RecordedResults {
  return mapDetections(REFERENCE, (found) => ({ ...found, score: found.score * factor }));
}

describe('the gate on a video passes', () => {
  it('the reference itself', async () => {
    const verdict = await judged(REFERENCE);
    expect(verdict).toMatchObject({ verdict: 'passed', loss: 0, interval: [0, 0] });
    const { tracks, counts, drift } = verdict.video!;
    expect(tracks).toMatchObject({ kept: tracks.tracks, late: 0, staleBoxes: 0 });
    expect(drift).toEqual({ x: 0, y: 0, width: 0, height: 0 });
    expect(counts.map(({ difference }) => difference)).toEqual([0, 0]);
    // Along the line from top to bottom, what walks to the right comes from its right side.
    expect(counts[0]!.reference[1]).toBeGreaterThan(10);
  });

  it('a detector that is as good, with other noise and other track ids', async () => {
    const verdict = await judged(seeVideo({ seed: 2, ...GOOD }));
    expect(verdict.verdict, verdict.reason).toBe('passed');
    expect(verdict.loss).toBeGreaterThan(0);
  });

  it('scores that scatter around the threshold: as many rise as fall', async () => {
    const scattered = (seed: number): RecordedResults => {
      const random = seededRandom(seed);
      return mapDetections(REFERENCE, (found) => ({ ...found, score: 0.285 + 0.3 * random() }));
    };
    const verdict = await judged(scattered(1), scattered(2));
    expect(verdict, verdict.reason).toMatchObject({ verdict: 'passed', loss: 0 });
  });
});

describe('the gate on a video refuses', () => {
  const isDog = ({ label }: { readonly label: string }): boolean => label === 'dog';
  const cheats: [string, RecordedResults, RegExp][] = [
    ['a gate that sleeps from the first frame on', asleepFrom(REFERENCE, 0), /tracks were kept/],
    ['a gate that falls asleep in the end', asleepFrom(REFERENCE, 350), /F1 0\.9\d\d/],
    [
      'boxes that are shifted by a tenth of their size',
      mapDetections(REFERENCE, (found) => ({ ...found, box: shiftedBy(found.box, 0.1, 0) })),
      /boxes differ in x by 0\.100 of their size/,
    ],
    [
      'boxes that are shifted by a tenth of the picture',
      mapDetections(REFERENCE, (found) => ({
        ...found,
        box: [found.box[0] + 64, found.box[1], ...found.box.slice(2)] as never,
      })),
      /F1 0\.\d/,
    ],
    [
      'boxes that are a tenth too large',
      mapDetections(REFERENCE, (found) => {
        const [x, y, width, height] = found.box;
        return { ...found, box: [x - width * 0.05, y - height * 0.05, width * 1.1, height * 1.1] };
      }),
      /boxes differ in width by 0\.100/,
    ],
    ['scores that fall below the threshold', withScores(0.45), /scores fall below the threshold/],
    [
      'a class of which one box is left',
      mapDetections(REFERENCE, (found, { frame }) => (isDog(found) && frame !== 50 ? null : found)),
      /dog is (?:lost|never found)/,
    ],
    [
      'a class that is never reported',
      mapDetections(REFERENCE, (found) => (isDog(found) ? null : found)),
      /dog is never found/,
    ],
    [
      'a frame in two that is not published',
      { ...REFERENCE, frames: REFERENCE.frames.filter(({ frame }) => frame % 2 === 0) },
      /only 200 of 400 frames were published/,
    ],
    [
      'objects that get a new id each second',
      mapDetections(REFERENCE, (found, { frame }) => ({
        ...found,
        trackId: found.trackId! * 1000 + Math.floor(frame / VIDEO_FPS),
      })),
      /tracks were kept/,
    ],
    ['boxes without track ids', mapDetections(REFERENCE, ({ trackId: _, ...found }) => found), /only 0 of \d+ tracks/],
    [
      'counts that differ: the ids change where the line is',
      mapDetections(REFERENCE, (found) => ({
        ...found,
        trackId: found.trackId! * 10 + (found.box[0] + found.box[2] / 2 < 128 ? 0 : 1),
      })),
      /line gate counts 0 and 0 crossings instead of 0 and \d+/,
    ],
    ['nothing at all', mapDetections(REFERENCE, () => null), /only 0 of 80 tracks were kept/],
  ];

  it.each(cheats)('%s', async (_, candidate, reason) => {
    const verdict = await judged(candidate);
    expect(verdict.verdict, verdict.reason).toBe('refused');
    expect(verdict.reason).toMatch(reason);
  });

  it('scores that rise above the threshold, as boxes do that nobody has seen before', async () => {
    const verdict = await judged(REFERENCE, withScores(0.45));
    expect(verdict).toMatchObject({ verdict: 'refused', reason: expect.stringContaining('scores rise above') });
  });

  it('objects that appear a second late, however much loss is allowed', async () => {
    const firstFrame = new Map<number, number>();
    const late = mapDetections(REFERENCE, (found, { frame }) => {
      if (!firstFrame.has(found.trackId!)) firstFrame.set(found.trackId!, frame);
      return frame - firstFrame.get(found.trackId!)! < VIDEO_FPS ? null : found;
    });
    const verdict = await judged(late, REFERENCE, 0.5);
    expect(verdict).toMatchObject({
      verdict: 'refused',
      reason: expect.stringMatching(/objects appear more than 500 ms late/),
      video: { tracks: { delayFrames: { median: VIDEO_FPS } } },
    });
  });
});

describe('the gate on a video', () => {
  const judgedWith = (candidate: RecordedResults, options: object, ground: object = {}, reference = REFERENCE) =>
    judge(reference, candidate, { kind: 'video', ...ground }, { maxLoss: 0.02, resamples: 100, ...options });

  it('lets one of many tracks go, whatever the tolerance, and no second one', async () => {
    const without = (...lost: readonly number[]) =>
      mapDetections(REFERENCE, (found) => (lost.includes(found.trackId!) ? null : found));
    const [first, second] = [
      ...new Set(REFERENCE.frames.flatMap(({ detections }) => detections.map((d) => d.trackId!))),
    ];
    const objectionsTo = async (candidate: RecordedResults) =>
      (await judgedWith(candidate, { trackTolerance: 0 })).objections.filter((text) => /tracks were kept/.test(text));
    expect(await objectionsTo(without(first!))).toEqual([]);
    expect(await objectionsTo(without(first!, second!))).toHaveLength(1);
  });

  it('shows counts that differ, and judges them only where that is demanded', async () => {
    const candidate = mapDetections(REFERENCE, (found) => ({
      ...found,
      trackId: found.trackId! * 10 + (found.box[0] + found.box[2] / 2 < 128 ? 0 : 1),
    }));
    const judgedBy = (counts: boolean) =>
      judgedWith(candidate, {}, { counters: COUNTERS, demands: { agreement: true, tracks: false, counts } });
    const [strict, lenient] = [await judgedBy(true), await judgedBy(false)];
    expect(strict.objections).toEqual([expect.stringMatching(/^line gate counts/)]);
    expect(lenient.objections).toEqual([]);
    expect(lenient.video!.counts).toEqual(strict.video!.counts);
  });

  it.each([
    ['decides nothing by a few seconds alone', { isOnlyEvidence: true }, 'inconclusive'],
    ['has no objection by a few seconds beside labels', { isOnlyEvidence: false }, 'passed'],
    ['wants more than a few seconds to count in', { isOnlyEvidence: false, counters: COUNTERS }, 'inconclusive'],
  ])('of another detector %s', async (_, ground, expected) => {
    const demands = { agreement: false, tracks: false, counts: true };
    const [reference, candidate] = [seeVideo({ seed: 1, ...GOOD }, 80), seeVideo({ seed: 2, ...GOOD }, 80)];
    const { verdict, reason } = await judgedWith(candidate, {}, { demands, ...ground }, reference);
    expect(verdict, reason).toBe(expected);
    if (expected === 'inconclusive') expect(reason).toMatch(/less than 10 s of video is too short to decide$/);
  });
});

describe('the gate on a video does not decide', () => {
  it('on a few seconds, and names a number of frames that would do', async () => {
    const clip = (seed: number): RecordedResults => seeVideo({ seed, missRatio: 0.01, jitter: 0.03 }, 60);
    const verdict = await judged(clip(2), clip(1), 0.03);
    expect(verdict.verdict, verdict.reason).toBe('inconclusive');
    // Ten blocks of a second are the least.
    expect(verdict.picturesThatWouldDecide).toBeGreaterThanOrEqual(10 * VIDEO_FPS);
    expect(verdict.picturesThatWouldDecide).toBeLessThan(1000);
  });

  it('on a video without objects', async () => {
    const empty = mapDetections(REFERENCE, () => null);
    expect(await judged(empty, empty)).toMatchObject({
      verdict: 'inconclusive',
      reason: expect.stringContaining('no object in the video'),
    });
  });
});
