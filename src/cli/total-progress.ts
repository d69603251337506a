import { statSync } from 'node:fs';
import type { DetectItem } from './detect-plan.ts';
import type { Progress } from './progress.ts';

/** Shown at most this often: a frame may take less than a millisecond. */
const SHOW_MS = 100;

/** How much of all inputs is done, by the sizes of their files: `file 3 of 7 | b.mp4 | 930 of about 2100 frames | 41.2 fps | 28s left`. */
export class TotalProgress {
  readonly #progress: Progress;
  readonly #now: () => number;
  /** Share of each item in the whole. */
  readonly #weights: readonly number[];
  readonly #sources: number;
  readonly #shares = new Map<number, number>();
  readonly #startedMs: number;
  #doneWeight = 0;
  #doneSources = 0;
  /** Weight of what an earlier run has done. */
  #givenWeight = 0;
  #frames = 0;
  #shownMs = Number.NEGATIVE_INFINITY;

  constructor(progress: Progress, items: readonly DetectItem[], now: () => number = () => performance.now()) {
    this.#progress = progress;
    this.#now = now;
    this.#startedMs = now();
    this.#weights = weightsOf(items);
    this.#sources = items.reduce((sum, { sources }) => sum + sources.length, 0);
  }

  /** @param share - how much of the item is done, 0 to 1. */
  update({ order, sources }: DetectItem, share: number): void {
    if (!this.#shares.has(order)) this.#givenWeight += share * this.#weights[order]!;
    this.#shares.set(order, share);
    this.#frames += 1;
    const nowMs = this.#now();
    if (nowMs - this.#shownMs < SHOW_MS) return;
    this.#shownMs = nowMs;
    const within = Math.min(sources.length - 1, Math.floor(share * sources.length));
    const number = Math.min(this.#sources, this.#doneSources + within + 1);
    const seconds = (nowMs - this.#startedMs) / 1000;
    const total = this.#total;
    const own = total - this.#givenWeight;
    const left = own > 0 && seconds > 0 ? ` | ${duration(((1 - total) * seconds) / own)} left` : '';
    const frames = this.#framesText(own);
    const rate = seconds > 0 ? ` | ${(this.#frames / seconds).toFixed(1)} fps` : '';
    this.#progress.update(
      total,
      1,
      `file ${number} of ${this.#sources} | ${sources[within]!.path} | ${frames}${rate}${left}`,
    );
  }

  done({ order, sources }: DetectItem): void {
    const weight = this.#weights[order]!;
    if (!this.#shares.has(order)) this.#givenWeight += weight;
    this.#shares.delete(order);
    this.#doneWeight += weight;
    this.#doneSources += sources.length;
  }

  /** Frames that this run has read, of about how many. @param own - share of the whole that it has read. */
  #framesText(own: number): string {
    const about = own > 0 ? ` of about ${Math.round((this.#frames * (1 - this.#givenWeight)) / own)}` : '';
    return `${this.#frames}${about} frames`;
  }

  get #total(): number {
    let total = this.#doneWeight;
    for (const [order, share] of this.#shares) total += share * this.#weights[order]!;
    return Math.min(1, total);
  }
}

/** Weighs inputs by their bytes; an input that is no file counts as an average one. */
function weightsOf(items: readonly DetectItem[]): number[] {
  const bytes = items.map(({ sources }) =>
    sources.reduce((sum, { path }) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0),
  );
  const known = bytes.filter((each) => each > 0);
  const average = known.length === 0 ? 1 : known.reduce((sum, each) => sum + each, 0) / known.length;
  const weights = bytes.map((each) => (each === 0 ? average : each));
  const sum = weights.reduce((total, each) => total + each, 0);
  return weights.map((each) => each / sum);
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours > 0) return `${hours}h${minutes}m`;
  return minutes > 0 ? `${minutes}m${whole % 60}s` : `${whole}s`;
}
