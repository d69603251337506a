import { describe, expect, it } from 'vitest';
import type { Box } from '../../../../src/base/core/detection.ts';
import { MotionFilter } from '../../../../src/frame/track/motion-filter.ts';

function boxOf(filter: MotionFilter): number[] {
  const box = new Float64Array(4);
  filter.writeBox(box, 0);
  return [...box];
}

/** A 40 x 80 box that moves by 200 pixels a second. */
function boxAt(timeMs: number): Box {
  return [100 + 0.2 * timeMs, 50, 40, 80];
}

function followed(frameMs: number, untilMs: number): MotionFilter {
  const filter = new MotionFilter(boxAt(0));
  for (let timeMs = frameMs; timeMs <= untilMs; timeMs += frameMs) {
    filter.predict(frameMs * 1000, false);
    filter.correct(boxAt(timeMs));
  }
  return filter;
}

/**
 * The Kalman filter over centre, sides and the velocity of each, with whole matrices, and the noise of a white acceleration. Time in
 * seconds; the coordinates of a measurement are taken one after the other, as their noise is independent.
 */
class TextbookFilter {
  #x: number[];
  #p: number[][];

  constructor(box: Box) {
    this.#x = [...TextbookFilter.measure(box), 0, 0, 0, 0];
    const size = (box[2] + box[3]) / 2;
    const spread = [0.14, 0.14, 0.35, 0.35, 2.8, 2.8, 0.28, 0.28];
    this.#p = spread.map((value, i) => spread.map((_, j) => (i === j ? (value * size) ** 2 : 0)));
  }

  static measure([x, y, width, height]: Box): number[] {
    return [x + width / 2, y + height / 2, width, height];
  }

  get box(): number[] {
    const [x, y, width, height] = this.#x as [number, number, number, number];
    return [x - width / 2, y - height / 2, width, height];
  }

  predict(seconds: number, holdsSize: boolean): void {
    if (holdsSize) this.#x.fill(0, 6);
    const size = (this.#x[2]! + this.#x[3]!) / 2;
    const noise = [0.43, 0.43, 0.14, 0.14].map((value) => (value * size) ** 2);
    const motion = this.#x.map((_, i) => this.#x.map((__, j) => (i === j ? 1 : j === i + 4 ? seconds : 0)));
    const times = (a: number[][], b: number[][]) =>
      a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)));
    const turned = (a: number[][]) => a[0]!.map((_, j) => a.map((row) => row[j]!));
    this.#x = times(motion, turned([this.#x])).map(([value]) => value!);
    const grown = times(times(motion, this.#p), turned(motion));
    // Of a white acceleration: t^3 / 3 and t^2 / 2, t^2 / 2 and t.
    const shares = (i: number, j: number): number =>
      i === j ? (i < 4 ? seconds ** 3 / 3 : seconds) : Math.abs(i - j) === 4 ? seconds ** 2 / 2 : 0;
    this.#p = grown.map((row, i) => row.map((value, j) => value + noise[i % 4]! * shares(i, j)));
  }

  correct(box: Box): void {
    const size = (this.#x[2]! + this.#x[3]!) / 2;
    const spread = [0.14, 0.14, 0.35, 0.35].map((value) => value * size);
    for (const [k, measured] of TextbookFilter.measure(box).entries()) {
      const total = this.#p[k]![k]! + spread[k]! ** 2;
      const gain = this.#p.map((row) => row[k]! / total);
      const innovation = measured - this.#x[k]!;
      const row = this.#p[k]!;
      this.#x = this.#x.map((value, i) => value + gain[i]! * innovation);
      this.#p = this.#p.map((values, i) => values.map((value, j) => value - gain[i]! * row[j]!));
    }
  }
}

describe('MotionFilter', () => {
  it('starts at the box that it was given', () => {
    expect(boxOf(new MotionFilter([10, 20, 30, 60]))).toEqual([10, 20, 30, 60]);
  });

  it('lies between the prediction and the measurement', () => {
    const filter = new MotionFilter([100, 100, 40, 80]);
    filter.predict(33_333, false);
    filter.correct([110, 100, 40, 80]);
    const [x] = boxOf(filter) as [number];
    expect(x).toBeGreaterThan(105);
    expect(x).toBeLessThan(110);
  });

  it.each([
    ['5 frames a second', 200],
    ['25 frames a second', 40],
    ['50 frames a second', 20],
  ])('learns a speed in media time, at %s', (_, frameMs) => {
    const filter = followed(frameMs, 2000);
    filter.predict(500_000, false);
    expect(boxOf(filter)[0]).toBeCloseTo(100 + 0.2 * 2500, 0);
  });

  it('weighs the first measurements by the Kalman gain, less certain the longer there is none', () => {
    const firstGain = (seconds: number): number => {
      const filter = new MotionFilter([100, 100, 40, 80]);
      filter.predict(seconds * 1e6, false);
      filter.correct([110, 100, 40, 80]);
      return (boxOf(filter)[0]! - 100) / 10;
    };
    // Size 60: variances 8.4^2 in place, 168^2 in speed, and 25.8^2 of the acceleration in a second.
    const gainAfter = (t: number): number => {
      const place = 8.4 ** 2 + t * t * 168 ** 2 + (25.8 ** 2 * t ** 3) / 3;
      return place / (place + 8.4 ** 2);
    };
    for (const seconds of [0.04, 0.2, 1]) expect(firstGain(seconds)).toBeCloseTo(gainAfter(seconds), 9);
  });

  it('says how uncertain the place is, as a share of the size', () => {
    const filter = new MotionFilter([100, 100, 40, 80]);
    expect(filter.spread).toBeCloseTo(Math.SQRT2 * 0.14, 9);
    for (let k = 1; k <= 25; k++) {
      filter.predict(40_000, false);
      filter.correct([100, 100, 40, 80]);
    }
    const followed = filter.spread;
    expect(followed).toBeLessThan(0.15);
    filter.predict(1_000_000, true);
    expect(filter.spread).toBeGreaterThan(2 * followed);
  });

  it("is the textbook's filter with matrices of 8 x 8", () => {
    const box = (k: number): Box => [100 + 7 * k, 80 - 3 * k + (k % 3), 40 + (k % 4), 80 + 2 * k + (k % 5)];
    const filter = new MotionFilter(box(0));
    const textbook = new TextbookFilter(box(0));
    for (let k = 1; k <= 12; k++) {
      const seconds = 0.04 * (1 + (k % 3) / 2);
      const isLost = k > 9;
      filter.predict(seconds * 1e6, isLost);
      textbook.predict(seconds, isLost);
      expect(boxOf(filter).map((value) => value.toFixed(6))).toEqual(textbook.box.map((value) => value.toFixed(6)));
      if (isLost) continue;
      filter.correct(box(k));
      textbook.correct(box(k));
      expect(boxOf(filter).map((value) => value.toFixed(6))).toEqual(textbook.box.map((value) => value.toFixed(6)));
    }
  });

  it('keeps the size of a lost object, and never lets a size reach zero', () => {
    const shrinking = () => {
      const filter = new MotionFilter([100, 100, 100, 200]);
      for (let k = 1; k <= 10; k++) {
        filter.predict(40_000, false);
        filter.correct([100 + 5 * k, 100 + 10 * k, 100 - 9 * k, 200 - 18 * k]);
      }
      return filter;
    };
    const hidden = shrinking();
    const sidesPx = boxOf(hidden).slice(2);
    hidden.predict(2_000_000, true);
    expect(boxOf(hidden).slice(2)).toEqual(sidesPx);
    const seen = shrinking();
    seen.predict(2_000_000, false);
    expect(boxOf(seen)[3]).toBeGreaterThan(0);
  });
});
