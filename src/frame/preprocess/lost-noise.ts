import { CELL_VALUES } from './picture-sampler.ts';

/** Pictures are averaged over this time: what an encoder changes from one to the next fades, new noise fades less. */
const BLOCK_MS = 5_000;
/** Averages that are compared, each with each. */
const BLOCKS = 9;
/** Of the differences of a cell, in ascending order, the one that counts: what passes by in some of the blocks does not. */
const RANK = 4;
/** The cells that count: a quarter differs less. A clock, a lamp or a tree are in the others. */
const QUIET_SHARE = 0.25;
/** The cells that say whether something goes on: a clock is smaller. */
const BUSY_SHARE = 0.95;
/** With less noise nothing can be told. Clean encoders are at 0.00 to 0.05, a sensor with little noise is at 0.2. In levels. */
const LEAST_NOISE = 0.12;
/** Noise has gone below this share of the usual. Of a still scene it stays within 0.93; frozen pictures were at 0.1 to 0.7. */
const LOST_RATIO = 0.72;
/** The same where the scene was never still, so that what moves is part of what is usual: a scene that empties was at 0.52. */
const LOST_BUSY_RATIO = 0.4;
/** The usual is learned while the noise is at least this share of it. */
const LEARN_RATIO = 0.85;
/** How fast the usual follows, for each block. */
const FOLLOW = 0.1;
/** Windows after which it is known what is usual. */
const STILL_WINDOWS = 6;
const BUSY_WINDOWS = 12;
/** A scene is still if its busy cells differ by at most this many times as much as its quiet ones. */
const STILL_FACTOR = 6;
/** Windows in a row without noise. */
const LOST_WINDOWS = 3;
/** Blocks whose noise is remembered, to see how it fell. */
const REMEMBERED = 36;
/** A picture freezes from one block to the next. Noise that was in the middle of its fall for more blocks has become less: another gain, a denoiser. */
const MOST_FALLING = 2;
/** Parts of the fall that are its middle. */
const MIDDLE = { from: 0.25, to: 0.75 } as const;
/** Brightness in levels, and the logarithm of the contrast, by which a picture may differ from the one that the usual was learned from. */
const SAME_LIGHT = { levels: 3, contrast: 0.15 } as const;
/** Windows in a row after which another light has come to stay. */
const OTHER_LIGHT_WINDOWS = 3;
/** Within a window the light may change less: dusk and fog that come slowly add to what looks like noise. */
const DRIFT = { levels: 1, contrast: 0.05 } as const;
/** Blocks after which it is not to be expected that noise can be judged. */
const MOST_UNKNOWN = 36;
/** A frozen picture goes on if its busy cells differ by this many times as much as before. */
const LIVE_FACTOR = 4;

interface Block {
  readonly endMs: number;
  readonly samples: Float32Array;
  /** Differences, in levels by cell, from the blocks before it, the newest first. */
  readonly differences: readonly Float32Array[];
}

/**
 * Finds pictures that have lost the noise of their sensor: frozen ones that an encoder of constant bit rate writes a bit differently each
 * time. Errors of an encoder repeat with its key frames, so that averages over seconds agree; those of fresh noise do not. How much is
 * usual is learned from still windows in the same light. Costs nothing but a sum, and 0.3 ms once in five seconds.
 */
export class LostNoise {
  #sum = new Float32Array(0);
  #count = 0;
  #beganMs = 0;
  #blocks: Block[] = [];
  #usual = 0;
  #windows = 0;
  #busyUsual = 0;
  #busyWindows = 0;
  #lost = 0;
  #light: Float32Array | null = null;
  #otherLight = 0;
  /** Blocks since it was last known what is usual. */
  #unknown = 0;
  /** Of the newest blocks, how much the quiet cells differ from the block before. */
  #steps: number[] = [];
  #frozen: { readonly sinceMs: number; readonly busy: number; readonly usual: number } | null = null;

  /** @returns since when the picture is frozen; null if it is not, or cannot be told. */
  update(samples: Uint8Array, nowMs: number): number | null {
    if (this.#count === 0) {
      this.#sum = new Float32Array(samples.length);
      this.#beganMs = nowMs;
    }
    const sum = this.#sum;
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + samples[i]!;
    this.#count += 1;
    if (nowMs - this.#beganMs >= BLOCK_MS - 250) this.#onBlock(nowMs);
    return this.#frozen?.sinceMs ?? null;
  }

  /** Whether a frozen picture can be told by its noise; null while that is not known yet. */
  get canTell(): boolean | null {
    if (this.#isUsualKnown) return this.#usualNoise >= LEAST_NOISE;
    return this.#unknown >= MOST_UNKNOWN ? false : null;
  }

  get #isUsualKnown(): boolean {
    return this.#windows >= STILL_WINDOWS || this.#busyWindows >= BUSY_WINDOWS;
  }

  get #usualNoise(): number {
    return this.#windows >= STILL_WINDOWS ? this.#usual : this.#busyUsual;
  }

  /** No picture came for a while. What is usual stays. */
  interrupt(): void {
    this.#count = 0;
    this.#blocks = [];
    this.#steps = [];
    this.#lost = 0;
    this.#frozen = null;
  }

  #onBlock(endMs: number): void {
    const samples = this.#sum.map((value) => value / this.#count);
    this.#count = 0;
    const before = this.#blocks.slice(-(BLOCKS - 1));
    const differences = before.map((block) => cellDifferences(block.samples, samples)).reverse();
    this.#blocks = [...before, { endMs, samples, differences }];
    const newest = differences[0];
    if (newest === undefined) return;
    this.#steps = [...this.#steps.slice(1 - REMEMBERED), quantile(newest, QUIET_SHARE)];
    if (this.#frozen !== null && quantile(newest, BUSY_SHARE) > LIVE_FACTOR * this.#frozen.busy) this.interrupt();
    if (this.#blocks.length === BLOCKS) this.#judge(samples);
    this.#unknown = this.#isUsualKnown ? 0 : this.#unknown + 1;
  }

  #judge(samples: Float32Array): void {
    const cells = this.#steadyDifferences();
    const [noise, busy] = [quantile(cells, QUIET_SHARE), quantile(cells, BUSY_SHARE)];
    if (this.#frozen !== null) {
      if (noise > LEARN_RATIO * this.#frozen.usual) this.#frozen = null;
      return;
    }
    if (isOtherLight(this.#blocks[0]!.samples, samples, DRIFT)) {
      this.#lost = 0;
      return;
    }
    if (this.#isOtherLight(samples)) return;
    const usual = this.#usualNoise;
    const ratio = this.#windows >= STILL_WINDOWS ? LOST_RATIO : LOST_BUSY_RATIO;
    const isLost = this.#isUsualKnown && usual >= LEAST_NOISE && noise < ratio * usual;
    this.#lost = isLost ? this.#lost + 1 : 0;
    if (!isLost) this.#learn(noise, busy);
    else if (this.#lost >= LOST_WINDOWS && isStill(noise, busy)) {
      if (this.#hasFallenSlowly()) this.#unlearn(samples);
      else this.#frozen = { sinceMs: this.#sinceMs(usual), busy: this.#usualSteps(), usual };
    }
  }

  /** Noise depends on the light. What is usual is learned anew once the light has stayed another. */
  #isOtherLight(samples: Float32Array): boolean {
    const isOther = this.#light !== null && isOtherLight(this.#light, samples, SAME_LIGHT);
    this.#otherLight = isOther ? this.#otherLight + 1 : 0;
    if (this.#otherLight >= OTHER_LIGHT_WINDOWS) this.#unlearn(samples);
    if (!isOther) this.#light = samples;
    if (isOther) this.#lost = 0;
    return isOther;
  }

  /** What is usual is not known any more: the light is not what it was learned from. */
  #unlearn(samples: Float32Array): void {
    this.#windows = 0;
    this.#busyWindows = 0;
    this.#steps = [];
    this.#lost = 0;
    this.#light = samples;
  }

  #learn(noise: number, busy: number): void {
    if (isStill(noise, busy)) {
      if (this.#windows > 0 && noise < LEARN_RATIO * this.#usual) return;
      this.#usual += Math.max(FOLLOW, 1 / ++this.#windows) * (noise - this.#usual);
    } else {
      // What goes on adds to the noise, so the least is nearest to it.
      const isLess = noise < this.#busyUsual && noise >= LOST_RATIO * this.#busyUsual;
      const share = isLess || this.#busyWindows === 0 ? 1 : FOLLOW;
      this.#busyUsual += share * (noise - this.#busyUsual);
      this.#busyWindows += 1;
    }
  }

  /** Whether the noise became less over several blocks, and not from one to the next. */
  #hasFallenSlowly(): boolean {
    const before = middleOf(this.#steps.slice(0, LOST_WINDOWS * 2));
    const now = middleOf(this.#steps.slice(-LOST_WINDOWS));
    const share = (step: number): number => (before - step) / (before - now);
    const falling = this.#steps.filter((step) => share(step) > MIDDLE.from && share(step) < MIDDLE.to);
    return before > now && falling.length > MOST_FALLING;
  }

  /** How much the busy cells differ from one block to the next, at most. */
  #usualSteps(): number {
    return Math.max(
      ...this.#blocks.slice(-LOST_WINDOWS).map(({ differences }) => quantile(differences[0]!, BUSY_SHARE)),
    );
  }

  /** The end of the last block that differs from the newest as it usually does. */
  #sinceMs(usual: number): number {
    const { differences, endMs } = this.#blocks.at(-1)!;
    const age = differences.findIndex((cells) => quantile(cells, QUIET_SHARE) >= usual);
    return age === -1 ? this.#blocks[0]!.endMs : (this.#blocks.at(-2 - age)?.endMs ?? endMs);
  }

  /** Of each cell the difference of rank `RANK` of all pairs of blocks. */
  #steadyDifferences(): Float32Array {
    const pairs = this.#blocks.flatMap(({ differences }, i) => differences.slice(0, i));
    const ofCell = new Float32Array(pairs.length);
    return Float32Array.from({ length: pairs[0]!.length }, (_, cell) => {
      for (let i = 0; i < pairs.length; i++) ofCell[i] = pairs[i]![cell]!;
      return ofCell.sort()[RANK]!;
    });
  }
}

function middleOf(values: readonly number[]): number {
  return quantile(Float32Array.from(values), 0.5);
}

function isStill(noise: number, busy: number): boolean {
  return busy <= STILL_FACTOR * Math.max(noise, LEAST_NOISE);
}

function cellDifferences(a: Float32Array, b: Float32Array): Float32Array {
  const cells = new Float32Array(a.length / CELL_VALUES);
  for (let i = 0; i < a.length; i++) {
    const cell = Math.floor(i / CELL_VALUES);
    cells[cell] = cells[cell]! + Math.abs(a[i]! - b[i]!) / CELL_VALUES;
  }
  return cells;
}

/** Whether the brightness or the contrast of a picture changed by more than is allowed. */
function isOtherLight(before: Float32Array, now: Float32Array, most: { levels: number; contrast: number }): boolean {
  if (Math.abs(lightChange(before, now)) > most.levels) return true;
  return Math.abs(Math.log(contrastOf(now) / contrastOf(before))) > most.contrast;
}

/** Standard deviation of the samples, in levels; at least that of a plain picture. */
function contrastOf(samples: Float32Array): number {
  const mean = samples.reduce((sum, value) => sum + value, 0) / samples.length;
  return Math.max(1, Math.sqrt(samples.reduce((sum, value) => sum + (value - mean) ** 2, 0) / samples.length));
}

/** By how much most of the picture became lighter. */
function lightChange(before: Float32Array, now: Float32Array): number {
  return quantile(
    now.map((value, i) => value - before[i]!),
    0.5,
  );
}

function quantile(values: Float32Array, share: number): number {
  return values.toSorted()[Math.floor(share * values.length)]!;
}
