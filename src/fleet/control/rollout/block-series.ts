import { z } from 'zod';
import { SightlineError } from '../../../base/errors/sightline-error.ts';

export const blockSeriesState = z.object({
  columns: z.array(z.string()),
  blockMs: z.number().positive(),
  rows: z.array(z.array(z.number())),
});
export type BlockSeriesState = z.infer<typeof blockSeriesState>;

export interface BlockSeriesOptions {
  /** Their names. */
  readonly columns: readonly string[];
  /** Length of a block at first. */
  readonly blockMs: number;
  /** Most rows. When they are exceeded, blocks become twice as long, and neighbours are added up. */
  readonly maxRows: number;
}

/**
 * Sums by blocks of time, at bounded memory. Blocks start at multiples of their length, so that two series can be added.
 * Blocks without data have no row.
 */
export class BlockSeries {
  readonly #options: BlockSeriesOptions;
  #blockMs: number;
  /** Number of the block, then its sums; in order of time. */
  #rows: number[][] = [];

  /** @throws PROTOCOL_INVALID for a state with other columns. */
  constructor(options: BlockSeriesOptions, state?: BlockSeriesState) {
    this.#options = options;
    this.#blockMs = state?.blockMs ?? options.blockMs;
    if (state === undefined) return;
    if (state.columns.join() !== options.columns.join())
      throw new SightlineError('PROTOCOL_INVALID', `evidence: expected other columns, received ${state.columns}`);
    this.#rows = state.rows.map((row) => [...row]);
  }

  /** @param named - a number for each column. A time before that of the last row is counted to the last row. */
  add(timeMs: number, named: Readonly<Record<string, number>>): void {
    const values = this.#options.columns.map((column) => named[column]!);
    const block = Math.floor(timeMs / this.#blockMs);
    const last = this.#rows.at(-1);
    if (last !== undefined && block <= last[0]!) {
      addTo(last, values);
      return;
    }
    this.#rows.push([block, ...values]);
    if (this.#rows.length <= this.#options.maxRows) return;
    this.#blockMs *= 2;
    this.#rows = merged(this.#rows, 2);
  }

  /** Blocks that have a row. */
  get length(): number {
    return this.#rows.length;
  }

  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  /** Time from the start of the first block to the end of the last. */
  get spanMs(): number {
    const [first, last] = [this.#rows[0], this.#rows.at(-1)];
    return first === undefined ? 0 : (last![0]! - first[0]! + 1) * this.#blockMs;
  }

  /** Values of one column by block. */
  column(name: string): number[] {
    const index = this.#options.columns.indexOf(name);
    if (index < 0) throw new RangeError(`no column ${name}`);
    return this.#rows.map((row) => row[index + 1]!);
  }

  sum(name: string): number {
    return this.column(name).reduce((total, value) => total + value, 0);
  }

  get state(): BlockSeriesState {
    return { columns: [...this.#options.columns], blockMs: this.#blockMs, rows: this.#rows.map((row) => [...row]) };
  }

  /**
   * The blocks that two series share, in the longer blocks of both.
   *
   * @param factor - makes blocks this many times as long; a power of two.
   */
  static common(
    first: BlockSeries,
    second: BlockSeries,
    factor = 1,
  ): { readonly first: BlockSeries; readonly second: BlockSeries } {
    const blockMs = Math.max(first.#blockMs, second.#blockMs) * factor;
    const [one, two] = [first, second].map((series) => merged(series.#rows, blockMs / series.#blockMs)) as [
      number[][],
      number[][],
    ];
    const [inOne, inTwo] = [one, two].map((rows) => new Set(rows.map(([block]) => block)));
    return {
      first: first.#with(
        blockMs,
        one.filter(([block]) => inTwo!.has(block)),
      ),
      second: second.#with(
        blockMs,
        two.filter(([block]) => inOne!.has(block)),
      ),
    };
  }

  #with(blockMs: number, rows: number[][]): BlockSeries {
    const series = new BlockSeries(this.#options);
    series.#blockMs = blockMs;
    series.#rows = rows;
    return series;
  }
}

function addTo(row: number[], values: readonly number[]): void {
  for (const [i, value] of values.entries()) row[i + 1] = row[i + 1]! + value;
}

function merged(rows: readonly number[][], factor: number): number[][] {
  const result: number[][] = [];
  for (const row of rows) {
    const block = Math.floor(row[0]! / factor);
    const last = result.at(-1);
    if (last?.[0] === block) addTo(last, row.slice(1));
    else result.push([block, ...row.slice(1)]);
  }
  return result;
}
