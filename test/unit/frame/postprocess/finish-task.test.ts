import { describe, expect, it } from 'vitest';
import type { ModelSpec } from '../../../../src/base/core/model.ts';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { bitmapOfRuns, runsOfMask } from '../../../../src/base/geometry/rle.ts';
import { unpackRows } from '../../../../src/base/geometry/task-rows.ts';
import { finishRows } from '../../../../src/frame/postprocess/finish-rows.ts';

const CLASSES = ['thing', 'other'];
/** A picture of 160x80 in an input of 80x80: half the size, with a border of 20 above and below. */
const PICTURE = { width: 160, height: 80 };
const LETTERBOX = { scaleX: 0.5, scaleY: 0.5, offsetX: 0, offsetY: 20 };

function spec(task: ModelSpec['task'], more: Partial<ModelSpec> = {}): ModelSpec {
  return {
    name: 'tiny',
    family: 'yolov8',
    classes: CLASSES,
    nmsIou: 0.7,
    scoreThreshold: 0.3,
    maxDetections: 10,
    input: { width: 80, height: 80, resize: { mode: 'letterbox', anchor: 'center', padValue: 114 } },
    classesPerBox: 'best',
    ...(task === undefined ? {} : { task }),
    ...more,
  };
}

describe('key points', () => {
  it('go to source pixels with their box, in the order of the scores, and are not clipped', () => {
    const pose = spec('keypoints', { keypoints: 2 });
    const weaker = [10, 30, 20, 10, 0.6, 0, 12, 32, 0.9, 20, 38, 0.1];
    const better = [40, 30, 20, 10, 0.8, 0, 42, 32, 0.5, 90, 10, 0.2];
    const covered = [41, 30, 20, 10, 0.7, 0, 0, 0, 0, 0, 0, 0];
    const rows = finishRows(Float32Array.from([...weaker, ...better, ...covered]), pose, LETTERBOX, PICTURE);
    const found = unpackRows(rows, CLASSES, pose).map(({ box, keypoints }) => [...box, ...keypoints!.map(twoDigits)]);
    expect(found).toEqual([
      [80, 20, 40, 20, 84, 24, 0.5, 180, -20, 0.2],
      [20, 20, 40, 20, 24, 24, 0.9, 40, 36, 0.1],
    ]);
  });
});

describe('oriented boxes', () => {
  const obb = spec('oriented-boxes');
  const finished = (rows: number[], placement = LETTERBOX) =>
    unpackRows(finishRows(Float32Array.from(rows), obb, placement, PICTURE), CLASSES, obb);

  it('keep their size and angle in source pixels, and are not clipped at the edge', () => {
    const [detection] = finished([-10, 30, 30, 10, 0.9, 1, Math.PI / 6]);
    expect(detection!.box).toEqual([-20, 20, 60, 20]);
    expect(detection!.angle).toBeCloseTo(30, 3);
  });

  it('have an angle from -90 to below 90: half a turn is the same box', () => {
    expect(finished([20, 30, 30, 10, 0.9, 1, (3 * Math.PI) / 4])[0]!.angle).toBeCloseTo(-45, 3);
  });

  it('are suppressed by what they share, not by their upright boxes', () => {
    const crossed = [20, 30, 40, 4, 0.8, 0, -Math.PI / 4];
    expect(finished([20, 30, 40, 4, 0.9, 0, Math.PI / 4, ...crossed])).toHaveLength(2);
    expect(finished([20, 30, 40, 4, 0.9, 0, Math.PI / 4, 20, 31, 40, 4, 0.8, 0, Math.PI / 4])).toHaveLength(2);
    expect(finished([20, 30, 40, 8, 0.9, 0, Math.PI / 4, 20, 31, 40, 8, 0.8, 0, Math.PI / 4])).toHaveLength(1);
  });

  it('are left out if their centre is in the border', () => {
    expect(finished([20, 2, 30, 10, 0.9, 1, 0])).toEqual([]);
  });

  it('get the sides and the angle that they have where pixels are not square', () => {
    const [detection] = finished([20, 30, 20, 10, 0.9, 0, Math.PI / 2], { ...LETTERBOX, scaleY: 0.25 });
    // The long side stands upright, where the picture was shrunk to a quarter.
    expect(detection!.box.slice(2)).toEqual([expect.closeTo(80, 3), expect.closeTo(20, 3)]);
  });
});

describe('classes of the whole picture', () => {
  it('have what the model was shown as their box, the best first', () => {
    const rows = Float32Array.from([0, 0, 80, 80, 0.2, 1, 0, 0, 80, 80, 0.7, 0]);
    const view = { x: 40, y: 0, width: 100, height: 80 };
    const found = finishRows(rows, spec('classes', { nmsIou: null }), LETTERBOX, view);
    expect(unpackRows(found, CLASSES, {}).map(({ label, box }) => [label, ...box])).toEqual([
      ['thing', 40, 0, 100, 80],
      ['other', 40, 0, 100, 80],
    ]);
  });
});

describe('masks', () => {
  const seg = spec('masks');
  const random = seededRandom(3);
  const [count, side] = [3, 20];
  const planes = Float32Array.from({ length: count * side * side }, () => random() * 2 - 1);
  const prototypes = { data: planes, dims: [1, count, side, side] };
  const row = [10.3, 25.2, 40.4, 22.1, 0.9, 0, 0.7, -0.4, 0.2];

  function masksOf(rows: number[], isWanted = true) {
    const input = { prototypes, image: 0, picture: PICTURE, isWanted };
    return unpackRows(finishRows(Float32Array.from(rows), seg, LETTERBOX, PICTURE, input), CLASSES, seg);
  }

  it('are coefficients times prototypes, resized to the picture, above 0, inside the box', () => {
    const [detection] = masksOf(row);
    const [left, top, width, height] = detection!.box;
    // Rows 5 to 14 of the prototypes show the picture, the others its border.
    const logit = (x: number, y: number): number =>
      [0.7, -0.4, 0.2].reduce((sum, c, k) => sum + c * planes[(k * side + y + 5) * side + x]!, 0);
    const clamp = (at: number, most: number): number => Math.min(most, Math.max(0, at));
    const expected = Array.from({ length: PICTURE.width * PICTURE.height }, (_, at) => {
      const [x, y] = [at % PICTURE.width, Math.floor(at / PICTURE.width)];
      if (x + 0.5 < left || y + 0.5 < top || x + 0.5 >= left + width || y + 0.5 >= top + height) return 0;
      const [u, v] = [clamp((x + 0.5) / 8 - 0.5, 19), clamp((y + 0.5) / 8 - 0.5, 9)];
      const [i, j] = [Math.floor(u), Math.floor(v)];
      const across = (row: number): number => logit(i, row) * (1 - u + i) + logit(Math.min(19, i + 1), row) * (u - i);
      return across(j) * (1 - v + j) + across(Math.min(9, j + 1)) * (v - j) > 0 ? 1 : 0;
    });
    const mask = bitmapOfRuns(runsOfMask(detection!.mask!));
    const different = expected.filter((inside, at) => inside !== mask[at]).length;
    expect(expected.filter((inside) => inside === 1).length).toBeGreaterThan(500);
    // Sums in f32 and f64 differ where a logit is nearly 0.
    expect(different).toBeLessThanOrEqual(1);
  });

  it('are not made if nobody reads them: the boxes are the same', () => {
    const [made] = masksOf(row);
    const [bare] = masksOf(row, false);
    expect(bare).toEqual({ ...made, mask: undefined });
    expect(bare).not.toHaveProperty('mask');
  });

  it('of several objects each have their own coefficients', () => {
    const inverse = [...row.slice(0, 4), 0.8, 1, -0.7, 0.4, -0.2];
    const [first, second] = masksOf([...row, ...inverse]).map(({ mask }) => bitmapOfRuns(runsOfMask(mask!)));
    const both = first!.filter((inside, at) => inside === 1 && second![at] === 1);
    expect(both).toHaveLength(0);
    expect(second!.some((inside) => inside === 1)).toBe(true);
  });

  it('of RTMDet-Ins are the plane of the row, a probability, where it is above a half', () => {
    const chosen = spec('masks', { family: 'rtmdet-ins', nmsIou: null });
    const halves = Float32Array.from({ length: 2 * side * side }, (_, at) => {
      const isLeft = at % side < side / 2;
      return at < side * side ? (isLeft ? 0.6 : 0.4) : isLeft ? 0.1 : 0.9;
    });
    const input = {
      prototypes: { data: halves, dims: [1, 2, side, side] },
      image: 0,
      picture: PICTURE,
      isWanted: true,
    };
    const whole = [0, 20, 80, 40];
    const rows = Float32Array.from([...whole, 0.9, 0, 1, 0, ...whole, 0.8, 1, 0, 1]);
    const found = unpackRows(finishRows(rows, chosen, LETTERBOX, PICTURE, input), CLASSES, chosen);
    const inside = found.map(({ mask }) => bitmapOfRuns(runsOfMask(mask!)));
    const share = (from: number, part: Uint8Array): number => {
      const columns = part.filter((_, at) => at % PICTURE.width >= from && at % PICTURE.width < from + 60);
      return columns.filter((value) => value === 1).length / columns.length;
    };
    expect(inside.map((part) => [share(0, part), share(100, part)])).toEqual([
      [1, 0],
      [0, 1],
    ]);
  });

  it('are empty where no logit is above 0', () => {
    const nothing = { prototypes: { data: new Float32Array(planes.length), dims: prototypes.dims }, image: 0 };
    const input = { ...nothing, picture: PICTURE, isWanted: true };
    const rows = finishRows(Float32Array.from(row), seg, LETTERBOX, PICTURE, input);
    expect(Array.from(rows.slice(6))).toEqual([160, 80, 1, 160 * 80]);
  });
});

function twoDigits(value: number): number {
  return Number(value.toFixed(2));
}
