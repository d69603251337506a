import type { BlindSign } from '../../base/core/blind-sign.ts';
import { FrozenPicture } from './frozen-picture.ts';
import { LearnedScene, outlinesOf } from './learned-scene.ts';
import { LostNoise } from './lost-noise.ts';
import { CELL_VALUES } from './picture-sampler.ts';

/** A sign, and since when it is there, on the clock of the samples. */
export interface SeenSign {
  readonly sign: BlindSign;
  readonly sinceMs: number;
}

/** Pictures are judged this often; more give no more certainty. */
export const SAMPLE_EVERY_MS = 500;
/** After a longer pause without pictures, the next one has no predecessor. */
const GAP_MS = 5_000;
/** A black picture is at most this bright, 0 to 255 (a black of studio video that is read as full range is 16) ... */
const BLACK_LEVEL = 24;
/** ... and nine tenths of its cells differ by at most this: a scene at night has lamps and outlines, however dark it is. */
const BLACK_SPREAD = 4;
/** Pictures whose mean brightness differs by more have nothing to do with each other. */
const CUT_LEVELS = 40;
/** Pictures are dark while their mean brightness stays below the first, and light once it stays above the second. */
const DARK_LEVELS = { dark: 50, light: 65 };
/** A lens is covered once its contrast has fallen below this share of the usual, faster than the usual follows: fog and dusk take minutes. */
const COVERED_RATIO = 0.35;
const CONTRAST_MS = 30_000;
/** Least mean step between cells, in levels, of a scene that is known to have contrast. */
const LEAST_CONTRAST = 2;
/** Added to the brightness that a contrast is a share of: light that goes off takes both alike. */
const DARK_OFFSET = 16;
/** How fast what is judged follows the pictures. Noise and things that pass by fade. */
const BLACK_MS = 1_500;
const SCENE_MS = 5_000;

/** How long a sign must be seen before it is raised, and how long it must be gone. */
const LASTS_MS = {
  black: { raise: 4_000, clear: 1_000 },
  covered: { raise: 15_000, clear: 3_000 },
  moved: { raise: 20_000, clear: 5_000 },
  blurred: { raise: 20_000, clear: 5_000 },
  dark: { raise: 20_000, clear: 20_000 },
  light: { raise: 20_000, clear: 0 },
} as const;

/**
 * Finds signs that a camera is blind in a series of its pictures. What is usual it learns from the pictures themselves, so it must
 * see all of a camera's. Depends on nothing else: no clock, no randomness. One update takes about 0.4 ms.
 */
export class BlindSigns {
  readonly #frozen = new FrozenPicture();
  readonly #noise = new LostNoise();
  readonly #scene = new LearnedScene();
  readonly #black = new Lasting(LASTS_MS.black);
  readonly #covered = new Lasting(LASTS_MS.covered);
  readonly #moved = new Lasting(LASTS_MS.moved);
  readonly #blurred = new Lasting(LASTS_MS.blurred);
  readonly #dark = new Lasting(LASTS_MS.dark);
  readonly #light = new Lasting(LASTS_MS.light);
  /** It is dark, as at night: for twenty seconds the pictures were. Null until they were dark or light for so long. */
  isDark: boolean | null = null;
  #darkness: Float32Array | null = null;
  /** The usual mean step between cells, and its share of the brightness. */
  #usualStep = 0;
  #usualContrast = 0;
  #contrastMs = 0;
  #slow: Float32Array | null = null;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** Whether frozen pictures can be told where each is written a bit differently; null while that is not known yet. */
  get canTellFrozen(): boolean | null {
    return this.#noise.canTell;
  }

  /**
   * Takes the next picture.
   *
   * @param samples - from `PictureSampler`.
   * @param nowMs - when it was taken, in milliseconds; after a step back the picture has no predecessor.
   * @param wanted - signs that are looked for.
   * @returns the sign that the camera has now, null if it has none. Of several, the one that explains the others.
   */
  update(samples: Uint8Array, nowMs: number, wanted: readonly BlindSign[]): SeenSign | null {
    const sinceLastMs = nowMs - this.#lastMs;
    const isAfterGap = sinceLastMs > GAP_MS || sinceLastMs < 0;
    const passedMs = isAfterGap ? 0 : sinceLastMs;
    this.#lastMs = nowMs;
    if (isAfterGap) {
      this.#darkness = null;
      this.#slow = null;
      this.#frozen.interrupt();
      this.#noise.interrupt();
    }
    const lostMs = this.#noise.update(samples, nowMs);
    const frozenMs = this.#frozen.update(samples, nowMs) ?? lostMs;
    const cells = cellsOf(samples);
    // A camera is covered from one picture to the next: what was before must not fade for seconds.
    const isCut = this.#darkness !== null && Math.abs(meanOf(cells) - meanOf(this.#darkness)) > CUT_LEVELS;
    this.#darkness = followed(isCut ? null : this.#darkness, cells, passedMs / BLACK_MS);
    const level = meanOf(this.#darkness);
    const isDim = level < DARK_LEVELS.dark ? true : level > DARK_LEVELS.light ? false : null;
    const isLight = this.#light.update(isDim === false, nowMs) !== null;
    if (this.#dark.update(isDim, nowMs) !== null) this.isDark = true;
    else if (this.isDark !== null || isLight) this.isDark = false;
    const isBlack = level <= BLACK_LEVEL && isPlain(this.#darkness);
    const blackMs = this.#black.update(isBlack, nowMs);
    // A black picture is no scene, and a frozen one tells nothing about the camera.
    const isCovered = isBlack || frozenMs !== null ? null : this.#isCovered(this.#darkness, level, passedMs);
    const coveredMs = this.#covered.update(isCovered, nowMs);
    const isScene = !isBlack && blackMs === null && frozenMs === null && isCovered !== true && coveredMs === null;
    if (isScene) this.#slow = followed(this.#slow, samples, passedMs / SCENE_MS);
    else this.#slow = null;
    const scene = this.#slow === null ? null : this.#scene.judge(this.#slow, cellsOf(this.#slow), passedMs);
    const since: Record<BlindSign, number | null> = {
      black: blackMs,
      frozen: frozenMs,
      covered: coveredMs,
      moved: this.#moved.update(scene === null ? null : scene.isOther, nowMs),
      blurred: this.#blurred.update(scene === null ? null : scene.isBlurred, nowMs),
    };
    for (const sign of ['black', 'frozen', 'covered', 'moved', 'blurred'] as const) {
      const sinceMs = since[sign];
      if (sinceMs !== null && wanted.includes(sign)) return { sign, sinceMs };
    }
    return null;
  }

  /** @returns null while it cannot be judged: the usual is not known, or has too little contrast. */
  #isCovered(cells: Float32Array, level: number, passedMs: number): boolean | null {
    const { meanStep } = outlinesOf(cells);
    const contrast = meanStep / (level + DARK_OFFSET);
    const isKnown = this.#contrastMs >= CONTRAST_MS && this.#usualStep >= LEAST_CONTRAST;
    if (isKnown && contrast < COVERED_RATIO * this.#usualContrast) return true;
    const share = this.#contrastMs === 0 ? 1 : 1 - Math.exp(-passedMs / CONTRAST_MS);
    this.#contrastMs += passedMs;
    this.#usualStep += share * (meanStep - this.#usualStep);
    this.#usualContrast += share * (contrast - this.#usualContrast);
    return isKnown ? false : null;
  }
}

/** A condition that holds once it was seen for some time, and until it was not seen for some time. */
class Lasting {
  readonly #lasts: { readonly raise: number; readonly clear: number };
  /** Since when it is seen, or holds. */
  #sinceMs: number | null = null;
  #goneMs: number | null = null;
  #holds = false;

  constructor(lasts: { readonly raise: number; readonly clear: number }) {
    this.#lasts = lasts;
  }

  /**
   * @param isSeen - null: it cannot be judged now, so nothing changes.
   * @returns since when it holds; null if it does not.
   */
  update(isSeen: boolean | null, nowMs: number): number | null {
    if (isSeen === true) {
      this.#goneMs = null;
      this.#sinceMs ??= nowMs;
      if (nowMs - this.#sinceMs >= this.#lasts.raise) this.#holds = true;
    } else if (isSeen === false && this.#sinceMs !== null) {
      this.#goneMs ??= nowMs;
      if (!this.#holds || nowMs - this.#goneMs >= this.#lasts.clear) {
        this.#sinceMs = null;
        this.#holds = false;
      }
    }
    return this.#holds ? this.#sinceMs : null;
  }
}

/** Returns a mean of the newest values that follows them by a share of their difference. Reuses the memory of the old one. */
function followed(mean: Float32Array | null, values: ArrayLike<number>, share: number): Float32Array {
  if (mean === null) return Float32Array.from(values);
  const ratio = 1 - Math.exp(-share);
  for (let i = 0; i < mean.length; i++) mean[i] = mean[i]! + ratio * (values[i]! - mean[i]!);
  return mean;
}

function cellsOf(samples: Uint8Array | Float32Array): Float32Array {
  const cells = new Float32Array(samples.length / CELL_VALUES);
  for (let i = 0; i < samples.length; i++) {
    const cell = Math.floor(i / CELL_VALUES);
    cells[cell] = cells[cell]! + samples[i]! / CELL_VALUES;
  }
  return cells;
}

function meanOf(cells: Float32Array): number {
  return cells.reduce((sum, level) => sum + level, 0) / cells.length;
}

/** Shows nothing, however bright. */
function isPlain(cells: Float32Array): boolean {
  const sorted = cells.toSorted();
  return sorted[Math.floor(0.95 * sorted.length)]! - sorted[Math.floor(0.05 * sorted.length)]! <= BLACK_SPREAD;
}
