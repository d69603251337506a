import type { Rect } from '../../base/geometry/views.ts';

/** What a change gate needs to know; all keys have defaults in the configuration of a stream. */
export interface ChangeGateOptions {
  /** Longest media time without a look: then a frame counts as changed although nothing was seen to change. */
  readonly lookEveryMs: number;
  /** Smallest change of a block's mean level that counts, 0 to 255, if there is no noise. */
  readonly minLevels: number;
}

/** Where the source lies in the pixels that a change gate is given. */
export interface GateCanvas {
  /** Pixels of a row. */
  readonly rowPx: number;
  /** The rectangles that show the source, in pixels. The rest, such as the padding of a letterbox, is not read. */
  readonly areas: readonly Rect[];
}

/** Blocks along the longer side of an area. */
const BLOCKS = 60;
/** Samples along each side of a block, so that the cost does not depend on the size of the picture. */
const SAMPLES = 4;
/** Brightness, and the difference of red and blue: something may differ from what is behind it in colour alone. */
const PLANES = 2;
/** How many times the noise of brightness that of each plane may be: cameras store colour at half the resolution. */
const PLANE_BOUNDS = [1, 2] as const;
/** Side of a neighbourhood, in blocks. Its mean has a third of the noise of a block; an object of 1 % of the picture covers two of them. */
const NEIGHBOURS = 3;

/** A share of blocks, and the standard deviations that normally distributed values exceed no more often. */
type Noisy = readonly [ratio: number, sigmas: number];

/** The noise of neighbourhoods is that of the noisiest: compression keeps it in some and removes it from others. */
const NOISY_NEIGHBOURHOODS: readonly Noisy[] = [
  [0.95, 1.96],
  [0.99, 2.58],
];
/** At a low bit rate an encoder rewrites a few blocks at a time, each by as much as it likes. */
const NOISY_BLOCKS: readonly Noisy[] = [...NOISY_NEIGHBOURHOODS, [0.998, 3.09]];
/** Bins of the histogram of differences, and how many a level has. */
const BINS = 1024;
const BINS_PER_LEVEL = 32;
/** Distances in pictures over which the noise is learned, each this many times the one before: pictures further apart differ more. */
const DISTANCES = [2, 8, 32, 128];
const DISTANCE_FACTOR = 4;
/**
 * The noise is what the quietest quarter of the newest figures of a distance have: it rises after three quarters of them, and falls after a
 * quarter. At the shortest distance, which bounds all others, it is the quietest tenth: so it falls with the second figure.
 */
const QUIET_RATIO = 0.25;
const QUIETEST_RATIO = 0.1;
const LEARNED_FIGURES = 16;
/** With fewer, the noise of a distance is unknown. While that of the shortest is, every frame counts as changed. */
const FEWEST_FIGURES = 2;
/** Most levels by which the noise of a distance exceeds that of the one before: more is a thing that moves. A neighbourhood has a third of the noise. */
const NOISE_STEP = { block: 0.3, neighbourhood: 0.1 } as const;

/** How much a value may differ, in standard deviations of the noise, and in levels whatever the noise. */
interface Limit {
  readonly sigmas: number;
  /** At least this, as a share of `minLevels`. */
  readonly floor: number;
  /** At most this, in levels of brightness: more noise than that cannot be told from content, and is inferred. */
  readonly most: number;
}

const BLOCK_LIMIT: Limit = { sigmas: 8, floor: 1, most: 16 };
const NEIGHBOURHOOD_LIMIT: Limit = { sigmas: 7, floor: 0.4, most: 5 };
/** One block in twenty differs by so much if there is only noise. */
const WIDE_LIMIT: Limit = { sigmas: 2, floor: 0.25, most: 6 };
/** A picture has changed if more blocks than this differ by more than `WIDE_LIMIT`. */
const WIDE_RATIO = 0.25;

/** An encoder has rewritten a picture if it differs from the one before by this factor more than nine tenths of the newest frames. */
const REWRITE_FACTOR = 2;
const USUAL_RATIO = 0.9;
/** How many are the newest frames here. */
const USUAL_FRAMES = 48;
/** Least mean difference of a rewritten picture, in levels. */
const REWRITE_LEVELS = 0.05;

/**
 * After a change, frames count as changed until the picture has rested for so long, in media time. What changes a block but no
 * neighbourhood is too small for that: one look is enough.
 */
const REST_US = 200_000;

/**
 * Decides for each picture of one stream whether it equals a reference up to noise. The reference is the last picture that it
 * called changed. What it cannot judge counts as changed: the first pictures, and noise that could as well be content.
 *
 * It compares the means of about 2,000 small blocks. A picture has changed if a block differs, if a neighbourhood of nine
 * blocks differs by less, or if a quarter of the blocks differ by still less. How much is "differs" depends on the noise. It is
 * learned from pictures as far apart as the reference is, and never from the difference that is judged. A change therefore cannot
 * hide itself, however much of the picture it covers. A slow one, such as fog, adds up against the reference, but hardly touches the
 * noise: that is learned from second differences. What moves for long may raise the noise, up to a bound that is still below what a detector needs.
 * docs/adr/0026-what-counts-as-a-change.md and docs/adr/0064-noise-by-distance.md describe what it was tried on, and how each part could be fooled.
 *
 * Reads 16 samples per block, whatever the size of the picture. Allocates nothing per picture.
 */
export class ChangeGate {
  readonly #options: ChangeGateOptions;
  readonly #grids: readonly Grid[];
  /** Number of blocks; arrays have one plane after the other. */
  readonly #blocks: number;
  readonly #reference: Float32Array;
  #previous: Float32Array;
  #current: Float32Array;
  readonly #difference: Float32Array;
  readonly #smoothed: Float32Array;
  readonly #rows: Float32Array;
  readonly #histogram = new Uint32Array(BINS);
  /** Offsets in the picture of the samples of all blocks, block by block. */
  readonly #samples: Uint32Array;
  readonly #noise: readonly DistanceNoise[];
  /** The mean difference of a picture to the one before. */
  readonly #usualUnrest = new RecentFigure(USUAL_FRAMES, USUAL_RATIO);
  /** Pictures since the reference. */
  #distance = 0;
  #hasReference = false;
  #hasPrevious = false;
  #referenceUs = 0;
  #previousUs = 0;
  #restUs = 0;

  constructor(options: ChangeGateOptions, { areas, rowPx }: GateCanvas) {
    this.#options = options;
    this.#grids = gridsOf(areas);
    const { first, columns, rows } = this.#grids.at(-1)!;
    this.#blocks = first + columns * rows;
    const [reference, previous, current, difference, smoothed, scratch] = Array.from(
      { length: 6 },
      () => new Float32Array(PLANES * this.#blocks),
    ) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
    this.#reference = reference;
    this.#previous = previous;
    this.#current = current;
    this.#difference = difference;
    this.#smoothed = smoothed;
    this.#rows = scratch;
    this.#noise = DISTANCES.map((pictures) => new DistanceNoise(pictures, difference.length));
    this.#samples = placeSamples(this.#grids, rowPx);
  }

  /**
   * @param pixels - u8 RGB, rows of `rowPx` pixels, not changed.
   * @param ptsUs - media time. Time that runs backwards counts as a change.
   * @returns true if the picture differs from the reference; it is then the new reference.
   */
  isChanged(pixels: Uint8Array, ptsUs: number): boolean {
    this.#measure(pixels);
    this.#distance += 1;
    const isChanged = this.#judge(ptsUs);
    if (isChanged) {
      this.#reference.set(this.#current);
      this.#referenceUs = ptsUs;
      this.#distance = 0;
      this.#hasReference = true;
    }
    const oldest = this.#previous;
    this.#previous = this.#current;
    this.#current = oldest;
    this.#hasPrevious = true;
    this.#previousUs = ptsUs;
    return isChanged;
  }

  /** Makes the next picture count as changed. */
  forget(): void {
    this.#hasReference = false;
  }

  #judge(ptsUs: number): boolean {
    const isRewritten = this.#hasPrevious && this.#isRewritten();
    this.#learn();
    const isBackwards = this.#hasPrevious && ptsUs < this.#previousUs;
    const isUnknown = isBackwards || !this.#noise[0]!.isKnown;
    const change = isUnknown ? 'object' : this.#hasReference ? this.#change() : 'none';
    if (change === 'object') this.#restUs = ptsUs + REST_US;
    const isDue = ptsUs - this.#referenceUs >= this.#options.lookEveryMs * 1000;
    return change !== 'none' || !this.#hasReference || isRewritten || isDue || ptsUs <= this.#restUs;
  }

  #isRewritten(): boolean {
    let sum = 0;
    for (let i = 0; i < this.#blocks; i++) sum += Math.abs(this.#current[i]! - this.#previous[i]!);
    const unrest = sum / this.#blocks;
    const isRewritten = unrest > REWRITE_LEVELS && unrest > REWRITE_FACTOR * this.#usualUnrest.value;
    this.#usualUnrest.add(unrest);
    return isRewritten;
  }

  #learn(): void {
    for (const noise of this.#noise) {
      if (!noise.take(this.#current, this.#difference)) continue;
      this.#smooth();
      for (let plane = 0; plane < PLANES; plane++) {
        noise.block[plane]!.add(this.#noiseOf(this.#difference, plane, NOISY_BLOCKS));
        noise.neighbourhood[plane]!.add(this.#noiseOf(this.#smoothed, plane, NOISY_NEIGHBOURHOODS));
      }
    }
  }

  /** What differs from the reference: a speck of a few blocks, or what may be an object. */
  #change(): 'none' | 'speck' | 'object' {
    const difference = this.#subtractReference();
    let isSpeck = false;
    // Noise in brightness is in the colours, too, but only in a few blocks: encoders remove most of it there.
    let noise = 0;
    for (let plane = 0; plane < PLANES; plane++) {
      noise = Math.max(noise, this.#noiseNow('block', plane));
      const most = this.#levels(BLOCK_LIMIT, plane, noise);
      const wide = this.#levels(WIDE_LIMIT, plane, noise);
      let differing = 0;
      const end = (plane + 1) * this.#blocks;
      for (let i = plane * this.#blocks; i < end; i++) {
        const size = Math.abs(difference[i]!);
        if (size > most) isSpeck = true;
        if (size > wide) differing += 1;
      }
      if (differing > WIDE_RATIO * this.#blocks) return 'object';
    }
    this.#smooth();
    noise = 0;
    for (let plane = 0; plane < PLANES; plane++) {
      noise = Math.max(noise, this.#noiseNow('neighbourhood', plane));
      const most = this.#levels(NEIGHBOURHOOD_LIMIT, plane, noise);
      const end = (plane + 1) * this.#blocks;
      for (let i = plane * this.#blocks; i < end; i++) if (Math.abs(this.#smoothed[i]!) > most) return 'object';
    }
    return isSpeck ? 'speck' : 'none';
  }

  /**
   * Returns the noise at the distance of the reference. It never falls with the distance, and rises little: so a slow thing, which
   * differs the more the longer one waits, does not teach the gate to overlook it.
   */
  #noiseNow(of: 'block' | 'neighbourhood', plane: number): number {
    let noise = 0;
    let most = Number.POSITIVE_INFINITY;
    for (const learned of this.#noise) {
      // The squares of independent changes add up.
      const unbounded = learned.isKnown
        ? Math.max(noise, learned[of][plane]!.value)
        : noise * Math.sqrt(DISTANCE_FACTOR);
      noise = Math.min(most, unbounded);
      if (learned.pictures >= this.#distance) break;
      most = noise + NOISE_STEP[of];
    }
    return noise;
  }

  #levels({ sigmas, floor, most }: Limit, plane: number, noise: number): number {
    return Math.max(floor * this.#options.minLevels, Math.min(most * PLANE_BOUNDS[plane]!, sigmas * noise));
  }

  #subtractReference(): Float32Array {
    const difference = this.#difference;
    for (let i = 0; i < difference.length; i++) difference[i] = this.#current[i]! - this.#reference[i]!;
    return difference;
  }

  /** Returns the standard deviation of the noisier differences of a plane, to a sixtieth of a level. */
  #noiseOf(differences: Float32Array, plane: number, noisy: readonly Noisy[]): number {
    const histogram = this.#histogram.fill(0);
    const end = (plane + 1) * this.#blocks;
    for (let i = plane * this.#blocks; i < end; i++) {
      const bin = Math.min(BINS - 1, Math.floor(Math.abs(differences[i]!) * BINS_PER_LEVEL));
      histogram[bin] = histogram[bin]! + 1;
    }
    let bin = 0;
    let below = histogram[0]!;
    let noise = 0;
    for (const [ratio, sigmas] of noisy) {
      for (; below < ratio * this.#blocks; below += histogram[bin]!) bin += 1;
      noise = Math.max(noise, bin / (BINS_PER_LEVEL * sigmas));
    }
    return noise;
  }

  /** Writes the mean difference of each neighbourhood. */
  #smooth(): void {
    for (let plane = 0; plane < PLANES; plane++)
      for (const grid of this.#grids)
        smooth(this.#difference, this.#rows, this.#smoothed, grid, plane * this.#blocks + grid.first);
  }

  /** Writes the means of each block: luma, 0 to 255, with weights after BT.601, and half of red less blue, -128 to 128. */
  #measure(pixels: Uint8Array): void {
    const samples = this.#samples;
    const current = this.#current;
    const perBlock = SAMPLES * SAMPLES;
    let at = 0;
    for (let block = 0; block < this.#blocks; block++) {
      let luma = 0;
      let colour = 0;
      for (let i = 0; i < perBlock; i++) {
        const offset = samples[at++]!;
        const red = pixels[offset]!;
        const blue = pixels[offset + 2]!;
        luma += 77 * red + 150 * pixels[offset + 1]! + 29 * blue;
        colour += red - blue;
      }
      current[block] = luma / (256 * perBlock);
      current[this.#blocks + block] = colour / (2 * perBlock);
    }
  }
}

/** The blocks of an area. */
interface Grid {
  readonly area: Rect;
  readonly columns: number;
  readonly rows: number;
  /** Number of its first block. */
  readonly first: number;
}

function gridsOf(areas: readonly Rect[]): Grid[] {
  let first = 0;
  return areas.map((area) => {
    const side = Math.max(1, Math.max(area.width, area.height) / BLOCKS);
    const columns = Math.max(1, Math.round(area.width / side));
    const rows = Math.max(1, Math.round(area.height / side));
    const grid = { area, columns, rows, first };
    first += columns * rows;
    return grid;
  });
}

function placeSamples(grids: readonly Grid[], rowPx: number): Uint32Array {
  const blocks = grids.reduce((sum, { columns, rows }) => sum + columns * rows, 0);
  const offsets = new Uint32Array(blocks * SAMPLES * SAMPLES);
  const position = (index: number, count: number, length: number): number =>
    Math.min(length - 1, Math.floor(((index + 0.5) * length) / count));
  let at = 0;
  for (const { area, columns, rows } of grids)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        for (let i = 0; i < SAMPLES; i++)
          for (let j = 0; j < SAMPLES; j++) {
            const y = area.y + position(row * SAMPLES + i, rows * SAMPLES, area.height);
            const x = area.x + position(column * SAMPLES + j, columns * SAMPLES, area.width);
            offsets[at++] = (y * rowPx + x) * 3;
          }
  return offsets;
}

/**
 * Writes the mean of the neighbourhood of each block of a grid: first along rows, then along columns. At the border it is the
 * nearest whole neighbourhood, or all there is.
 *
 * @param at - place of the grid's first block in all three arrays.
 */
function smooth(from: Float32Array, between: Float32Array, to: Float32Array, grid: Grid, at: number): void {
  const { columns, rows } = grid;
  const share = 1 / (Math.min(NEIGHBOURS, columns) * Math.min(NEIGHBOURS, rows));
  for (let row = 0; row < rows; row++) sumThrees(from, between, at + row * columns, columns, 1, 1);
  for (let column = 0; column < columns; column++) sumThrees(between, to, at + column, rows, columns, share);
}

/** Writes the sum of each value of a line and its two neighbours, times a factor. */
function sumThrees(
  from: Float32Array,
  to: Float32Array,
  at: number,
  count: number,
  step: number,
  factor: number,
): void {
  const last = at + (count - 1) * step;
  if (count < NEIGHBOURS) {
    const sum = count === 1 ? from[at]! : from[at]! + from[last]!;
    to[at] = sum * factor;
    to[last] = sum * factor;
    return;
  }
  for (let i = at + step; i < last; i += step) to[i] = (from[i - step]! + from[i]! + from[i + step]!) * factor;
  to[at] = to[at + step]!;
  to[last] = to[last - step]!;
}

/**
 * What is known of the noise between two pictures of a distance. It comes from second differences: a picture, less twice the one a
 * distance before, plus the one two distances before. What changes at a constant rate, such as fog or dusk, is not in them.
 */
class DistanceNoise {
  readonly pictures: number;
  /** For each plane: colours have noise of their own. */
  readonly block: readonly RecentFigure[];
  readonly neighbourhood: readonly RecentFigure[];
  #newer: Float32Array;
  #older: Float32Array;
  #taken = 0;

  /** @param length - values of a picture. */
  constructor(pictures: number, length: number) {
    this.pictures = pictures;
    const quiet = pictures === DISTANCES[0] ? QUIETEST_RATIO : QUIET_RATIO;
    const figures = (): RecentFigure[] =>
      Array.from({ length: PLANES }, () => new RecentFigure(LEARNED_FIGURES, quiet));
    this.block = figures();
    this.neighbourhood = figures();
    this.#newer = new Float32Array(length);
    this.#older = new Float32Array(length);
  }

  get isKnown(): boolean {
    return this.block[0]!.count >= FEWEST_FIGURES;
  }

  /**
   * Takes each picture, and uses one in `pictures`.
   *
   * @param differences - gets the second differences, scaled so that independent noise has the deviation of plain differences.
   * @returns true if they were written.
   */
  take(current: Float32Array, differences: Float32Array): boolean {
    const number = this.#taken++;
    if (number % this.pictures !== 0) return false;
    const newer = this.#newer;
    const older = this.#older;
    const isWritten = number >= 2 * this.pictures;
    if (isWritten)
      for (let i = 0; i < differences.length; i++)
        differences[i] = (current[i]! - 2 * newer[i]! + older[i]!) * SECOND_SCALE;
    older.set(current);
    this.#newer = older;
    this.#older = newer;
    return isWritten;
  }
}

/** Second differences of independent values have six times their variance, plain ones twice. */
const SECOND_SCALE = 1 / Math.sqrt(3);

/** The value that a share of the newest figures do not exceed; 0 if there is none. */
class RecentFigure {
  readonly #share: number;
  readonly #figures: Float32Array;
  readonly #sorted: Float32Array;
  #next = 0;
  count = 0;
  value = 0;

  constructor(size: number, share: number) {
    this.#share = share;
    this.#figures = new Float32Array(size).fill(Number.POSITIVE_INFINITY);
    this.#sorted = new Float32Array(size);
  }

  add(figure: number): void {
    const { length } = this.#figures;
    this.#figures[this.#next] = figure;
    this.#next = (this.#next + 1) % length;
    this.count = Math.min(length, this.count + 1);
    // Ascending, so that the places not yet filled come last.
    this.#sorted.set(this.#figures);
    this.value = this.#sorted.sort()[Math.floor(this.#share * (this.count - 1))]!;
  }
}
