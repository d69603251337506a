import { expect, test } from 'vitest';
import type { SceneShift } from '../../../../src/base/core/frame.ts';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { CameraMotion, type PicturePart } from '../../../../src/frame/preprocess/camera-motion.ts';
import { SCENE_HEIGHT, SCENE_WIDTH, sceneAt } from '../../../support/moving-scene.ts';

/** A cell has four pixels here. */
const CELL = 4;
const WHOLE: PicturePart = {
  rowPx: SCENE_WIDTH,
  area: { x: 0, y: 0, width: SCENE_WIDTH, height: SCENE_HEIGHT },
  scaleX: 1,
  scaleY: 1,
};

function follow(pictures: readonly Uint8Array[], part = WHOLE): SceneShift[] {
  const motion = new CameraMotion(part);
  return pictures.map((picture) => motion.update(picture));
}

const STILL = { x: 0, y: 0 };

test('a camera that turns to the left and up moves the scene to the right and down', () => {
  const [, moved] = follow([sceneAt(80, 80), sceneAt(60, 70)]) as [SceneShift, SceneShift];
  expect(Math.abs(moved.x - 20)).toBeLessThan(CELL / 2);
  expect(Math.abs(moved.y - 10)).toBeLessThan(CELL / 2);
});

test.each([
  [0, 0],
  [3, 0],
  [0, -5],
  [31, -17],
  [-52, 29],
  [50, 50],
])('a shift by %d and %d pixels is found to half a cell', (right, down) => {
  const shifts = follow([sceneAt(80, 80), sceneAt(80 - right, 80 - down)]);
  expect(Math.abs(shifts[1]!.x - right)).toBeLessThan(CELL / 2);
  expect(Math.abs(shifts[1]!.y - down)).toBeLessThan(CELL / 2);
});

test('shifts add up, and a camera that comes back is where it was', () => {
  const places = [80, 70, 50, 52, 90, 100, 80];
  const last = follow(places.map((x) => sceneAt(x, 80))).at(-1)!;
  expect(Math.abs(last.x)).toBeLessThan(CELL);
});

test('shifts are in pixels of the source, of the part that shows it', () => {
  const half = { ...WHOLE, area: { x: 0, y: 0, width: SCENE_WIDTH, height: 100 }, scaleX: 0.5, scaleY: 0.25 };
  const [, moved] = follow([sceneAt(80, 80), sceneAt(60, 70)], half) as [SceneShift, SceneShift];
  expect(Math.abs(moved.x - 40)).toBeLessThan(CELL);
  expect(Math.abs(moved.y - 40)).toBeLessThan(2 * CELL);
});

test('begins with what was known before', () => {
  const motion = new CameraMotion(WHOLE, { x: 100, y: -20 });
  expect(motion.update(sceneAt(80, 80))).toEqual({ x: 100, y: -20 });
});

test.each([
  ['noise', { noise: 24 }],
  ['a change of light', { brighter: 20 }],
  [
    'things that move',
    {
      things: [
        { x: 40, y: 60, side: 64 },
        { x: 200, y: 20, side: 48 },
      ],
    },
  ],
])('%s moves no camera', (_name, change) => {
  const still = Array.from({ length: 6 }, (_, i) => {
    const things = 'things' in change ? change.things.map((thing) => ({ ...thing, x: thing.x + 12 * i })) : [];
    return sceneAt(80, 80, { ...change, things, seed: i + 1, brighter: 'brighter' in change ? 20 * (i % 2) : 0 });
  });
  expect(follow(still)).toEqual(still.map(() => STILL));
});

test('things that move hide no motion of the camera', () => {
  const thing = { x: 40, y: 60, side: 64 };
  const shifts = follow([
    sceneAt(80, 80, { things: [thing] }),
    sceneAt(60, 80, { things: [{ ...thing, x: 70, y: 40 }], noise: 12 }),
  ]);
  expect(Math.abs(shifts[1]!.x - 20)).toBeLessThan(CELL / 2);
  expect(Math.abs(shifts[1]!.y)).toBeLessThan(CELL / 2);
});

/** Puts black bars beside a picture, in pixels: on the left and right, above and below. */
function barred(pixels: Uint8Array, beside: number, above: number): Uint8Array {
  for (let row = 0; row < SCENE_HEIGHT; row++)
    for (let column = 0; column < SCENE_WIDTH; column++) {
      const isBar =
        Math.min(column, SCENE_WIDTH - 1 - column) < beside || Math.min(row, SCENE_HEIGHT - 1 - row) < above;
      const at = (row * SCENE_WIDTH + column) * 3;
      if (isBar) pixels.fill(16, at, at + 3);
    }
  return pixels;
}

test.each([
  ['above and below', 0, 30],
  ['on both sides', 50, 0],
])('bars %s stay, and hide no motion of the picture between them', (_name, beside, above) => {
  const shifts = follow([80, 68, 90].map((x) => barred(sceneAt(x, 80), beside, above)));
  expect(Math.abs(shifts[1]!.x - 12)).toBeLessThan(CELL);
  expect(Math.abs(shifts[2]!.x + 10)).toBeLessThan(CELL);
  expect(Math.abs(shifts[2]!.y)).toBeLessThan(CELL);
  expect(follow([1, 2, 3].map((seed) => barred(sceneAt(80, 80, { noise: 8, seed }), beside, above))).at(-1)).toEqual(
    STILL,
  );
});

test('another scene, a black picture and a plain wall are no motion', () => {
  const plain = new Uint8Array(SCENE_WIDTH * SCENE_HEIGHT * 3).fill(90);
  const black = new Uint8Array(SCENE_WIDTH * SCENE_HEIGHT * 3);
  expect(follow([sceneAt(80, 80), black, plain, sceneAt(80, 80)])).toEqual([STILL, STILL, STILL, STILL]);
});

test.each([
  [1, 1],
  [7, 300],
  [300, 3],
  [20, 20],
])('a picture of %d x %d pixels is read without an error', (width, height) => {
  const motion = new CameraMotion({ rowPx: width, area: { x: 0, y: 0, width, height }, scaleX: 1, scaleY: 1 });
  const random = seededRandom(3);
  for (let i = 0; i < 3; i++) {
    const shift = motion.update(Uint8Array.from({ length: width * height * 3 }, () => random() * 256));
    expect(Number.isFinite(shift.x) && Number.isFinite(shift.y)).toBe(true);
  }
});
