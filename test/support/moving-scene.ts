import { seededRandom } from '../../src/base/core/seeded-random.ts';

export const SCENE_WIDTH = 320;
export const SCENE_HEIGHT = 180;
const WORLD = 480;

/** A square that moves by itself, in pixels of the picture. */
export interface Thing {
  readonly x: number;
  readonly y: number;
  readonly side: number;
}

/** Patches with edges in all directions, on an area larger than a picture. */
const world = sceneOf(7);

function sceneOf(seed: number): Uint8Array {
  const random = seededRandom(seed);
  const levels = new Uint8Array(WORLD * WORLD).fill(110);
  for (let i = 0; i < 400; i++) {
    const [left, top] = [Math.floor(random() * WORLD), Math.floor(random() * WORLD)];
    const [width, height, level] = [8 + random() * 40, 8 + random() * 40, Math.floor(30 + random() * 190)];
    for (let y = top; y < Math.min(WORLD, top + height); y++)
      for (let x = left; x < Math.min(WORLD, left + width); x++) levels[y * WORLD + x] = level;
  }
  return levels;
}

/**
 * Returns what a camera sees whose left upper corner is at a place of the scene, from 0 to 160 and to 300: u8 RGB,
 * `[SCENE_HEIGHT, SCENE_WIDTH, 3]`.
 */
export function sceneAt(
  x: number,
  y: number,
  { brighter = 0, things = [] as readonly Thing[], noise = 0, seed = 1 } = {},
): Uint8Array {
  const random = seededRandom(seed);
  const pixels = new Uint8Array(SCENE_WIDTH * SCENE_HEIGHT * 3);
  for (let row = 0; row < SCENE_HEIGHT; row++)
    for (let column = 0; column < SCENE_WIDTH; column++) {
      let level = world[(y + row) * WORLD + x + column]! + brighter;
      for (const { x: left, y: top, side } of things)
        if (column >= left && column < left + side && row >= top && row < top + side)
          level = ((((column - left) >> 3) + ((row - top) >> 3)) & 1) === 0 ? 20 : 240;
      const at = (row * SCENE_WIDTH + column) * 3;
      pixels.fill(level + (random() - 0.5) * noise, at, at + 3);
    }
  return pixels;
}
