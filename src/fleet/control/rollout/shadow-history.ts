import { type Estimate, pairedDifference, ratioOfBlocks } from '../../../base/statistics/sequential.ts';
import { BlockSeries, type BlockSeriesState } from './block-series.ts';
import type { ComparedFrame } from './guards/guard.ts';
import { GUARD_NAMES, type GuardName, guardOf } from './guards/guards.ts';

/** The columns of all guards, by name. */
const COLUMNS: Readonly<Record<string, (frame: ComparedFrame) => number>> = Object.assign(
  { frames: () => 1 },
  ...GUARD_NAMES.map((name) => {
    const { byPairs } = guardOf(name);
    if (byPairs === undefined) return {};
    const { of, minus } = byPairs;
    return {
      [`${name}.a`]: of.a,
      [`${name}.b`]: of.b,
      ...(typeof minus === 'number' ? {} : { [`${name}.minus.a`]: minus.a, [`${name}.minus.b`]: minus.b }),
    };
  }),
);
const OPTIONS = { columns: Object.keys(COLUMNS), blockMs: 1000, maxRows: 256 };

/** Detections of both sides on the same frames, summed over all streams by blocks of time. */
export class ShadowHistory {
  #series: BlockSeries;

  constructor(state?: BlockSeriesState) {
    this.#series = new BlockSeries(OPTIONS, state);
  }

  add(frame: ComparedFrame, nowMs: number): void {
    const row = Object.entries(COLUMNS).map(([name, of]) => [name, of(frame)]);
    this.#series.add(nowMs, Object.fromEntries(row));
  }

  get frames(): number {
    return this.#series.sum('frames');
  }

  /** Time that the evidence covers. */
  get spanMs(): number {
    return this.#series.spanMs;
  }

  /** The figure of a guard that compares such frames; null where there is nothing to compare. @param typical - see `ratioOfBlocks`. */
  estimate(name: GuardName, typical: number): Estimate | null {
    const { byPairs } = guardOf(name);
    const of = this.#counts(name);
    if (typeof byPairs?.minus === 'object') return pairedDifference(of, this.#counts(`${name}.minus`), typical);
    const ratio = ratioOfBlocks(of.a, of.b, typical);
    return ratio === null ? null : { ...ratio, value: ratio.value - (byPairs?.minus ?? 0) };
  }

  reset(): void {
    this.#series = new BlockSeries(OPTIONS);
  }

  get state(): BlockSeriesState {
    return this.#series.state;
  }

  #counts(name: string): { readonly a: number[]; readonly b: number[] } {
    return { a: this.#series.column(`${name}.a`), b: this.#series.column(`${name}.b`) };
  }
}
