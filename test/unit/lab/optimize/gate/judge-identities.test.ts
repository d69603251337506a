import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../../src/base/core/seeded-random.ts';
import type { GateVerdict } from '../../../../../src/lab/optimize/gate/gate-verdict.ts';
import { judge } from '../../../../../src/lab/optimize/gate/judge.ts';
import { compareMot } from '../../../../../src/network/evaluate/mot-files.ts';
import type { RecordedResults } from '../../../../../src/network/evaluate/recorded-results.ts';
import { trackingCounts, trackingFigures } from '../../../../../src/network/evaluate/tracking-score.ts';
import { mapDetections, seeVideo } from '../../../../support/gate-scenes.ts';
import { trueTracksOf } from '../../../../support/true-tracks.ts';

const TRUTH = trueTracksOf(seeVideo({ seed: 0, missRatio: 0, jitter: 0 }));
const SIGHT = { missRatio: 0.1, jitter: 0.1 };
const TODAY = seeVideo({ seed: 1, ...SIGHT });

/** Each object gets another identity after so many frames, with a chance. */
function renewing(results: RecordedResults, frames: number, chance: number): RecordedResults {
  const random = seededRandom(9);
  const isUnlucky = new Map<number, boolean>();
  return mapDetections(results, (found, { frame }) => {
    const id = found.trackId!;
    if (!isUnlucky.has(id)) isUnlucky.set(id, random() < chance);
    return isUnlucky.get(id) ? { ...found, trackId: id + 10_000 * Math.floor(frame / frames) } : found;
  });
}

function judged(candidate: RecordedResults, truth = TRUTH, maxLoss = 0.02): Promise<GateVerdict> {
  return judge(TODAY, candidate, { kind: 'tracks', sequences: [truth], startsUs: [0] }, { maxLoss });
}

describe('identities on sequences with true tracks', () => {
  it('passes what follows objects as well, and names its figures', async () => {
    for (const seed of [2, 3, 4, 5, 6, 7, 8, 9]) {
      const verdict = await judged(seeVideo({ seed, ...SIGHT }));
      expect(verdict).toMatchObject({ verdict: 'passed', measure: 'IDF1', isLossJudged: false });
      expect(verdict.reason).toMatch(
        /^IDF1 0\.\d{3} against 0\.\d{3} on 48 true tracks, a loss of .* switches against/,
      );
    }
  });

  it('refuses other identities in the same boxes, which no figure of boxes sees', async () => {
    const candidate = renewing(TODAY, 12, 1);
    const verdict = await judged(candidate);
    expect(verdict.verdict).toBe('refused');
    expect(verdict.identities!.switches[1]).toBeGreaterThan(50 + verdict.identities!.switches[0]);
    const boxes = await judge(
      TODAY,
      candidate,
      { kind: 'video', demands: { agreement: true, tracks: false, counts: false } },
      { maxLoss: 0.02 },
    );
    expect(boxes).toMatchObject({ verdict: 'passed', loss: 0 });
  });

  it('bears as much as it says', async () => {
    const verdict = await judged(renewing(TODAY, 12, 0.1));
    expect(verdict.allowed).toBeCloseTo(5 * 0.02 * verdict.reference, 10);
    expect(verdict.loss).toBeGreaterThan(0);
    expect(verdict.verdict === 'passed').toBe(verdict.interval[1] <= verdict.allowed);
    expect((await judged(renewing(TODAY, 12, 0.1), TRUTH, 0)).verdict).not.toBe('passed');
  });

  it('gives the IDF1 of the benchmarks', async () => {
    const candidate = renewing(seeVideo({ seed: 3, ...SIGHT }), 15, 0.4);
    const { reference, candidate: after, identities } = await judged(candidate);
    for (const [results, idf1, side] of [
      [TODAY, reference, 0],
      [candidate, after, 1],
    ] as const) {
      const boxes = results.frames.flatMap(({ frame, detections }) =>
        detections
          .filter(({ label }) => label === 'person')
          .map(({ trackId, box, score }) => ({ frame: frame + 1, id: trackId!, box, score })),
      );
      const figures = trackingFigures(trackingCounts(compareMot(TRUTH.truth, boxes)));
      expect(idf1).toBeCloseTo(figures.idf1, 10);
      expect(identities!.hota[side]).toBeCloseTo(figures.hota, 10);
    }
  });

  it('leaves open what too few tracks show, and what the reference does not follow', async () => {
    const few = trueTracksOf(seeVideo({ seed: 0, missRatio: 0, jitter: 0 }, 30));
    const short = (results: RecordedResults) => ({ ...results, frames: results.frames.slice(0, 30) });
    const ground = { kind: 'tracks', sequences: [few], startsUs: [0] } as const;
    const verdict = await judge(short(TODAY), short(seeVideo({ seed: 2, ...SIGHT })), ground, { maxLoss: 0.05 });
    expect(verdict.verdict).toBe('inconclusive');
    expect(verdict.reason).toMatch(/\d true tracks are too few, about \d+ would settle it/);
    const nothing = mapDetections(TODAY, () => null);
    expect(await judge(nothing, nothing, { ...ground, sequences: [TRUTH] }, { maxLoss: 0.02 })).toMatchObject({
      verdict: 'inconclusive',
      reason: 'the reference follows none of the 48 true tracks, so nothing can be judged',
    });
  });

  it('tells the clips of several sequences apart', async () => {
    const second = (results: RecordedResults) =>
      results.frames.map((frame) => ({ ...frame, frame: frame.frame + 400, ptsUs: frame.ptsUs + 40e6 }));
    const twice = (results: RecordedResults) => ({ ...results, frames: [...results.frames, ...second(results)] });
    const ground = { kind: 'tracks', sequences: [TRUTH, TRUTH], startsUs: [0, 40e6] } as const;
    const both = await judge(twice(TODAY), twice(seeVideo({ seed: 2, ...SIGHT })), ground, { maxLoss: 0.02 });
    const one = await judged(seeVideo({ seed: 2, ...SIGHT }));
    expect(both).toMatchObject({ evidence: 96, verdict: 'passed' });
    expect(both.candidate).toBeCloseTo(one.candidate, 10);
  });
});
