import { describe, expect, it } from 'vitest';
import type { FrameChange } from '../../../../../src/base/core/frame.ts';
import { seededRandom } from '../../../../../src/base/core/seeded-random.ts';
import type { InFlightFrame } from '../../../../../src/frame/runtime/stream/in-flight-frame.ts';
import { SkipPlan, uncertainFrom } from '../../../../../src/frame/runtime/stream/skip-plan.ts';
import { skipConfig } from '../../../../../src/settings/config/skip.ts';
import { slotMeta } from '../../../../support/slot-meta.ts';

class Rig {
  looks = 0;
  readonly plan: SkipPlan;
  #frame = 0;

  readonly #timesUs: (frame: number) => number;

  /** @param timesUs - media time of each frame. */
  constructor(config: object, timesUs = (frame: number): number => frame * 40_000, isFile = false) {
    this.#timesUs = timesUs;
    this.plan = SkipPlan.of(skipConfig.parse(config), isFile, () => {
      this.looks += 1;
    })!;
  }

  arrive(change: FrameChange = 'changed'): InFlightFrame {
    const number = this.#frame++;
    const meta = slotMeta({ frame: number, width: 4, height: 4, ptsUs: this.#timesUs(number), change });
    return { meta, status: 'waiting', by: 'inferred', repeats: null } as unknown as InFlightFrame;
  }

  next(change: FrameChange = 'changed'): { frame: InFlightFrame; isInferred: boolean } {
    const frame = this.arrive(change);
    return { isInferred: this.plan.mustInfer(frame), frame };
  }

  /** Publishes the result of a frame that was inferred: boxes of the given scores, side by side, each a quarter of the picture. */
  publish(frame: InFlightFrame, ...scores: number[]): void {
    const detections = scores.map((score, i) => {
      return { classId: 0, label: 'person', score, box: [2 * (i % 2), i > 1 ? 2 : 0, 2, 2] as const };
    });
    this.plan.onInferred(frame, detections, 0.3, null);
  }

  run(changes: readonly FrameChange[]): string[] {
    return changes.map((change) => {
      const { frame, isInferred } = this.next(change);
      return isInferred ? 'infer' : frame.by;
    });
  }
}

/**
 * Decides on 400 frames of a file, in which the tracker predicts badly now and then and scores come near the threshold.
 *
 * @param haste - the share of decisions before which one more result is published, needed or not.
 */
function planOfFile(config: object, haste: number): string[] {
  const rig = new Rig(config, undefined, true);
  const random = seededRandom(3);
  const sent: InFlightFrame[] = [];
  const publish = (): void => {
    const frame = sent.shift()!;
    const isPoor = frame.meta.frame % 70 > 60;
    const score = frame.meta.frame % 90 > 45 ? 0.31 : 0.8;
    const box = { classId: 0, label: 'person', score, box: [0, 0, 2, 2] as const };
    rig.plan.onInferred(frame, [box], 0.3, { tracks: 4, lost: isPoor ? 2 : 0, fresh: 0, leastIou: 0.9 });
  };
  return Array.from({ length: 400 }, (_, number) => {
    const frame = rig.arrive(number % 40 < 8 ? 'changed' : 'unchanged');
    if (random() < haste && sent.length > 0) publish();
    while (!rig.plan.canDecide(frame)) publish();
    if (!rig.plan.mustInfer(frame)) return frame.by;
    sent.push(frame);
    return 'infer';
  });
}

describe('SkipPlan', () => {
  it('is absent if a stream skips nothing', () => {
    expect(SkipPlan.of(skipConfig.parse({}), false, () => undefined)).toBeNull();
  });

  it('repeats the newest inferred frame, and no older one', () => {
    const rig = new Rig({ unchanged: true });
    const first = rig.next('changed').frame;
    expect(rig.next('unchanged').frame).toMatchObject({ by: 'unchanged', repeats: first });
    const second = rig.next('changed').frame;
    expect(rig.next('unchanged').frame).toMatchObject({ by: 'unchanged', repeats: second });
  });

  it('infers an unchanged frame if the frame that it equals was dropped', () => {
    const rig = new Rig({ unchanged: true });
    const { frame } = rig.next('changed');
    frame.status = 'dropped';
    rig.plan.onDropped();
    expect(rig.looks, 'and the gate looks again').toBe(1);
    expect(rig.run(['unchanged', 'unchanged'])).toEqual(['infer', 'unchanged']);
  });

  it('gives up an unchanged frame that has neither a reference nor an input', () => {
    const rig = new Rig({ unchanged: true });
    rig.next('changed').frame.status = 'dropped';
    const { frame, isInferred } = rig.next('without-input');
    expect(isInferred).toBe(false);
    expect(frame.repeats, 'it repeats itself, that is nothing').toBe(frame);
    expect(rig.looks).toBe(1);
  });

  it.each([
    // At 100 ms a frame two are missing, and the third is inferred.
    { n: 8, frameMs: 100, every: 3 },
    { n: 'auto', frameMs: 100, every: 1 },
    { n: 2, frameMs: 100, every: 2 },
    { n: 8, frameMs: 40, every: 6 },
    { n: 8, frameMs: 20, every: 8 },
    { n: 60, frameMs: 10, every: 21 },
    { n: 4, frameMs: 250, every: 1 },
  ])('lets nothing be missing for longer than 200 ms: n of $n at $frameMs ms a frame', ({ n, frameMs, every }) => {
    const rig = new Rig({ trackBetween: n }, (frame) => frame * frameMs * 1000);
    const inferred = rig.run(Array(200).fill('changed')).flatMap((by, frame) => (by === 'infer' ? [frame] : []));
    expect(new Set(inferred.slice(1).map((frame, i) => frame - inferred[i]!))).toEqual(new Set([every]));
    expect(frameMs * (every - 1), 'ms from the first missing frame to the next inferred one').toBeLessThanOrEqual(200);
  });

  it('keeps the limit where frames are not equally far apart, as with maxFps', () => {
    // Four of five frames of a source at 10 frames per second.
    const timeMs = (frame: number): number => 100 * (frame + Math.floor(frame / 4));
    const rig = new Rig({ trackBetween: 8 }, (frame) => timeMs(frame) * 1000);
    const inferred = rig.run(Array(200).fill('changed')).flatMap((by, frame) => (by === 'infer' ? [frame] : []));
    const missing = inferred.slice(1).map((frame, i) => timeMs(frame) - timeMs(inferred[i]! + 1));
    expect(Math.max(...missing.slice(8))).toBeLessThanOrEqual(200);
    expect(inferred.length).toBeLessThan(120);
  });

  it('infers when media time runs backwards', () => {
    const rig = new Rig({ trackBetween: 8 }, (frame) => (frame < 3 ? 10 + frame : frame) * 40_000);
    expect(rig.run(Array(5).fill('changed'))).toEqual(['infer', 'tracked', 'tracked', 'infer', 'tracked']);
  });

  it('repeats a result without doubt for as long as nothing changes', () => {
    const rig = new Rig({ unchanged: true });
    rig.publish(rig.next('changed').frame, 0.8, 0.36, 0.24);
    expect(new Set(rig.run(Array(100).fill('unchanged')))).toEqual(new Set(['unchanged']));
  });

  it.each([0.251, 0.29, 0.31, 0.349])(
    'infers again within 200 ms while a score is %d and the threshold 0.3',
    (score) => {
      const rig = new Rig({ unchanged: true });
      rig.publish(rig.next('changed').frame, 0.8, score);
      // 40 ms a frame: five frames are repeated.
      const first = rig.run(Array(6).fill('unchanged'));
      expect(first).toEqual([...Array(5).fill('unchanged'), 'infer']);
    },
  );

  it('infers again within 200 ms while a score is as near to the threshold as the scores of the stream swing', () => {
    const rig = new Rig({ unchanged: true });
    for (const score of [0.5, 0.35, 0.5]) rig.publish(rig.next('changed').frame, score);
    rig.publish(rig.next('changed').frame, 0.5, 0.17);
    expect(rig.run(Array(6).fill('unchanged')).at(-1)).toBe('infer');
  });

  it('rests beside such a score where scores are steady, or have been for long, and where it is farther away', () => {
    for (const [scores, last] of [
      [[0.5, 0.48, 0.5], 0.17],
      [[0.5, 0.3, 0.5], 0.09],
      [[0.5, 0.3, ...Array<number>(49).fill(0.5)], 0.17],
    ] as const) {
      const rig = new Rig({ unchanged: true });
      for (const score of scores) rig.publish(rig.next('changed').frame, score);
      rig.publish(rig.next('changed').frame, 0.6, last);
      expect(new Set(rig.run(Array(50).fill('unchanged'))), String(scores)).toEqual(new Set(['unchanged']));
    }
  });

  it('needs boxes down to a third of the threshold at most: those below are without number', () => {
    expect(uncertainFrom(0.5)).toBeCloseTo(0.3);
    expect(uncertainFrom(0.15)).toBeCloseTo(0.05);
  });

  it.each([{ trackBetween: 'auto' }, { unchanged: true }, { unchanged: true, trackBetween: 'auto' }])(
    'treats the frames of a file alike, whenever results come: %j',
    (config) => {
      const plans = [0, 0.3, 0.7, 1].map((haste) => planOfFile(config, haste));
      expect(new Set(plans.map(String)).size).toBe(1);
      expect(new Set(plans[0])).toEqual(
        new Set(['infer', 'trackBetween' in config ? 'tracked' : 'unchanged', plans[0]![300]!]),
      );
    },
  );

  it('rests once a later result has no doubt', () => {
    const rig = new Rig({ unchanged: true });
    rig.publish(rig.next('changed').frame, 0.3);
    rig.run(Array(5).fill('unchanged'));
    const { frame, isInferred } = rig.next('unchanged');
    expect(isInferred).toBe(true);
    rig.publish(frame, 0.6);
    expect(new Set(rig.run(Array(50).fill('unchanged')))).toEqual(new Set(['unchanged']));
  });

  it('has doubts while the result is not known yet', () => {
    const rig = new Rig({ unchanged: true });
    const first = rig.next('changed').frame;
    rig.publish(first, 0.8);
    rig.next('changed');
    rig.publish(first, 0.8);
    expect(rig.run(Array(6).fill('unchanged')).at(-1)).toBe('infer');
  });

  it('has no doubts about boxes of less than half a per cent of the picture', () => {
    const rig = new Rig({ unchanged: true });
    const { frame } = rig.next('changed');
    const speck = { classId: 0, label: 'bird', score: 0.3, box: [0, 0, 0.2, 0.2] as const };
    rig.plan.onInferred(frame, [speck], 0.3, null);
    expect(new Set(rig.run(Array(50).fill('unchanged')))).toEqual(new Set(['unchanged']));
  });

  it('asks for a look if it has doubts and no input to infer', () => {
    const rig = new Rig({ unchanged: true });
    rig.publish(rig.next('changed').frame, 0.3);
    expect(rig.run(Array(4).fill('without-input'))).toEqual(Array(4).fill('unchanged'));
    expect(rig.looks).toBe(0);
    expect(rig.run(['without-input'])).toEqual(['unchanged']);
    expect(rig.looks, 'early enough for the next frame').toBe(1);
  });

  it('infers the first change after a rest at once, whatever n is', () => {
    const rig = new Rig({ unchanged: true, trackBetween: 8 });
    rig.publish(rig.next('changed').frame, 0.8);
    expect(rig.run(['unchanged', 'unchanged', 'changed', 'changed', 'changed'])).toEqual([
      'unchanged',
      'unchanged',
      'infer',
      'infer',
      'tracked',
    ]);
  });

  it('infers it also right after a look at the resting scene', () => {
    const rig = new Rig({ unchanged: true, trackBetween: 8 });
    // A box at the threshold: the score is uncertain, and looked at again after 200 ms.
    rig.publish(rig.next('changed').frame, 0.31);
    const looked = rig.run(Array(6).fill('unchanged'));
    expect(looked).toContain('infer');
    while (rig.next('unchanged').isInferred === false);
    expect(rig.run(['changed'])).toEqual(['infer']);
    // A look of the gate itself is called changed.
    rig.run(['unchanged', 'unchanged']);
    expect(rig.run(['changed', 'changed'])).toEqual(['infer', 'infer']);
  });

  it('infers every n-th frame and leaves the others to the tracker', () => {
    expect(new Rig({ trackBetween: 3 }).run(Array(7).fill('changed'))).toEqual([
      'infer',
      'tracked',
      'tracked',
      'infer',
      'tracked',
      'tracked',
      'infer',
    ]);
  });

  it('does not repeat an inferred frame once a changed one came between them', () => {
    const rig = new Rig({ unchanged: true, trackBetween: 4 });
    // Frame 3 equals frame 2, which was predicted, and not frame 1.
    expect(rig.run([...Array(3).fill('changed'), 'unchanged', 'unchanged', 'unchanged', 'unchanged'])).toEqual([
      'infer',
      'infer',
      'tracked',
      'tracked',
      'tracked',
      'infer',
      'unchanged',
    ]);
    expect(rig.looks, 'the gate is asked for a new reference').toBeGreaterThan(0);
  });

  it('predicts a frame that is due but has no input, and infers the next one', () => {
    const rig = new Rig({ unchanged: true, trackBetween: 2 });
    for (let frame = 0; frame < 3; frame++) rig.next('changed');
    expect(rig.run(['without-input', 'changed'])).toEqual(['tracked', 'infer']);
  });
});
