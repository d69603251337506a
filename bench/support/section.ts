import type { BenchContext } from './bench-context.ts';

/** A measured figure beside the one that it is to reach. Nothing is asserted: the reader judges. */
export interface Target {
  readonly what: string;
  readonly measured: number;
  readonly target: number;
  readonly want: 'at least' | 'at most' | 'exactly';
  readonly unit: string;
}

export interface Table {
  readonly caption: string;
  /** The first row is the heading. */
  readonly rows: readonly (readonly string[])[];
}

export interface SectionResult {
  readonly tables: readonly Table[];
  readonly targets: readonly Target[];
  /** What the reader must know to read the figures right. */
  readonly notes: readonly string[];
  /** Everything that was measured; goes into the JSON as it is. */
  readonly data: unknown;
}

/** One group of measurements. */
export interface Section {
  /** Name for `--only`. */
  readonly id: string;
  readonly title: string;
  run(context: BenchContext): Promise<SectionResult>;
}

export function isMet({ measured, target, want }: Target): boolean {
  if (want === 'exactly') return measured === target;
  return want === 'at least' ? measured >= target : measured <= target;
}

/** Measured through target; null where the target is 0 and no ratio exists. */
export function ratioToTarget({ measured, target }: Target): number | null {
  return target === 0 ? null : measured / target;
}
