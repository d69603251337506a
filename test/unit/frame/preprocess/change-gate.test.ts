import { describe, expect, it } from 'vitest';
import { ChangeGate } from '../../../../src/frame/preprocess/change-gate.ts';

/** A block of the gate is 4 pixels wide. */
const SIZE = { width: 240, height: 128 };
const WHOLE = { rowPx: SIZE.width, areas: [{ x: 0, y: 0, ...SIZE }] };
const OPTIONS = { lookEveryMs: 5_000, minLevels: 3 };
const FRAME_US = 40_000;
/** Frames of a second. */
const SECOND = 25;

/** Uniform numbers from 0 to 1 (an LCG after Numerical Recipes). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Normally distributed numbers after Box and Muller, drawn once for all pictures. */
const NORMAL = (() => {
  const random = uniform(1);
  return Float32Array.from(
    { length: 1 << 17 },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
})();

interface Thing {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** What it adds to red, green and blue. */
  readonly levels: readonly [number, number, number];
}

interface Scene {
  /** Which wall; others have nothing in common with it. */
  readonly wall?: number;
  /** Standard deviation of the noise of a pixel, in levels. */
  readonly sigma?: number;
  /** Noise of red and, with the other sign, of blue: it leaves the brightness nearly as it is. */
  readonly colourSigma?: number;
  /** What each level is multiplied with, and what is added. */
  readonly gain?: number;
  readonly light?: number;
  /** Where the camera looks, in pixels. */
  readonly shift?: number;
  readonly thing?: Thing;
}

const grey = (levels: number): Thing['levels'] => [levels, levels, levels];
/** A thing of 1 % of the picture, higher than wide. */
const person = (x: number, levels: number): Thing => ({ x, y: 45, width: 11, height: 28, levels: grey(levels) });

/** A textured wall with noise; every picture has noise of its own. */
function picture(frame: number, scene: Scene = {}): Uint8Array {
  const { wall = 0, sigma = 0, colourSigma = 0, gain = 1, light = 0, shift = 0, thing } = scene;
  const { width, height } = SIZE;
  const pixels = new Uint8ClampedArray(width * height * 3);
  const [a, b] = [9 + 4 * wall, 6 + 2 * wall];
  const random = uniform(frame * 7919 + wall);
  let at = 0;
  let normal = 0;
  for (let y = 0; y < height; y++) {
    normal = Math.floor(random() * (NORMAL.length - width));
    for (let x = 0; x < width; x++) {
      const isThing =
        thing !== undefined && x >= thing.x && x < thing.x + thing.width && y >= thing.y && y < thing.y + thing.height;
      const level = 110 + 30 * Math.sin((x + shift) / a + wall) + 20 * Math.cos((y + wall * 40) / b);
      const noise = sigma * NORMAL[normal++]!;
      const tint = colourSigma * NORMAL[NORMAL.length - normal]!;
      for (let channel = 0; channel < 3; channel++)
        pixels[at++] = (level + (isThing ? thing.levels[channel]! : 0)) * gain + light + noise + (1 - channel) * tint;
    }
  }
  return new Uint8Array(pixels.buffer);
}

/** Shows a gate one picture after the other. */
class Camera {
  readonly gate: ChangeGate;
  #frame = 0;

  constructor(options = OPTIONS) {
    this.gate = new ChangeGate(options, WHOLE);
  }

  /** @returns true if a picture counts as changed. */
  shows(pixels: Uint8Array): boolean {
    return this.gate.isChanged(pixels, this.#frame++ * FRAME_US);
  }

  /** Shows pictures. @returns the positions of those that counted as changed, from 0. */
  show(count: number, sceneOf: (position: number) => Scene): number[] {
    const changed: number[] = [];
    for (let position = 0; position < count; position++) {
      const frame = this.#frame++;
      if (this.gate.isChanged(picture(frame, sceneOf(position)), frame * FRAME_US)) changed.push(position);
    }
    return changed;
  }

  /** Shows a still scene for long. Its noise comes again after 16 pictures, which saves most of the time. */
  rest(count: number, scene: Scene): void {
    const pictures = Array.from({ length: 16 }, (_, k) => picture(k, scene));
    for (let k = 0; k < count; k++) this.gate.isChanged(pictures[k % 16]!, this.#frame++ * FRAME_US);
  }

  /** A camera that has seen a still scene for two seconds. */
  static after(scene: Scene): Camera {
    const camera = new Camera();
    camera.show(2 * SECOND, () => scene);
    return camera;
  }
}

/** Side of what an encoder rewrites at once, in pixels: two blocks of the gate. */
const TILE = 8;

/**
 * A camera with a low bit rate that looks at a wall: its encoder rewrites a few tiles at a time, each a little too light or too dark and of
 * another tint, and leaves all others exactly as they were.
 */
class LowBitRate {
  readonly camera = new Camera();
  readonly #wall = picture(0);
  readonly #shown = new Uint8ClampedArray(this.#wall);
  readonly #random = uniform(11);
  readonly #errorLevels: number;
  readonly #share: number;

  /** @param errorLevels - standard deviation of a rewritten tile. @param share - of the tiles that are rewritten in a frame. */
  constructor(errorLevels: number, share: number) {
    this.#errorLevels = errorLevels;
    this.#share = share;
    this.#rewrite(1);
  }

  #rewrite(share: number): void {
    const error = (): number => this.#errorLevels * NORMAL[Math.floor(this.#random() * NORMAL.length)]!;
    for (let top = 0; top < SIZE.height; top += TILE)
      for (let left = 0; left < SIZE.width; left += TILE) {
        if (this.#random() >= share) continue;
        const [level, tint] = [error(), error()];
        const levels = [level + tint, level, level - tint] as const;
        add(this.#shown, this.#wall, { x: left, y: top, width: TILE, height: TILE, levels });
      }
  }

  show(count: number, thingOf: (position: number) => Thing | undefined = () => undefined): number[] {
    const changed: number[] = [];
    for (let position = 0; position < count; position++) {
      this.#rewrite(this.#share);
      const pixels = this.#shown.slice();
      const thing = thingOf(position);
      if (thing !== undefined) add(pixels, this.#shown, { ...thing, x: Math.round(thing.x) });
      if (this.camera.shows(new Uint8Array(pixels.buffer))) changed.push(position);
    }
    return changed;
  }
}

/** Writes what is behind a thing and its levels. */
function add(to: Uint8ClampedArray, behind: ArrayLike<number>, { x, y, width, height, levels }: Thing): void {
  for (let row = y; row < y + height; row++)
    for (let column = x; column < x + width; column++) {
      const at = 3 * (row * SIZE.width + column);
      for (let channel = 0; channel < 3; channel++) to[at + channel] = behind[at + channel]! + levels[channel]!;
    }
}

describe('ChangeGate', () => {
  it.each([0, 1, 3, 8])('rests while nothing happens, at noise of %d levels', (sigma) => {
    const camera = new Camera();
    const first = camera.show(SECOND, () => ({ sigma }));
    expect(first, 'the first pictures are always inferred: their noise is unknown').toEqual(
      expect.arrayContaining([0, 1, 2, 3]),
    );
    expect(first.length).toBeLessThan(SECOND / 2);
    expect(camera.show(2 * SECOND, () => ({ sigma })).length).toBe(0);
  });

  it('rests in noise of the colours, and sees somebody in it', () => {
    const camera = Camera.after({ colourSigma: 6 });
    camera.rest(SECOND, { colourSigma: 6 });
    expect(camera.show(2 * SECOND, () => ({ colourSigma: 6 }))).toHaveLength(0);
    expect(camera.show(1, () => ({ colourSigma: 6, thing: person(100, 20) }))).toEqual([0]);
  });

  it.each([
    { errorLevels: 0.7, share: 0.01 },
    { errorLevels: 0.7, share: 0.1 },
    { errorLevels: 1.3, share: 0.1 },
    { errorLevels: 1.3, share: 1 },
  ])(
    'rests while an encoder rewrites $share of the picture at a time by $errorLevels levels',
    ({ errorLevels, share }) => {
      const still = new LowBitRate(errorLevels, share);
      still.show(8 * SECOND);
      expect(still.show(16 * SECOND).length).toBeLessThan(0.15 * 16 * SECOND);
    },
  );

  it.each([0.01, 0.1])('sees somebody come, stop and leave while an encoder rewrites %d of the picture', (share) => {
    const still = new LowBitRate(0.8, share);
    still.show(20 * SECOND);
    expect(still.show(1, () => person(100, 20))).toEqual([0]);
    const stands = still.show(20 * SECOND, () => person(100, 20));
    expect(stands.length, 'looks while somebody stands there').toBeLessThan(0.25 * 20 * SECOND);
    expect(still.show(1)).toEqual([0]);
  });

  it.each([0.01, 0.1])('sees a slow walker in it, however long it has watched, at %d of the picture', (share) => {
    const still = new LowBitRate(1, share);
    still.show(40 * SECOND);
    const looks = still.show(8 * SECOND, (k) => person(60 + (4 * k) / SECOND, 25));
    const gaps = [0, ...looks].slice(1).map((look, i) => look - [0, ...looks][i]!);
    expect(Math.max(...gaps), 'frames; in 22 half of the person is elsewhere').toBeLessThanOrEqual(22);
  });

  it.each([0, 1, 3])('is not taught by a faint slow walker to overlook it, at noise %d', (sigma) => {
    const walk = (k: number): Scene => ({ sigma, thing: person(20 + (4 * k) / SECOND, sigma === 3 ? 10 : 6) });
    const camera = Camera.after(walk(0));
    const looks = camera.show(20 * SECOND, walk);
    const gaps = [0, ...looks].slice(1).map((look, i) => look - [0, ...looks][i]!);
    expect(Math.max(...gaps), 'frames').toBeLessThanOrEqual(30);
  });

  it('looks once at a speck, and until the picture rests at what may be an object', () => {
    const camera = Camera.after({});
    const speck = { x: 100, y: 52, width: 4, height: 4, levels: grey(9) };
    expect(camera.show(SECOND, () => ({ thing: speck }))).toEqual([0]);
    expect(camera.show(SECOND, () => ({ thing: person(100, 9) }))).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it.each([0, 3, 8])('sees a cut to another picture with the very frame, at noise of %d levels', (sigma) => {
    const camera = Camera.after({ sigma });
    for (let wall = 1; wall <= 6; wall++) {
      const looks = camera.show(SECOND, () => ({ sigma, wall }));
      expect(looks[0], `wall ${wall}`).toBe(0);
      expect(looks, 'looks until the picture rests').toEqual(expect.arrayContaining([1, 2, 3, 4, 5]));
      expect(looks.length, 'and no longer').toBeLessThanOrEqual(10);
    }
  });

  it('sees a cut between pictures that hardly differ, if they do so in most blocks', () => {
    const camera = Camera.after({ sigma: 1 });
    expect(camera.show(1, () => ({ sigma: 1, light: 2 }))).toEqual([0]);
  });

  it.each([
    ['a pan', (k: number): Scene => ({ shift: 2 * k })],
    ['a slow pan', (k: number): Scene => ({ shift: k / 4 })],
    ['shake', (k: number): Scene => ({ shift: (k % 2) * 2 })],
  ])('infers every frame, or nearly, in %s of ten seconds, since noise is bounded', (_, sceneOf) => {
    const camera = Camera.after({});
    const looks = camera.show(10 * SECOND, sceneOf);
    const gaps = looks.slice(1).map((look, i) => look - looks[i]!);
    expect(Math.max(...gaps), 'frames').toBeLessThanOrEqual(5);
  });

  it.each([
    ['shake', (k: number): Scene => ({ sigma: 3, shift: (k % 2) * 2 })],
    ['a pan', (k: number): Scene => ({ sigma: 3, shift: 2 * k })],
    ['light that flickers', (k: number): Scene => ({ sigma: 3, light: 4 * Math.sin(k) })],
  ])('%s of ten seconds does not make it blind for somebody who comes after', (_, sceneOf) => {
    const camera = Camera.after({ sigma: 3 });
    camera.show(10 * SECOND, sceneOf);
    camera.show(8, () => ({ sigma: 3 }));
    expect(camera.show(2, () => ({ sigma: 3, thing: person(100, 25) }))[0]).toBe(0);
  });

  it('sees somebody come while the light flickers', () => {
    const flicker = (k: number): number => 2 * Math.sin(k);
    const camera = new Camera();
    camera.show(8 * SECOND, (k) => ({ light: flicker(k) }));
    expect(camera.show(2, (k) => ({ light: flicker(k), thing: person(100, 25) }))[0]).toBe(0);
  });

  it.each([
    ['fog', (k: number): Scene => ({ sigma: 3, gain: 1 - k / 600, light: k / 4 })],
    ['dusk', (k: number): Scene => ({ sigma: 3, gain: 1 - k / 600 })],
    ['exposure', (k: number): Scene => ({ sigma: 8, light: k / 10 })],
  ])('adds up %s that is far below the noise from frame to frame', (_, sceneOf) => {
    const camera = Camera.after(sceneOf(0));
    const looks = camera.show(10 * SECOND, sceneOf);
    const gaps = [0, ...looks].slice(1).map((look, i) => look - [0, ...looks][i]!);
    expect(looks.length).toBeGreaterThan(5);
    // 5 levels of 255: less than the threshold for noise of this size may ever be.
    expect(Math.max(...gaps), 'frames, at a tenth of a level each').toBeLessThanOrEqual(60);
  });

  it('sees light switched off and on, with the very frame', () => {
    const camera = Camera.after({ sigma: 3 });
    expect(camera.show(1, () => ({ sigma: 3, gain: 0.1 }))).toEqual([0]);
    camera.show(2 * SECOND, () => ({ sigma: 3, gain: 0.1 }));
    expect(camera.show(1, () => ({ sigma: 3 }))).toEqual([0]);
  });

  it.each([
    { sigma: 0, levels: 6 },
    { sigma: 3, levels: 10 },
    { sigma: 8, levels: 20 },
  ])('sees a person of 1 % and $levels levels in the dark at noise of $sigma, anywhere', ({ sigma, levels }) => {
    for (const [x, y] of [
      [0, 0],
      [229, 100],
      [115, 50],
    ] as const) {
      const camera = Camera.after({ sigma, gain: 0.3 });
      camera.show(3 * SECOND, () => ({ sigma, gain: 0.3 }));
      const thing = { ...person(x, levels / 0.3), y };
      expect(
        camera.show(1, () => ({ sigma, gain: 0.3, thing })),
        `at ${x}, ${y}`,
      ).toEqual([0]);
    }
  });

  it('sees a thing of a single block that stands out', () => {
    const camera = Camera.after({ sigma: 3 });
    const thing = { x: 100, y: 50, width: 6, height: 6, levels: grey(-60) };
    expect(camera.show(1, () => ({ sigma: 3, thing }))).toEqual([0]);
  });

  it('sees a thing that differs from the wall in colour alone', () => {
    const camera = Camera.after({ sigma: 2 });
    // Luma by BT.601: 0.299 * 40 - 0.587 * 23.5 + 0.114 * 16 = 0.
    const thing: Thing = { ...person(100, 0), levels: [40, -23.5, 16] };
    expect(camera.show(1, () => ({ sigma: 2, thing }))).toEqual([0]);
  });

  it.each([0, 3, 8])(
    'sees a walker of a block in a second before half of the person is elsewhere, at noise %d',
    (sigma) => {
      const walk = (k: number): Scene => ({ sigma, thing: person(60 + (4 * k) / SECOND, 40) });
      const camera = Camera.after(walk(0));
      const looks = camera.show(6 * SECOND, walk);
      const gaps = [0, ...looks].slice(1).map((look, i) => look - [0, ...looks][i]!);
      // IoU 0.5 is a third of the width, 3.7 pixels: 22 frames.
      expect(Math.max(...gaps), 'frames').toBeLessThanOrEqual(20);
    },
  );

  it('sees a walker after a still minute, and the vehicle that fills the picture and stops', () => {
    const camera = Camera.after({ sigma: 3 });
    camera.rest(60 * SECOND, { sigma: 3 });
    expect(camera.show(2, (k) => ({ sigma: 3, thing: person(5 * k, 25) }))[0]).toBe(0);
    const bus = (x: number): Thing => ({ x, y: 2, width: 235, height: 124, levels: grey(50) });
    const arrives = camera.show(SECOND, (k) => ({ sigma: 3, thing: bus(-235 + 9.5 * k) }));
    expect(arrives).toHaveLength(SECOND);
    const stops = camera.show(SECOND, () => ({ sigma: 3, thing: bus(2) }));
    expect(stops.slice(0, 6), 'its last move, and the rest after it').toEqual([0, 1, 2, 3, 4, 5]);
    expect(stops.length).toBeLessThanOrEqual(8);
    expect(
      camera.show(1, () => ({ sigma: 3 })),
      'it has gone',
    ).toEqual([0]);
  });

  it('infers every frame when the noise rises, until it has learned it', () => {
    const camera = Camera.after({ sigma: 1 });
    const looks = camera.show(4 * SECOND, () => ({ sigma: 8 }));
    expect(looks.slice(0, 30)).toEqual(Array.from({ length: 30 }, (_, k) => k));
    expect(looks.at(-1), 'frames').toBeLessThan(60);
    expect(camera.show(1, () => ({ sigma: 8, thing: person(100, 25) }))).toEqual([0]);
  });

  it('infers every frame where noise is so strong that it could be content', () => {
    const camera = Camera.after({ sigma: 40 });
    expect(camera.show(4 * SECOND, () => ({ sigma: 40 })).length).toBeGreaterThan(3.9 * SECOND);
  });

  it('is as sensitive as before a fifth of a second after noise has gone', () => {
    const camera = Camera.after({ sigma: 12 });
    camera.show(8, () => ({ sigma: 0 }));
    expect(camera.show(1, () => ({ sigma: 0, thing: person(100, 5) }))).toEqual([0]);
  });

  it('looks at a picture that an encoder has rewritten, however little it changed', () => {
    const camera = Camera.after({});
    expect(camera.show(1, () => ({ sigma: 0.5 }))).toEqual([0]);
  });

  it('looks again after lookEveryMs although nothing has changed, and rests between', () => {
    const camera = new Camera();
    const looks = camera.show(12 * SECOND, () => ({}));
    const later = looks.filter((look) => look > SECOND);
    expect(later).toHaveLength(2);
    expect(later[1]! - later[0]!, 'frames').toBe(5 * SECOND);
  });

  it('looks when media time runs backwards, and when asked to forget', () => {
    const gate = new ChangeGate(OPTIONS, WHOLE);
    for (let k = 0; k < 2 * SECOND; k++) gate.isChanged(picture(0), k * FRAME_US);
    expect(gate.isChanged(picture(0), 2 * SECOND * FRAME_US)).toBe(false);
    gate.forget();
    expect(gate.isChanged(picture(0), 3 * SECOND * FRAME_US)).toBe(true);
    expect(gate.isChanged(picture(0), 0)).toBe(true);
  });

  it('reads nothing outside of its areas: padding neither hides a change nor is one', () => {
    const letterbox = { rowPx: SIZE.width, areas: [{ x: 0, y: 32, width: SIZE.width, height: 64 }] };
    const gate = new ChangeGate(OPTIONS, letterbox);
    const padded = (frame: number, padding: number, thing?: Thing): Uint8Array => {
      const pixels = picture(frame, { sigma: 8, ...(thing === undefined ? {} : { thing }) });
      pixels.fill(padding, 0, 32 * SIZE.width * 3);
      pixels.fill(padding, 96 * SIZE.width * 3);
      return pixels;
    };
    for (let k = 0; k < 3 * SECOND; k++) gate.isChanged(padded(k, 114), k * FRAME_US);
    const rest = Array.from({ length: SECOND }, (_, k) =>
      gate.isChanged(padded(100 + k, k * 10), (3 * SECOND + k) * FRAME_US),
    );
    expect(rest.filter(Boolean)).toHaveLength(0);
    expect(gate.isChanged(padded(200, 114, person(100, 30)), 4 * SECOND * FRAME_US)).toBe(true);
  });

  it('sees a change in each of several areas', () => {
    const half = SIZE.width / 2;
    const areas = [0, half].map((x) => ({ x, y: 0, width: half, height: SIZE.height }));
    for (const x of [10, half + 10]) {
      const gate = new ChangeGate(OPTIONS, { rowPx: SIZE.width, areas });
      for (let k = 0; k < 2 * SECOND; k++) gate.isChanged(picture(k, { sigma: 3 }), k * FRAME_US);
      expect(gate.isChanged(picture(99, { sigma: 3 }), 2 * SECOND * FRAME_US)).toBe(false);
      expect(gate.isChanged(picture(98, { sigma: 3, thing: person(x, 30) }), (2 * SECOND + 1) * FRAME_US)).toBe(true);
    }
  });

  it.each([
    { width: 1, height: 1 },
    { width: 3, height: 500 },
    { width: 1920, height: 1080 },
  ])('accepts pictures of $width x $height', (size) => {
    const gate = new ChangeGate(OPTIONS, { rowPx: size.width, areas: [{ x: 0, y: 0, ...size }] });
    const still = new Uint8Array(size.width * size.height * 3).fill(90);
    const looks = Array.from({ length: 20 }, (_, k) => gate.isChanged(still, k * FRAME_US));
    expect(looks.slice(-5)).toEqual([false, false, false, false, false]);
    expect(gate.isChanged(new Uint8Array(still.length).fill(200), 20 * FRAME_US)).toBe(true);
  });
});
