export type Verdict = 'ok' | 'note' | 'missing';

/** One line of the doctor's report. */
export interface Finding {
  readonly what: string;
  readonly verdict: Verdict;
  readonly found: string;
  /** How to fix it. */
  readonly remedy?: string;
}
