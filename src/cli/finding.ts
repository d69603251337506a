export type Verdict = 'ok' | 'note' | 'missing';

/** One line of the doctor's report. */
export interface Finding {
  readonly what: string;
  readonly verdict: Verdict;
  readonly found: string;
  /** How to fix it. */
  readonly remedy?: string;
}

export function fine(what: string, found: string): Finding {
  return { what, verdict: 'ok', found };
}

/** What works, or is not needed; the remedy makes it better. */
export function remark(what: string, found: string, remedy?: string): Finding {
  return { what, verdict: 'note', found, ...(remedy === undefined ? {} : { remedy }) };
}

export function missing(what: string, found: string, remedy: string): Finding {
  return { what, verdict: 'missing', found, remedy };
}
