import type { Rect } from '../geometry/views.ts';

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

/** The noise of a picture is that of its noisiest blocks: compression keeps it in some and removes it from others. */
const NOISY_RATIO = 0.95;
/** Bins of the histogram of differences, and how many a level has. */
const BINS = 1024;
const BINS_PER_LEVEL = 32;
/** Normally distributed values are within this many standard deviations in `NOISY_RATIO` of the cases. */
const NOISY_SIGMAS = 1.96;
/** The noise is what the quietest tenth of the newest frames have: it rises after nine tenths of them, and falls after a tenth. */
const QUIET_RATIO = 0.1;
/** Frames that the noise is learned from. */
const LEARNED_FRAMES = 48;
/** Before so many, the noise is unknown, and every frame counts as changed. */
const FEWEST_FRAMES = 5;

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
/** Least mean difference of a rewritten picture, in levels. */
const REWRITE_LEVELS = 0.05;

/** After a change, frames count as changed until the picture has rested for so long, in media time. */
const REST_US = 200_000;

/**
 * Decides for each picture of one stream whether it equals a reference up to noise. The reference is the last picture that it
 * called changed. What it cannot judge counts as changed: the first pictures, and noise that could as well be content.
 *
 * It compares the means of about 2,000 small blocks. A picture has changed if a block differs, if a neighbourhood of nine
 * blocks differs by less, or if a quarter of the blocks differ by still less. How much is "differs" depends on the noise, which is
 * learned from the differences of *successive* pictures and never from the difference that is judged. A change therefore cannot
 * hide itself, however much of the picture it covers, and a slow one, such as fog, adds up against the reference while
 * it hardly touches the noise. What moves for long may raise the noise, up to a bound that is still below what a detector needs.
 * docs/adr/0026-what-counts-as-a-change.md describes what it was tried on, and how each part could be fooled.
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
  /** For each plane: colours have noise of their own. */
  readonly #blockNoise = Array.from({ length: PLANES }, () => new RecentFigure());
  readonly #neighbourhoodNoise = Array.from({ length: PLANES }, () => new RecentFigure());
  readonly #unrest = new RecentFigure();
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
    this.#samples = placeSamples(this.#grids, rowPx);
  }

  /**
   * @param pixels - u8 RGB, rows of `rowPx` pixels, not changed.
   * @param ptsUs - media time. Time that runs backwards counts as a change.
   * @returns true if the picture differs from the reference; it is then the new reference.
   */
  isChanged(pixels: Uint8Array, ptsUs: number): boolean {
    this.#measure(pixels);
    const isChanged = this.#judge(ptsUs);
    if (isChanged) {
      this.#reference.set(this.#current);
      this.#referenceUs = ptsUs;
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
    const isRewritten = this.#hasPrevious && this.#learn();
    const isBackwards = this.#hasPrevious && ptsUs < this.#previousUs;
    if (isBackwards || this.#unrest.count < FEWEST_FRAMES || (this.#hasReference && this.#differs())) {
      this.#restUs = ptsUs + REST_US;
      return true;
    }
    const isDue = ptsUs - this.#referenceUs >= this.#options.lookEveryMs * 1000;
    return !this.#hasReference || isRewritten || isDue || ptsUs <= this.#restUs;
  }

  /** Learns the noise from this picture and the one before. @returns true if an encoder has rewritten the picture. */
  #learn(): boolean {
    const difference = this.#subtract(this.#previous);
    this.#smooth();
    let sum = 0;
    for (let i = 0; i < this.#blocks; i++) sum += Math.abs(difference[i]!);
    const unrest = sum / this.#blocks;
    const isRewritten = unrest > REWRITE_LEVELS && unrest > REWRITE_FACTOR * this.#unrest.quantile(USUAL_RATIO);
    this.#unrest.add(unrest);
    for (let plane = 0; plane < PLANES; plane++) {
      this.#blockNoise[plane]!.add(this.#noiseOf(difference, plane));
      this.#neighbourhoodNoise[plane]!.add(this.#noiseOf(this.#smoothed, plane));
    }
    return isRewritten;
  }

  #differs(): boolean {
    const difference = this.#subtract(this.#reference);
    // Noise in brightness is in the colours, too, but only in a few blocks: encoders remove most of it there.
    let noise = 0;
    for (let plane = 0; plane < PLANES; plane++) {
      noise = Math.max(noise, this.#blockNoise[plane]!.quantile(QUIET_RATIO));
      const most = this.#levels(BLOCK_LIMIT, plane, noise);
      const wide = this.#levels(WIDE_LIMIT, plane, noise);
      let differing = 0;
      const end = (plane + 1) * this.#blocks;
      for (let i = plane * this.#blocks; i < end; i++) {
        const size = Math.abs(difference[i]!);
        if (size > most) return true;
        if (size > wide) differing += 1;
      }
      if (differing > WIDE_RATIO * this.#blocks) return true;
    }
    this.#smooth();
    noise = 0;
    for (let plane = 0; plane < PLANES; plane++) {
      noise = Math.max(noise, this.#neighbourhoodNoise[plane]!.quantile(QUIET_RATIO));
      const most = this.#levels(NEIGHBOURHOOD_LIMIT, plane, noise);
      const end = (plane + 1) * this.#blocks;
      for (let i = plane * this.#blocks; i < end; i++) if (Math.abs(this.#smoothed[i]!) > most) return true;
    }
    return false;
  }

  #levels({ sigmas, floor, most }: Limit, plane: number, noise: number): number {
    return Math.max(floor * this.#options.minLevels, Math.min(most * PLANE_BOUNDS[plane]!, sigmas * noise));
  }

  #subtract(other: Float32Array): Float32Array {
    const difference = this.#difference;
    const current = this.#current;
    for (let i = 0; i < difference.length; i++) difference[i] = current[i]! - other[i]!;
    return difference;
  }

  /** Returns the standard deviation of the noisier differences of a plane, to a sixtieth of a level. */
  #noiseOf(differences: Float32Array, plane: number): number {
    const histogram = this.#histogram.fill(0);
    const end = (plane + 1) * this.#blocks;
    for (let i = plane * this.#blocks; i < end; i++) {
      const bin = Math.min(BINS - 1, Math.floor(Math.abs(differences[i]!) * BINS_PER_LEVEL));
      histogram[bin] = histogram[bin]! + 1;
    }
    let bin = 0;
    for (let below = histogram[0]!; below < NOISY_RATIO * this.#blocks; below += histogram[bin]!) bin += 1;
    return bin / (BINS_PER_LEVEL * NOISY_SIGMAS);
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

/** A figure of the newest frames. */
class RecentFigure {
  readonly #values = new Float32Array(LEARNED_FRAMES).fill(Number.POSITIVE_INFINITY);
  readonly #sorted = new Float32Array(LEARNED_FRAMES);
  #count = 0;
  #next = 0;

  /** Frames that it is known of. */
  get count(): number {
    return this.#count;
  }

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % LEARNED_FRAMES;
    this.#count = Math.min(LEARNED_FRAMES, this.#count + 1);
  }

  /** Returns the figure that a share of the frames do not exceed; 0 if there is none. */
  quantile(share: number): number {
    if (this.#count === 0) return 0;
    // Ascending, so that the places not yet filled come last.
    this.#sorted.set(this.#values);
    return this.#sorted.sort()[Math.floor(share * (this.#count - 1))]!;
  }
}
