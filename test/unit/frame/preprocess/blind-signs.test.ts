import { describe, expect, it } from 'vitest';
import { BLIND_SIGNS, type BlindSign } from '../../../../src/base/core/blind-sign.ts';
import { BlindSigns, SAMPLE_EVERY_MS } from '../../../../src/frame/preprocess/blind-signs.ts';
import { PictureSampler } from '../../../../src/frame/preprocess/picture-sampler.ts';
import { gaussian } from '../../../support/seeded-random.ts';

const [WIDTH, HEIGHT] = [208, 117];
const SAMPLER = new PictureSampler(WIDTH, { x: 0, y: 0, width: WIDTH, height: HEIGHT });

type Level = (x: number, y: number) => number;

/** A street: a facade with windows, a road, a lamp. */
const street: Level = (x, y) => {
  if (y > 85) return 90 + 20 * Math.sin(x / 5) + ((x + y) % 3) * 8;
  const isWindow = x % 26 > 9 && x % 26 < 20 && y % 29 > 7 && y % 29 < 22;
  return (isWindow ? 60 : 150) + 12 * Math.sin(x / 1.5) * Math.cos(y / 2) + (x > 190 ? 60 : 0);
};

/** Normally distributed numbers, from which each picture gets others. */
const random = gaussian(7);
const GRAINS = Float32Array.from({ length: 2 * WIDTH * HEIGHT }, () => random());

/** A series of pictures of a camera, two a second, and the signs that it has. */
class Camera {
  readonly signs = new BlindSigns();
  nowMs = 0;
  wanted: readonly BlindSign[] = BLIND_SIGNS;
  #pictures = 0;

  /** @returns the sign after each picture. */
  show(seconds: number, level: Level, noise = 3): (BlindSign | null)[] {
    const scene = Float32Array.from({ length: WIDTH * HEIGHT }, (_, i) => level(i % WIDTH, Math.floor(i / WIDTH)));
    const pixels = new Uint8ClampedArray(WIDTH * HEIGHT * 3);
    return Array.from({ length: (seconds * 1000) / SAMPLE_EVERY_MS }, () => {
      const first = (this.#pictures++ * 7919) % (WIDTH * HEIGHT);
      for (let i = 0; i < scene.length; i++) pixels.fill(scene[i]! + noise * GRAINS[first + i]!, 3 * i, 3 * i + 3);
      return this.judge(SAMPLER.sample(new Uint8Array(pixels.buffer)));
    });
  }

  judge(samples: Uint8Array): BlindSign | null {
    this.nowMs += SAMPLE_EVERY_MS;
    return this.signs.update(samples, this.nowMs, this.wanted)?.sign ?? null;
  }
}

/** Seconds until the first picture with the sign. */
const secondsUntil = (signs: readonly (BlindSign | null)[], sign: BlindSign | null): number =>
  ((signs.indexOf(sign) + 1) * SAMPLE_EVERY_MS) / 1000;

/** A picture of a clip as samples, so that nothing but the series counts: `scene` of 0 to 255 with a few other values each time. */
function written(scene: number, different: number): Uint8Array {
  return new Uint8Array(32 * 18 * 8).fill(scene).fill(different, 0, 4);
}

describe('BlindSigns', () => {
  it('a camera that sees has no sign', () => {
    expect(new Set(new Camera().show(120, street))).toEqual(new Set([null]));
  });

  it('is dark after twenty seconds of dim pictures, light after twenty bright ones, and has no sign for it', () => {
    const camera = new Camera();
    const dim: Level = (x, y) => street(x, y) / 4;
    const seen = new Set(camera.show(19, street));
    expect(camera.signs.isDark, 'not known yet').toBeNull();
    for (const sign of camera.show(11, street)) seen.add(sign);
    expect(camera.signs.isDark).toBe(false);
    for (const sign of camera.show(19, dim)) seen.add(sign);
    expect(camera.signs.isDark, 'a cloud, a lorry').toBe(false);
    for (const sign of camera.show(5, dim)) seen.add(sign);
    expect(camera.signs.isDark).toBe(true);
    // Between both limits, as at dusk, it stays as it is.
    camera.show(60, (x, y) => street(x, y) / 2.05);
    expect(camera.signs.isDark).toBe(true);
    camera.show(15, street);
    expect(camera.signs.isDark, 'headlights').toBe(true);
    camera.show(10, street);
    expect(camera.signs.isDark).toBe(false);
    expect(seen).toEqual(new Set([null]));
  });

  it('a picture that stays exactly the same is frozen within 10 s, and no longer once it goes on', () => {
    const camera = new Camera();
    camera.show(20, street);
    const frozen = camera.show(12, street, 0);
    expect(secondsUntil(frozen, 'frozen')).toBeLessThanOrEqual(10);
    expect(camera.show(1, (x, y) => street(x + 5, y))).toContain(null);
  });

  it('a frozen picture is recognised over the key frames that its encoder goes on to write', () => {
    const camera = new Camera();
    camera.show(20, street);
    // Two states of the same picture: written anew every 2 s, then improved.
    const signs = Array.from({ length: 40 }, (_, i) => camera.judge(written(120, i % 4 === 0 ? 119 : 120)));
    expect(secondsUntil(signs, 'frozen')).toBeLessThanOrEqual(12);
    expect(signs.at(-1)).toBe('frozen');
  });

  /** As an encoder of constant bit rate writes them: its errors change with each picture, and repeat with its key frames, about. */
  const rewritten: readonly Level[] = [0, 1, 2, 3].map((phase) => (x, y) => {
    return street(x, y) + 1.5 * GRAINS[phase * 5003 + y * WIDTH + x]!;
  });
  const frozenFor = (camera: Camera, seconds: number, level = rewritten): (BlindSign | null)[] =>
    Array.from({ length: seconds * 2 }, (_, i) => camera.show(0.5, level[i % 4]!, 0.4)[0]!);

  it('a frozen picture that its encoder writes a bit differently each time is found within 60 s, also with a clock', () => {
    for (const clock of [false, true]) {
      const camera = new Camera();
      expect(new Set(camera.show(150, street, 1.5))).toEqual(new Set([null]));
      const pictures = rewritten.map((level, i): Level => {
        return (x, y) => (clock && x < 30 && y < 8 ? 250 * ((x + i) % 2) : level(x, y));
      });
      expect(secondsUntil(frozenFor(camera, 60, pictures), 'frozen'), `clock: ${clock}`).toBeGreaterThan(8);
      expect(camera.judge(new Uint8Array(32 * 18 * 8).fill(90)), 'still frozen').toBe('frozen');
      const live = camera.show(30, (x, y) => street(x + 9, y), 1.5);
      expect(live.at(-1), 'no longer').not.toBe('frozen');
    }
  });

  it('a still scene whose encoder leaves no noise is not called frozen: it cannot be told', () => {
    const camera = new Camera();
    expect(new Set(frozenFor(camera, 180))).toEqual(new Set([null]));
    const clean = new Camera();
    for (let i = 0; i < 480; i++) clean.show(0.5, rewritten[i % 4]!, 0);
    expect(clean.signs.canTellFrozen).toBe(false);
  });

  it('it is known after two minutes whether a frozen picture could be told: not in light that varies all the time', () => {
    const noisy = new Camera();
    noisy.show(30, street, 1.5);
    expect(noisy.signs.canTellFrozen).toBeNull();
    noisy.show(120, street, 1.5);
    expect(noisy.signs.canTellFrozen).toBe(true);
    const flickering = new Camera();
    for (let i = 0; i < 60; i++) flickering.show(4, (x, y) => street(x, y) * (0.6 + 0.4 * Math.sin(i)), 1.5);
    expect(flickering.signs.canTellFrozen).toBe(false);
  });

  it('less noise in another light is no frozen picture', () => {
    const camera = new Camera();
    expect(camera.show(150, (x, y) => street(x, y) / 3, 4)).not.toContain('frozen');
    expect(camera.show(150, street, 1)).not.toContain('frozen');
  });

  it('noise that becomes less over a minute, as at dawn, is no frozen picture; what freezes afterwards is', () => {
    const camera = new Camera();
    camera.show(150, street, 4);
    for (let i = 1; i <= 60; i++) expect(camera.show(1, street, 4 - (i / 60) * 2.5)).not.toContain('frozen');
    // As soon as it is known again what is usual, although the fall is not long ago.
    expect(camera.show(130, street, 1.5)).not.toContain('frozen');
    expect(camera.signs.canTellFrozen).toBe(true);
    expect(frozenFor(camera, 60)).toContain('frozen');
  });

  it('a still scene that an encoder repeats between key frames is not frozen: each key frame is another picture', () => {
    const camera = new Camera();
    camera.show(20, street);
    // Ever longer rests, up to three times the limit for a lively picture; each ends with a picture never seen before.
    let different = 0;
    const rest = (seconds: number): (BlindSign | null)[] => {
      different += 1;
      return Array.from({ length: 2 * seconds }, () => camera.judge(written(120, different)));
    };
    for (const seconds of [3, 7, 12, 24, 24, 24]) expect(rest(seconds), `${seconds} s`).not.toContain('frozen');
    expect(rest(200), 'frozen at last').toContain('frozen');
  });

  it('a picture that was still from the start is frozen after a minute', () => {
    const camera = new Camera();
    const signs = Array.from({ length: 130 }, () => camera.judge(written(120, 120)));
    expect(secondsUntil(signs, 'frozen')).toBeCloseTo(60.5, 0);
  });

  it('a pause without pictures is no frozen picture', () => {
    const camera = new Camera();
    camera.show(20, street);
    camera.judge(written(120, 120));
    camera.nowMs += 60_000;
    expect(camera.judge(written(120, 120))).toBeNull();
  });

  it('a bright camera that is covered from one picture to the next is black from then on', () => {
    const camera = new Camera();
    camera.show(20, (x, y) => 100 + street(x, y) / 2);
    const coveredMs = camera.nowMs + SAMPLE_EVERY_MS;
    const covered = camera.show(6, () => 2, 2);
    expect(secondsUntil(covered, 'black')).toBeLessThanOrEqual(4.5);
    expect(camera.signs.update(written(2, 3), camera.nowMs, BLIND_SIGNS)).toEqual({
      sign: 'black',
      sinceMs: coveredMs,
    });
  });

  it('a black picture has a sign within 10 s, and none within 3 s after it', () => {
    const camera = new Camera();
    camera.show(20, street);
    const black = camera.show(10, () => 2, 2);
    expect(secondsUntil(black, 'black')).toBeLessThanOrEqual(10);
    expect(secondsUntil(camera.show(10, street), null)).toBeLessThanOrEqual(3);
  });

  it('a dark picture that shows something is not black', () => {
    const camera = new Camera();
    expect(camera.show(60, (x, y) => street(x, y) / 10)).not.toContain('black');
  });

  it.each([
    ['grey paint', 118, 0],
    ['a bag', 175, 0.06],
    ['a dark glove', 45, 0.04],
  ])('a lens that %s covers is covered within 30 s, and sees again', (_, grey, rest) => {
    const camera = new Camera();
    camera.show(60, street);
    const covered = camera.show(30, (x, y) => grey + rest * street(x, y));
    expect(secondsUntil(covered, 'covered')).toBeGreaterThan(10);
    expect(new Set(covered)).toEqual(new Set([null, 'covered']));
    expect(camera.show(10, street).at(-1)).toBeNull();
  });

  it('light that goes off and fog that comes within minutes do not cover', () => {
    const dark = new Camera();
    dark.show(60, street);
    expect(dark.show(60, (x, y) => street(x, y) / 5)).not.toContain('covered');
    const foggy = new Camera();
    foggy.show(40, street);
    for (let left = 1; left >= 0.1; left *= 0.9)
      expect(foggy.show(10, (x, y) => 170 * (1 - left) + left * street(x, y))).not.toContain('covered');
  });

  it('a picture without its detail is blurred, and one with less contrast is not', () => {
    const camera = new Camera();
    camera.show(60, street);
    expect(
      camera.show(60, (x, y) => 90 + 0.4 * street(x, y)),
      'fog',
    ).not.toContain('blurred');
    const soft: Level = (x, y) => {
      let sum = 0;
      for (let dx = -8; dx <= 8; dx++) sum += street(x + dx, y) / 17;
      return sum;
    };
    expect(camera.show(40, soft)).toContain('blurred');
    expect(camera.show(40, street).at(-1)).toBeNull();
  });

  it('another scene is moved, and the old one is not', () => {
    const camera = new Camera();
    camera.show(60, street);
    expect(camera.show(40, (x, y) => street(x + 70, y + 40))).toContain('moved');
    expect(camera.show(40, street).at(-1)).toBeNull();
  });

  it('a sign that is not wanted is not given', () => {
    const camera = new Camera();
    camera.wanted = ['frozen'];
    camera.show(20, street);
    expect(camera.show(10, () => 2, 2)).not.toContain('black');
  });
});
