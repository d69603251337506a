import { describe, expect, it } from 'vitest';
import { ChangeGate } from '../../../src/preprocess/change-gate.ts';

const SIZE = { width: 480, height: 256 };
const OPTIONS = { lookEveryMs: 5_000, minLevels: 3 };
const FRAME_US = 40_000;

/** Deterministic noise (an LCG after Numerical Recipes), uniform in -1..1. */
function noise(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

interface Scene {
  readonly noiseLevels?: number;
  readonly light?: number;
  readonly object?: { readonly x: number; readonly y: number; readonly side: number; readonly levels: number };
}

/** A textured wall; the seed makes the noise of this picture. */
function picture(seed: number, { noiseLevels = 0, light = 0, object }: Scene = {}): Uint8Array {
  const { width, height } = SIZE;
  const random = noise(seed);
  const pixels = new Uint8ClampedArray(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const isObject =
        object !== undefined && Math.abs(x - object.x) <= object.side / 2 && Math.abs(y - object.y) <= object.side / 2;
      const wall = 110 + 30 * Math.sin(x / 17) + 20 * Math.cos(y / 11) + light + (isObject ? object.levels : 0);
      for (let channel = 0; channel < 3; channel++)
        pixels[(y * width + x) * 3 + channel] = wall + noiseLevels * random();
    }
  return new Uint8Array(pixels.buffer);
}

function gateAfter(first: Uint8Array, options = OPTIONS): ChangeGate {
  const gate = new ChangeGate(options, SIZE);
  expect(gate.isChanged(first, 0), 'the first picture is always inferred').toBe(true);
  return gate;
}

describe('ChangeGate', () => {
  it('calls an equal picture unchanged', () => {
    const gate = gateAfter(picture(1));
    expect(gate.isChanged(picture(1), FRAME_US)).toBe(false);
  });

  it.each([4, 12, 30])('sees through sensor noise of up to %d levels', (noiseLevels) => {
    const gate = gateAfter(picture(0, { noiseLevels }));
    const changed = Array.from({ length: 60 }, (_, k) =>
      gate.isChanged(picture(k + 1, { noiseLevels }), (k + 1) * FRAME_US),
    ).filter(Boolean);
    expect(changed).toHaveLength(0);
  });

  it('sees through a slow change of light', () => {
    const gate = gateAfter(picture(0, { noiseLevels: 4 }));
    for (let k = 1; k <= 60; k++)
      expect(gate.isChanged(picture(k, { noiseLevels: 4, light: k / 6 }), k * FRAME_US)).toBe(false);
  });

  it('wakes when the light is switched off', () => {
    const gate = gateAfter(picture(0));
    expect(gate.isChanged(picture(0, { light: -40 }), FRAME_US)).toBe(true);
  });

  it.each([
    { side: 16, levels: 30 },
    { side: 24, levels: -25 },
    { side: 60, levels: 12 },
  ])('wakes with the first picture that has an object of $side pixels and $levels levels in it', ({ side, levels }) => {
    for (const [x, y] of [
      [30, 30],
      [243, 131],
      [460, 240],
    ] as const) {
      const gate = gateAfter(picture(0, { noiseLevels: 6 }));
      for (let k = 1; k < 20; k++) expect(gate.isChanged(picture(k, { noiseLevels: 6 }), k * FRAME_US)).toBe(false);
      const scene = { noiseLevels: 6, object: { x, y, side, levels } };
      expect(gate.isChanged(picture(99, scene), 20 * FRAME_US), `at ${x}, ${y}`).toBe(true);
      expect(gate.isChanged(picture(100, scene), 21 * FRAME_US), 'it is the new reference').toBe(false);
    }
  });

  it('adds up a movement that is too slow to see from picture to picture', () => {
    const gate = gateAfter(picture(0, { object: { x: 100, y: 100, side: 40, levels: 60 } }));
    const firstChange = Array.from({ length: 60 }, (_, k) =>
      gate.isChanged(picture(0, { object: { x: 100 + (k + 1) * 0.5, y: 100, side: 40, levels: 60 } }), (k + 1) * 1000),
    ).indexOf(true);
    expect(firstChange, 'a tenth of its width at the latest').toBeLessThanOrEqual(8);
    expect(firstChange).toBeGreaterThanOrEqual(0);
  });

  it('looks again after lookEveryMs although nothing has changed', () => {
    const still = picture(1);
    const gate = gateAfter(still);
    const looks = Array.from({ length: 300 }, (_, k) => gate.isChanged(still, (k + 1) * FRAME_US));
    expect(
      looks.map((look, k) => (look ? (k + 1) * 40 : 0)).filter((ms) => ms > 0),
      'ms',
    ).toEqual([5_000, 10_000]);
  });

  it('looks when media time runs backwards, and when it is told to forget', () => {
    const gate = gateAfter(picture(1));
    expect(gate.isChanged(picture(1), 2 * FRAME_US)).toBe(false);
    expect(gate.isChanged(picture(1), -1)).toBe(true);
    gate.forget();
    expect(gate.isChanged(picture(1), 0)).toBe(true);
  });

  it.each([
    { width: 1, height: 1 },
    { width: 3, height: 500 },
    { width: 1920, height: 1080 },
  ])('accepts pictures of $width x $height', (size) => {
    const gate = new ChangeGate(OPTIONS, size);
    const grey = new Uint8Array(size.width * size.height * 3).fill(90);
    expect([gate.isChanged(grey, 0), gate.isChanged(grey, 1)]).toEqual([true, false]);
    expect(gate.isChanged(new Uint8Array(grey.length).fill(200), 2)).toBe(true);
  });
});
