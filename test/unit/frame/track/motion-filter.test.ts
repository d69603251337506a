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
 * The Kalman filter of Wojke et al. (2017) over centre, aspect, height and the velocity of each, with whole matrices. Time in frames of
 * 1/30 s; the coordinates of a measurement are taken one after the other, as their noise is independent.
 */
class TextbookFilter {
  #x: number[];
  #p: number[][];

  constructor(box: Box) {
    this.#x = [...TextbookFilter.measure(box), 0, 0, 0, 0];
    const [place, speed] = [(2 * box[3]) / 20, (10 * box[3]) / 160];
    const spread = [place, place, 1e-2, place, speed, speed, 1e-5, speed];
    this.#p = spread.map((value, i) => spread.map((_, j) => (i === j ? value ** 2 : 0)));
  }

  static measure([x, y, width, height]: Box): number[] {
    return [x + width / 2, y + height / 2, width / height, height];
  }

  get box(): number[] {
    const [x, y, aspect, height] = this.#x as [number, number, number, number];
    return [x - (aspect * height) / 2, y - height / 2, aspect * height, height];
  }

  predict(frames: number, holdsSize: boolean): void {
    if (holdsSize) this.#x[7] = 0;
    const [place, speed] = [this.#x[3]! / 20, this.#x[3]! / 160];
    const noise = [place, place, 1e-2, place, speed, speed, 1e-5, speed];
    const motion = noise.map((_, i) => noise.map((__, j) => (i === j ? 1 : j === i + 4 ? frames : 0)));
    const times = (a: number[][], b: number[][]) =>
      a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)));
    const turned = (a: number[][]) => a[0]!.map((_, j) => a.map((row) => row[j]!));
    this.#x = times(motion, turned([this.#x])).map(([value]) => value!);
    this.#p = times(times(motion, this.#p), turned(motion)).map((row, i) =>
      row.map((value, j) => value + (i === j ? noise[i]! ** 2 * frames : 0)),
    );
  }

  correct(box: Box): void {
    const place = this.#x[3]! / 20;
    const spread = [place, place, 1e-1, place];
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

  it('weighs the first measurements by the Kalman gain', () => {
    // Height 80: position spread 4, so the start has variance (2 * 4)^2 = 64 in place and (10 * 0.5)^2 = 25 in speed.
    // One nominal frame later: 64 + 25 + 4^2 = 105, against 4^2 = 16 of the measurement: gain 105 / 121.
    const filter = new MotionFilter([100, 100, 40, 80]);
    filter.predict(1e6 / 30, false);
    filter.correct([110, 100, 40, 80]);
    expect(boxOf(filter)[0]).toBeCloseTo(100 + (10 * 105) / 121, 9);
  });

  it('becomes less certain the longer there is no measurement', () => {
    // Two nominal frames: 64 + 2^2 * 25 + 2 * 4^2 = 196, against 16 of the measurement: gain 196 / 212.
    const filter = new MotionFilter([100, 100, 40, 80]);
    filter.predict(2e6 / 30, false);
    filter.correct([110, 100, 40, 80]);
    expect(boxOf(filter)[0]).toBeCloseTo(100 + (10 * 196) / 212, 9);
  });

  it("is the textbook's filter with matrices of 8 x 8", () => {
    const box = (k: number): Box => [100 + 7 * k, 80 - 3 * k + (k % 3), 40 + (k % 4), 80 + 2 * k + (k % 5)];
    const filter = new MotionFilter(box(0));
    const textbook = new TextbookFilter(box(0));
    for (let k = 1; k <= 12; k++) {
      const frames = 1 + (k % 3) / 2;
      const isLost = k > 9;
      filter.predict((frames * 1e6) / 30, isLost);
      textbook.predict(frames, isLost);
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
    const heightPx = boxOf(hidden)[3]!;
    hidden.predict(2_000_000, true);
    expect(boxOf(hidden)[3]).toBeCloseTo(heightPx, 9);
    const seen = shrinking();
    seen.predict(2_000_000, false);
    expect(boxOf(seen)[3]).toBeGreaterThan(0);
  });
});
