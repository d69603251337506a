import type { BenchContext } from './bench-context.ts';

/** A measured figure with its target. Nothing is asserted. */
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
  /** Facts that a reader needs to interpret the figures. */
  readonly notes: readonly string[];
  /** All measured data; written to the JSON unchanged. */
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

/** Returns measured / target; null if the target is 0. */
export function ratioToTarget({ measured, target }: Target): number | null {
  return target === 0 ? null : measured / target;
}
