import { describe, expect, it } from 'vitest';
import { judge } from '../../../../../src/lab/optimize/gate/judge.ts';
import { compareAttributes } from '../../../../../src/network/evaluate/attribute-agreement.ts';
import { matchFrames } from '../../../../../src/network/evaluate/frame-matches.ts';
import type { RecordedResults } from '../../../../../src/network/evaluate/recorded-results.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import { mapDetections, seeVideo } from '../../../../support/gate-scenes.ts';

const RULE = { id: 'red', kind: 'appears', labels: ['person'], when: 'attributes.colour == "red"' };
const STREAM = parseStream({ id: 'cam', source: 'clip.mp4' }, {});
const EYES = { missRatio: 0.002, jitter: 0.03 };
const colourOf = (trackId: number): string => (trackId % 2 === 0 ? 'red' : 'blue');

/** @param colour - of a track, whose id ends in its number of three digits; null for none. */
function seen(colour: (track: number, frame: number) => string | null, seed = 1): RecordedResults {
  return mapDetections(seeVideo({ seed, ...EYES }), (found, { frame, ptsUs }) => {
    const label = colour(found.trackId! % 1000, frame);
    return label === null ? found : { ...found, attributes: { colour: { label, score: 0.9, atUs: ptsUs } } };
  });
}
const REFERENCE = seen(colourOf);

function judged(candidate: RecordedResults, reference = REFERENCE, watched = STREAM) {
  const demands = { agreement: false, tracks: false, counts: false };
  const ground = { kind: 'video', watched, demands, isOnlyEvidence: true } as const;
  return judge(reference, candidate, ground, { maxLoss: 0.02, resamples: 100 });
}

describe('attributes of objects', () => {
  it('pass if they are the same, also with other track ids', async () => {
    expect(await judged(seen(colourOf, 2))).toMatchObject({ verdict: 'passed' });
  });

  it('refuse a candidate that says something else of every fifth object', async () => {
    const verdict = await judged(seen((track) => (track % 5 === 0 ? 'green' : colourOf(track))));
    expect(verdict.verdict).toBe('refused');
    const [{ objects, agreeing } = { objects: 0, agreeing: 0 }] = verdict.video!.attributes!;
    expect(objects).toBeGreaterThan(50);
    expect(agreeing / objects).toBeCloseTo(0.8, 1);
    expect(verdict.objections).toEqual([
      `colour agrees for ${agreeing} of ${objects} objects (95 % interval ${span(verdict.reason)})`,
    ]);
  });

  it('refuse a candidate that says nothing, or says it when the object has nearly gone', async () => {
    expect(await judged(seen(() => null))).toMatchObject({ verdict: 'refused' });
    const first = new Map<number, number>();
    const late = seen((track, frame) => {
      first.set(track, first.get(track) ?? frame);
      return frame - first.get(track)! < 60 ? null : colourOf(track);
    });
    expect(await judged(late)).toMatchObject({ verdict: 'refused' });
  });

  it('do not decide where few objects have any', async () => {
    const few = seen((track) => (track <= 3 ? 'red' : null));
    expect(await judged(few, few)).toMatchObject({
      verdict: 'inconclusive',
      reason: expect.stringMatching(/3 objects with attributes are too few/),
    });
  });

  it('have the interval of Wilson: 8 of 10 are 49 to 94 %', () => {
    const clip = seen((track) => (track <= 10 ? 'red' : null));
    const other = seen((track) => (track <= 8 ? 'red' : null));
    const [found] = compareAttributes(matchFrames(clip, other));
    expect(found).toMatchObject({ objects: 10, agreeing: 8 });
    // Newcombe, "Two-sided confidence intervals for the single proportion", 1998.
    expect(found!.interval.map((end) => Number(end.toFixed(3)))).toEqual([0.49, 0.943]);
  });
});

describe('events of rules', () => {
  const watched = parseStream({ id: 'cam', source: 'clip.mp4', events: [RULE] }, {});

  it('are those of the baseline, or refuse a candidate', async () => {
    const same = await judged(seen(colourOf, 2), REFERENCE, watched);
    expect(same.video!.events!.kept).toBeGreaterThan(0);
    expect(same.verdict, same.reason).toBe('passed');
    // Nothing is red any more.
    const none = await judged(
      seen(() => 'blue'),
      REFERENCE,
      watched,
    );
    expect(none.video!.events).toMatchObject({ kept: 0, gained: 0 });
    const all = same.video!.events!.kept;
    expect(none.objections).toContain(`of ${all} events it loses ${all}, and it raises 0 others`);
    // Of few events none may be lost.
    const few = await judged(
      seen((track) => (track <= 2 ? 'red' : 'blue')),
      seen((track) => (track <= 3 ? 'red' : 'blue')),
      watched,
    );
    expect(few.objections).toEqual(['of 3 events it loses 1, and it raises 0 others']);
    // Half of what was red still is.
    const half = await judged(
      seen((track) => (track % 4 === 0 ? 'red' : 'blue')),
      REFERENCE,
      watched,
    );
    const { kept, lost } = half.video!.events!;
    expect([kept > 0, lost > 0]).toEqual([true, true]);
    expect(half.objections).toContain(`of ${kept + lost} events it loses ${lost}, and it raises 0 others`);
  });
});

function span(reason: string): string {
  return /interval ([^)]*)\)/.exec(reason)![1]!;
}
