import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Detection } from '../../../../src/base/core/detection.ts';
import { ObjectTracker } from '../../../../src/frame/track/object-tracker.ts';
import { resolveTrackOptions, type TrackOptions } from '../../../../src/frame/track/track-options.ts';
import { idsOf, personAt, seen } from './scenes.ts';

const FRAME_US = 40_000;

/** Feeds a scene frame by frame; `scene(k)` returns the detections of frame k. */
function run(tracker: ObjectTracker, frames: number, scene: (frame: number) => Detection[], frameUs = FRAME_US) {
  return Array.from({ length: frames }, (_, k) => tracker.update(scene(k), k * frameUs));
}

/** Sure objects get an identity in their second frame. */
const SURE = { highScore: 0.4, newScore: 0.5, minHits: 2 };

describe('identities', () => {
  it('start at 1 in the second frame of an object, and stay', () => {
    const frames = run(new ObjectTracker(SURE), 5, (k) => [personAt(100 + 4 * k, 200), personAt(400 - 4 * k, 200)]);
    expect(frames.map(idsOf)).toEqual([
      [undefined, undefined],
      [1, 2],
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
  });

  it('keep mask, key points and angle of each detection', () => {
    const extras = { mask: { size: [9, 9] as const, counts: 'a' }, keypoints: [1, 2, 0.5], angle: 30 };
    const frames = run(new ObjectTracker(SURE), 2, () => [{ ...personAt(100, 200), ...extras }]);
    expect(frames[0]).toMatchObject([extras]);
    expect(frames[1]).toMatchObject([{ ...extras, trackId: 1 }]);
  });

  it('start after minHits consecutive frames; a miss before that resets the count', () => {
    const gap = new ObjectTracker({ ...SURE, minHits: 3 });
    const frames = run(gap, 6, (k) => (k === 2 ? [] : [personAt(100, 200)]));
    expect(frames.map(idsOf)).toEqual([[undefined], [undefined], [], [undefined], [undefined], [1]]);
    expect(idsOf(new ObjectTracker({ ...SURE, minHits: 1 }).update([personAt(100, 200)], 0))).toEqual([1]);
  });

  it.each([
    ['25 frames a second', 40_000, 0.9, 2],
    ['5 frames a second', 200_000, 0.9, 1],
    ['25 frames a second, not certain', 40_000, 0.79, 3],
    ['5 frames a second, not certain', 200_000, 0.79, 3],
  ])('start by default as early as the score and the rate allow: %s', (_, frameUs, score, frame) => {
    const late = (k: number): Detection[] => (k < 2 ? [] : [personAt(100, 200, { score })]);
    const ids = run(new ObjectTracker({}), 8, late, frameUs).slice(2).flatMap(idsOf);
    expect(ids).toEqual(ids.map((__, k) => (k + 1 < frame ? undefined : 1)));
  });

  it('start in the very first frame for objects that the detector is certain of', () => {
    expect(idsOf(new ObjectTracker({}).update([personAt(100, 200), personAt(300, 200, { score: 0.5 })], 0))).toEqual([
      1,
      undefined,
    ]);
    expect(idsOf(new ObjectTracker({ minHits: 3 }).update([personAt(100, 200)], 0)), 'what was set holds').toEqual([
      undefined,
    ]);
  });

  it('follow the objects, whatever the order of the detections', () => {
    const frames = run(new ObjectTracker(SURE), 6, (k) => {
      const both = [personAt(100 + 4 * k, 200), personAt(400, 200)];
      return k % 2 === 0 ? both : both.reverse();
    });
    expect(idsOf(frames[4]!)).toEqual([...idsOf(frames[5]!)].reverse());
  });

  it('persist when two people walk past each other', () => {
    const frames = run(new ObjectTracker(SURE), 60, (k) => [personAt(100 + 5 * k, 200), personAt(395 - 5 * k, 215)]);
    for (const frame of frames.slice(1)) expect(idsOf(frame)).toEqual([1, 2]);
  });

  it('persist when one person occludes the other for some frames', () => {
    const frames = run(new ObjectTracker(SURE), 60, (k) => {
      const front = personAt(100 + 5 * k, 205);
      const behind = personAt(395 - 5 * k, 200);
      return Math.abs(100 + 5 * k - (395 - 5 * k)) < 30 ? [front] : [front, behind];
    });
    expect(idsOf(frames.at(-1)!)).toEqual([1, 2]);
  });

  it('persist when a person walks behind another who has just sat down', () => {
    const tracker = new ObjectTracker({ ...SURE, lostMs: 2000 });
    const frames = run(tracker, 80, (k) => {
      const walkerX = 100 + 5 * k;
      const walker = k > 30 && k < 50 ? [] : [personAt(walkerX, 200)];
      return [...walker, ...(k < 10 ? [] : [personAt(300, 200)])];
    });
    for (const frame of frames.slice(50)) expect(idsOf(frame)).toEqual([1, 2]);
    for (const frame of frames.slice(31, 50)) expect(idsOf(frame)).toEqual([2]);
  });

  it.each([
    ['25 frames a second', 40_000],
    ['10 frames a second', 100_000],
    ['5 frames a second', 200_000],
  ])('survive an occlusion shorter than lostMs but not a longer one, at %s', (_, frameUs) => {
    const idAfterGap = (gapMs: number) => {
      const tracker = new ObjectTracker({ ...SURE, lostMs: 1000 });
      const walk = (us: number) => [personAt(100 + 20 * (us / 1e6), 200)];
      let us = 0;
      for (; us <= 2e6; us += frameUs) tracker.update(walk(us), us);
      const backUs = us - frameUs + gapMs * 1000;
      for (; us < backUs; us += frameUs) tracker.update([], us);
      tracker.update(walk(backUs), backUs);
      return idsOf(tracker.update(walk(backUs + frameUs), backUs + frameUs))[0];
    };
    expect(idAfterGap(800)).toBe(1);
    expect(idAfterGap(1200)).toBe(2);
  });

  it('end when there is no frame for longer than lostMs', () => {
    const tracker = new ObjectTracker({ ...SURE, lostMs: 1000, minHits: 1 });
    tracker.update([personAt(100, 200)], 0);
    expect(idsOf(tracker.update([personAt(100, 200)], 1_000_000))).toEqual([1]);
    expect(idsOf(tracker.update([personAt(100, 200)], 2_000_001))).toEqual([2]);
  });

  it('end when media time restarts, and survive timestamp jitter', () => {
    const tracker = new ObjectTracker({ ...SURE, lostMs: 1000, minHits: 1 });
    const at = (us: number) => idsOf(tracker.update([personAt(100, 200)], us));
    expect([at(5_000_000), at(5_040_000), at(5_030_000), at(5_080_000)]).toEqual([[1], [1], [1], [1]]);
    expect(at(0)).toEqual([2]);
  });

  it('follow a change of lostMs from the next frame on', () => {
    const tracker = new ObjectTracker({ ...SURE, lostMs: 1000, minHits: 1 });
    const at = (us: number) => idsOf(tracker.update([personAt(100, 200)], us));
    expect([at(5_000_000), at(4_500_000)]).toEqual([[1], [1]]);
    tracker.options = resolveTrackOptions({ ...SURE, lostMs: 100, minHits: 1 });
    expect([at(5_000_000), at(4_500_000)], 'no jitter any more').toEqual([[1], [2]]);
  });

  it('do not move to an object of another class or one far away', () => {
    const tracker = new ObjectTracker({ ...SURE, minHits: 1 });
    tracker.update([personAt(100, 200)], 0);
    const there = [personAt(100, 200, { classId: 2, label: 'car' }), personAt(300, 200)];
    expect(idsOf(tracker.update(there, FRAME_US))).toEqual([2, 3]);
  });
});

describe('a second box of an object', () => {
  /** The upper half of `personAt(x, y)`, and a box that overlaps it by more than half. */
  const half = (x: number, y: number): Detection => seen([x - 20, y - 80, 40, 40], { score: 0.85 });
  const near = (x: number, y: number): Detection => personAt(x + 10, y, { score: 0.85 });

  it.each([
    ['within it', half],
    ['over it', near],
  ])('%s starts no track, whichever comes first', (_, second) => {
    for (const isFirst of [true, false]) {
      const frames = run(new ObjectTracker({}), 20, (k) => {
        const both = [personAt(100 + 4 * k, 200), second(100 + 4 * k, 200)];
        return isFirst ? both.reverse() : both;
      });
      const [ofDouble, ofPerson] = [isFirst ? 0 : 1, isFirst ? 1 : 0];
      for (const frame of frames.slice(1)) {
        expect(idsOf(frame)[ofPerson]).toBe(1);
        expect(idsOf(frame)[ofDouble]).toBeUndefined();
      }
    }
  });

  it('is an object once it is apart, and after a second anyway', () => {
    const apart = run(new ObjectTracker({}), 40, (k) => [
      personAt(100, 200),
      personAt(100 + (k < 10 ? 5 : 5 * (k - 8)), 200),
    ]);
    expect(idsOf(apart[9]!)).toEqual([1, undefined]);
    expect(idsOf(apart[39]!)).toEqual([1, 2]);
    const parked = run(new ObjectTracker({}), 60, () => [personAt(100, 200), near(100, 200)]);
    expect(parked.findIndex((frame) => idsOf(frame)[1] === 2)).toBe(25);
    expect(idsOf(parked[59]!)).toEqual([1, 2]);
  });

  it('does not take the identity of the first object, which is missed in some frames', () => {
    const person = (x: number): Detection => personAt(x, 200, { score: 0.9 });
    const frames = run(
      new ObjectTracker({}),
      60,
      // Two who stand closely: 40 px wide, 16 px apart.
      (k) => [...(k >= 35 && k < 38 ? [] : [person(100)]), ...(k < 25 ? [] : [person(116)])],
      100_000,
    );
    for (const frame of frames.slice(40)) expect(idsOf(frame)).toEqual([1, 2]);
    for (const frame of frames.slice(35, 38)) expect(idsOf(frame)).toEqual([2]);
  });

  it.each([
    ['one of twenty', 20],
    ['one of eight', 8],
  ])('is an object after a second, though it is missed in %s frames', (_, every) => {
    const frames = run(new ObjectTracker({}), 60, (k) => [
      personAt(100, 200),
      ...(k % every === every - 1 ? [] : [near(100, 200)]),
    ]);
    expect(idsOf(frames[24]!)).toEqual([1, undefined]);
    expect(idsOf(frames[28]!)).toEqual([1, 2]);
  });

  it('that flickers is none', () => {
    const frames = run(new ObjectTracker({}), 150, (k) => [
      personAt(100, 200),
      ...(k % 4 === 3 ? [] : [near(100, 200)]),
    ]);
    expect(new Set(frames.slice(1).map((frame) => frame.length > 1 && idsOf(frame)[1]))).toEqual(
      new Set([undefined, false]),
    );
  });

  it.each([
    ['for four frames', 14, 18],
    ['for good', 14, 60],
  ])('does not take the identity of the first object, which is missed %s', (_, from, to) => {
    const frames = run(new ObjectTracker({}), 60, (k) => [
      ...(k >= from && k < to ? [] : [personAt(100, 200, { score: 0.9 })]),
      ...(k < 5 ? [] : [personAt(116, 200, { score: 0.9 })]),
    ]);
    const ofSecond = frames.slice(5).map((frame) => idsOf(frame).at(-1));
    expect(new Set(ofSecond)).toEqual(new Set([undefined, 2]));
    expect(ofSecond.at(-1)).toBe(2);
    if (to < 60) expect(idsOf(frames.at(-1)!)).toEqual([1, 2]);
  });

  it('takes nothing from an object that has its identity, nor from one of another class', () => {
    const meeting = run(new ObjectTracker({}), 30, (k) => [
      personAt(200, 200),
      personAt(Math.max(208, 320 - 8 * k), 200),
    ]);
    for (const frame of meeting.slice(1)) expect(idsOf(frame)).toEqual([1, 2]);
    const rider = run(new ObjectTracker({}), 5, () => [
      personAt(100, 200),
      { ...near(100, 200), classId: 1, label: 'bicycle' },
    ]);
    expect(idsOf(rider[4]!)).toEqual([1, 2]);
  });
});

describe('an object that turns or stops', () => {
  const walk = (x: (k: number) => number, frameUs: number): (number | undefined)[] =>
    run(new ObjectTracker({}), 60, (k) => [personAt(x(k), 200)], frameUs)
      .slice(1)
      .flatMap(idsOf);
  const there = (k: number, step: number): number => 300 + step * Math.abs((k % 20) - 10);

  it.each([
    ['back and forth, 10 px a frame, at 10 frames a second', 100_000, (k: number) => there(k, 10)],
    ['back and forth, 6 px a frame, at 25 frames a second', 40_000, (k: number) => there(k, 6)],
    ['to a sudden stop from 20 px a frame', 100_000, (k: number) => 100 + 20 * Math.min(k, 20)],
    ['to a sudden start', 100_000, (k: number) => 100 + 20 * Math.max(0, k - 20)],
  ])('keeps its identity: %s', (_, frameUs, x) => {
    expect(new Set(walk(x, frameUs))).toEqual(new Set([1]));
  });
});

describe('objects that do not overlap from frame to frame', () => {
  it('keep their identity: fast ones, and small ones, at 5 frames a second', () => {
    const car = (k: number): Detection => seen([20 + 70 * k, 100, 60, 30], { classId: 2, label: 'car' });
    const ball = (k: number): Detection => seen([600 - 14 * k, 300 + (k % 2), 10, 10], { classId: 3, label: 'ball' });
    const frames = run(new ObjectTracker({}), 12, (k) => [car(k), ball(k)], 200_000);
    for (const frame of frames) expect(idsOf(frame)).toEqual([1, 2]);
  });

  it('are found again where they could be, and not anywhere', () => {
    const idAfterGap = (jumpPx: number): number | undefined => {
      const tracker = new ObjectTracker({});
      run(tracker, 25, (k) => [personAt(100 + 2 * k, 200)]);
      const at = (us: number, x: number): number | undefined => idsOf(tracker.update([personAt(x, 200)], us))[0];
      const x = 100 + 2 * 25 + 50 + jumpPx;
      at(2_000_000, x);
      return at(2_040_000, x);
    };
    expect([idAfterGap(0), idAfterGap(40), idAfterGap(300)]).toEqual([1, 1, 2]);
  });
});

describe('detections of low score', () => {
  it('start a track from the threshold of reported boxes on, or from newScore, and not below', () => {
    const idAt = (score: number, options: TrackOptions): number | undefined =>
      idsOf(run(new ObjectTracker(options), 5, () => [personAt(100, 200, { score })]).at(-1)!)[0];
    expect(idAt(0.3, { reportScore: 0.3 })).toBe(1);
    expect(idAt(0.45, { reportScore: 0.45 })).toBe(1);
    expect(idAt(0.29, { reportScore: 0.3, lowScore: 0.1 })).toBeUndefined();
    expect(idAt(0.4, { reportScore: 0.3, newScore: 0.5 })).toBeUndefined();
    // What was set holds; what was not gives way.
    expect(idAt(0.35, { reportScore: 0.3, highScore: 0.4 })).toBeUndefined();
    expect(idAt(0.3, { reportScore: 0.1, lowScore: 0.3 })).toBe(1);
  });

  it('of a false object that flickers never get an identity', () => {
    const tracker = new ObjectTracker({ reportScore: 0.3 });
    const frames = run(tracker, 60, (k) => (k % 4 < 2 ? [personAt(100, 200, { score: 0.35 })] : []));
    expect(frames.flatMap(idsOf).filter((id) => id !== undefined)).toEqual([]);
  });

  it('continue a track', () => {
    const tracker = new ObjectTracker({ ...SURE, lostMs: 200, reportScore: 0.1 });
    const frames = run(tracker, 40, (k) => [personAt(100 + 2 * k, 200, { score: k >= 5 && k < 35 ? 0.2 : 0.9 })]);
    for (const frame of frames.slice(1)) expect(idsOf(frame)).toEqual([1]);
  });

  it('never start a track, and below lowScore do not continue one', () => {
    const tracker = new ObjectTracker({ ...SURE, lostMs: 200, reportScore: 0 });
    expect(run(tracker, 10, () => [personAt(100, 200, { score: 0.3 })]).flatMap(idsOf)).toEqual(
      Array.from({ length: 10 }, () => undefined),
    );
    const fading = run(new ObjectTracker({ ...SURE, lostMs: 200, reportScore: 0 }), 20, (k) => [
      personAt(100, 200, { score: k >= 5 && k < 15 ? 0.05 : 0.9 }),
    ]);
    expect(idsOf(fading.at(-1)!)).toEqual([2]);
  });

  it('continue only a track that was near, from lowScore up; those from highScore on also one farther away', () => {
    const idAfter = (score: number, shiftPx: number) =>
      idsOf(
        run(new ObjectTracker({ ...SURE, lowScore: 0.1, reportScore: 0 }), 6, (k) => [
          personAt(100 + (k < 5 ? 0 : shiftPx), 200, k < 5 ? {} : { score }),
        ]).at(-1)!,
      )[0];
    // Boxes of 40 px: shifted by 10 they overlap by 30 / 50, by 20 by a third.
    expect([idAfter(0.1, 10), idAfter(0.09, 10), idAfter(0.39, 20), idAfter(0.4, 20)]).toEqual([
      1,
      undefined,
      undefined,
      1,
    ]);
  });

  it('are returned from reportScore up; lower ones are only used for tracking', () => {
    const tracker = new ObjectTracker({ ...SURE, reportScore: 0.35 });
    const frames = run(tracker, 4, (k) => [
      personAt(100, 200, { score: k === 2 ? 0.2 : 0.9 }),
      personAt(400, 200, { score: 0.35 }),
      personAt(700, 200, { score: 0.34 }),
    ]);
    expect(frames.map(idsOf)).toEqual([[undefined, undefined], [1, undefined], [undefined], [1, undefined]]);
  });
});

describe('any input', () => {
  const side = fc.integer({ min: 0, max: 60 });
  const detections = fc.array(
    fc.record({
      classId: fc.integer({ min: 0, max: 1 }),
      label: fc.constant('thing'),
      score: fc.double({ min: 0, max: 1, noNaN: true }),
      box: fc.tuple(side, side, side, side),
    }),
    { maxLength: 12 },
  );
  const scenes = fc.array(fc.tuple(detections, fc.integer({ min: -100, max: 1500 })), { maxLength: 25 });

  it('gives ids that are unique in a frame, and the same output for the same input', () => {
    fc.assert(
      fc.property(scenes, (scene) => {
        const trackers = [new ObjectTracker(SURE), new ObjectTracker(SURE)] as const;
        let ptsUs = 0;
        for (const [frame, stepMs] of scene) {
          ptsUs += stepMs * 1000;
          const [first, second] = trackers.map((tracker) => tracker.update(frame, ptsUs)) as [Detection[], Detection[]];
          expect(first).toEqual(second);
          expect(first.map(({ trackId: _, ...bare }) => bare)).toEqual(frame.filter(({ score }) => score >= 0.3));
          const ids = idsOf(first).filter((id) => id !== undefined);
          expect(new Set(ids).size).toBe(ids.length);
          expect(ids.every((id) => Number.isInteger(id) && id >= 1)).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('accepts boxes without area but gives them no identity', () => {
    const frames = run(new ObjectTracker({ ...SURE, minHits: 1 }), 3, () => [
      seen([10, 10, 0, 50]),
      seen([10, 10, 50, 0]),
      seen([10, Number.POSITIVE_INFINITY, 50, 50]),
      seen([10, 10, 50, 50]),
    ]);
    expect(frames.map(idsOf)).toEqual(Array(3).fill([undefined, undefined, undefined, 1]));
  });
});

describe('options', () => {
  it.each([
    [{ highScore: 1.5 }, /highScore: expected a number from 0 to 1, received 1.5/],
    [{ lowScore: 0.6, highScore: 0.4, newScore: 0.5 }, /lowScore <= highScore <= newScore, received 0.6, 0.4 and 0.5/],
    [{ matchIou: -0.1 }, /matchIou: expected a number from 0 to 1, received -0.1/],
    [{ highScore: 0.5, newScore: 0.4 }, /lowScore <= highScore <= newScore, received 0.1, 0.5 and 0.4/],
    [{ lostMs: -1 }, /lostMs: expected a number from 0, received -1/],
    [{ lostMs: Number.NaN }, /lostMs/],
    [{ minHits: 0 }, /minHits: expected a whole number from 1, received 0/],
    [{ minHits: 1.5 }, /minHits/],
  ])('%o is rejected', (options, message) => {
    expect(() => new ObjectTracker(options)).toThrowError(message);
  });

  it('may be at the ends of their ranges', () => {
    const ends = {
      lowScore: 0,
      highScore: 0,
      newScore: 0,
      reportScore: 1,
      matchIou: 0,
      lowMatchIou: 1,
      lostMs: 0,
      minHits: 1,
    };
    expect(resolveTrackOptions(ends)).toMatchObject(ends);
  });
});

describe('a camera that moves', () => {
  /** It jumps by several widths of an object. */
  const cameraAt = (frame: number) => ({ x: frame < 10 ? 0 : 170, y: frame < 10 ? 0 : -90 });
  const inView = (detection: Detection, { x, y }: { x: number; y: number }): Detection => {
    const [left, top, width, height] = detection.box;
    return { ...detection, box: [left + x, top + y, width, height] };
  };
  const people = (k: number) => [personAt(200 + 3 * k, 300), personAt(250, 300)];

  it('takes along what is seen, if it is known how far', () => {
    const known = new ObjectTracker(SURE);
    const unknown = new ObjectTracker(SURE);
    const ids = [known, unknown].map((tracker) =>
      Array.from({ length: 20 }, (_, k) => {
        const shift = cameraAt(k);
        const boxes = people(k).map((person) => inView(person, shift));
        return idsOf(tracker.update(boxes, k * FRAME_US, ...(tracker === known ? [shift] : [])));
      }),
    );
    expect(ids[0]!.at(-1)).toEqual([1, 2]);
    expect(ids[1]!.at(-1)).not.toEqual([1, 2]);
  });

  it('takes along what is hidden just then', () => {
    const tracker = new ObjectTracker(SURE);
    const found = Array.from({ length: 25 }, (_, k) => {
      const boxes = k >= 8 && k < 16 ? [] : [inView(personAt(200 + 3 * k, 300), cameraAt(k))];
      return idsOf(tracker.update(boxes, k * FRAME_US, cameraAt(k)));
    });
    expect(found.at(-1)).toEqual([1]);
  });

  it('takes along predicted boxes, and detections without a track', () => {
    const tracker = new ObjectTracker(SURE);
    const weak = personAt(500, 200, { score: 0.35 });
    run(tracker, 5, () => [personAt(100, 200), weak]);
    const predicted = tracker.predict(5 * FRAME_US, { width: 640, height: 360 }, { x: 20, y: 10 });
    const at = (detection: Detection) => inView(detection, { x: 20, y: 10 }).box;
    expect(predicted.map(({ box }) => box.map(Math.round))).toEqual([at(weak), at(personAt(100, 200))]);
  });
});

describe('prediction of frames that are not inferred', () => {
  const PICTURE = { width: 640, height: 360 };

  it('moves each object on at its velocity and keeps its identity', () => {
    const tracker = new ObjectTracker(SURE);
    run(tracker, 20, (k) => [personAt(100 + 4 * k, 200)]);
    const predicted = [20, 21, 22].map((k) => tracker.predict(k * FRAME_US, PICTURE)[0]!);
    expect(predicted.map(({ trackId, label, score }) => ({ trackId, label, score }))).toEqual(
      Array(3).fill({ trackId: 1, label: 'person', score: 0.9 }),
    );
    for (const [i, { box }] of predicted.entries()) {
      expect(Math.abs(box[0] - (100 + 4 * (20 + i) - 20)), 'x within a pixel').toBeLessThan(1);
      expect(box[2]).toBeCloseTo(40, 0);
    }
    expect(idsOf(tracker.update([personAt(100 + 4 * 23, 200)], 23 * FRAME_US)), 'nothing was lost').toEqual([1]);
  });

  it('repeats detections without a track where they were, and leaves out lost objects', () => {
    const tracker = new ObjectTracker(SURE);
    const weak = personAt(500, 300, { score: 0.35 });
    run(tracker, 5, (k) => (k < 4 ? [personAt(100, 200), weak] : [weak]));
    expect(tracker.predict(5 * FRAME_US, PICTURE)).toEqual([{ ...weak }]);
  });

  it('clips boxes to the picture and ends objects that have left it', () => {
    const tracker = new ObjectTracker(SURE);
    run(tracker, 20, (k) => [personAt(500 + 6 * k, 200)]);
    const boxes = Array.from({ length: 12 }, (_, k) => tracker.predict((20 + k) * FRAME_US, PICTURE)[0]?.box ?? null);
    for (const box of boxes) if (box !== null) expect(box[0] + box[2]).toBeLessThanOrEqual(640);
    // A quarter of its 40 pixels is left at the end; two frames later it would be a strip.
    for (const box of boxes) if (box !== null) expect(box[2]).toBeGreaterThan(9);
    expect(boxes.filter((box) => box !== null).length).toBeGreaterThanOrEqual(5);
    expect(boxes[0]).not.toBeNull();
    expect(boxes.at(-1)).toBeNull();
  });

  it('clips boxes at each border, and repeats what is tracked only as far as it is reported', () => {
    const tracker = new ObjectTracker({ ...SURE, reportScore: 0.35 });
    const still = [seen([-10, -20, 40, 80]), seen([610, 300, 40, 80]), seen([300, 100, 40, 80], { score: 0.6 })];
    run(tracker, 5, (k) =>
      k < 4 ? still : [...still.slice(0, 2), { ...still[2]!, score: 0.34 }, seen([100, 200, 9, 9])],
    );
    expect(tracker.predict(5 * FRAME_US, PICTURE).map(({ box, trackId }) => [...box, trackId])).toEqual([
      [0, 0, 30, 60, 1],
      [610, 300, 30, 60, 2],
      [100, 200, 9, 9, undefined],
    ]);
  });

  it('forgets everything when a source starts again', () => {
    const tracker = new ObjectTracker({ ...SURE, lostMs: 100 });
    run(tracker, 20, () => [personAt(100, 200), personAt(500, 300, { score: 0.35 })]);
    expect(tracker.predict(20 * FRAME_US, PICTURE)).toHaveLength(2);
    expect(tracker.predict(0, PICTURE)).toEqual([]);
  });

  it('reports how well the newest inferred frame had been predicted', () => {
    const tracker = new ObjectTracker(SURE);
    run(tracker, 10, (k) => [personAt(100 + 4 * k, 200), personAt(400, 200)]);
    expect(tracker.quality).toMatchObject({ tracks: 2, lost: 0, fresh: 0 });
    expect(tracker.quality.leastIou).toBeGreaterThan(0.9);
    tracker.update([personAt(140, 200), personAt(300, 300)], 10 * FRAME_US);
    expect(tracker.quality).toMatchObject({ tracks: 2, lost: 1, fresh: 1 });
  });

  it('says how far the worst of the found objects was from its prediction, and counts only sure ones as new', () => {
    const tracker = new ObjectTracker({ ...SURE, newScore: 0.4 });
    run(tracker, 10, () => [personAt(100, 200), personAt(400, 200)]);
    // 10 of 40 px further: they share 30 of 50.
    tracker.update([personAt(110, 200), personAt(400, 200), personAt(600, 200, { score: 0.49 })], 10 * FRAME_US);
    expect(tracker.quality).toMatchObject({ tracks: 2, lost: 0, fresh: 0 });
    expect(tracker.quality.leastIou).toBeCloseTo(0.6, 6);
    tracker.update([personAt(250, 200, { score: 0.5 })], 11 * FRAME_US);
    expect(tracker.quality).toEqual({ tracks: 2, lost: 2, fresh: 1, leastIou: 1 });
  });
});
