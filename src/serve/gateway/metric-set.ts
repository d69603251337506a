export type Labels = Readonly<Record<string, string | number>>;

/** Most series of a scrape. Zones and lines are as many as people draw; all else is bounded by the number of streams. */
export const MOST_SERIES = 200_000;

/** Counts by upper edge, in base units, as they were counted elsewhere. */
export interface Buckets {
  /** Ascending, without infinity. */
  readonly edges: readonly number[];
  /** What is at or below each edge, and all. */
  readonly cumulative: readonly number[];
  readonly sum: number;
}

/**
 * Writes metrics as the text format of Prometheus, anew at each scrape, so that a series that is not set again disappears. Its own few lines: the
 * usual library would hold up the main thread about twice as long.
 */
export class MetricSet {
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';
  /** The lines of each metric, which must stand together. */
  readonly #families = new Map<string, string[]>();
  #series = 0;
  #skippedCount = 0;

  /** Figures left out since the start: not finite, counters below 0, and what exceeded `MOST_SERIES`. */
  get skippedCount(): number {
    return this.#skippedCount;
  }

  reset(): void {
    this.#families.clear();
    this.#series = 0;
  }

  /** Returns the exposition text. */
  text(): string {
    return [...this.#families.values()].map((lines) => `${lines.join('\n')}\n`).join('\n');
  }

  gauge(name: string, help: string, labels: Labels, value: number): void {
    if (!this.#isUsable(value, Number.NEGATIVE_INFINITY)) return;
    this.#lines(name, help, 'gauge').push(`${name}${inBraces(textOf(labels))} ${value}`);
  }

  /** Sets a counter to a total that is counted elsewhere. */
  counter(name: string, help: string, labels: Labels, value: number): void {
    if (!this.#isUsable(value, 0)) return;
    this.#lines(name, help, 'counter').push(`${name}${inBraces(textOf(labels))} ${value}`);
  }

  histogram(name: string, help: string, labels: Labels, { edges, cumulative, sum }: Buckets): void {
    if (!this.#isUsable(sum, 0, cumulative.length + 2)) return;
    const lines = this.#lines(name, help, 'histogram');
    const text = textOf(labels);
    const before = `${name}_bucket{${text === '' ? '' : `${text},`}le="`;
    for (const [i, count] of cumulative.entries()) lines.push(`${before}${edges[i] ?? '+Inf'}"} ${count}`);
    lines.push(`${name}_sum${inBraces(text)} ${sum}`, `${name}_count${inBraces(text)} ${cumulative.at(-1)}`);
  }

  #lines(name: string, help: string, type: 'gauge' | 'counter' | 'histogram'): string[] {
    let lines = this.#families.get(name);
    if (lines === undefined) {
      lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
      this.#families.set(name, lines);
    }
    return lines;
  }

  /** Prometheus refuses the whole scrape for one invalid figure, and too many would fill its memory. */
  #isUsable(value: number, least: number, series = 1): boolean {
    if (Number.isFinite(value) && value >= least && this.#series + series <= MOST_SERIES) {
      this.#series += series;
      return true;
    }
    this.#skippedCount += 1;
    return false;
  }
}

function inBraces(text: string): string {
  return text === '' ? '' : `{${text}}`;
}

function textOf(labels: Labels): string {
  let text = '';
  for (const name in labels) {
    const value = `${labels[name]}`;
    text += `${text === '' ? '' : ','}${name}="${/["\\\n]/.test(value) ? escaped(value) : value}"`;
  }
  return text;
}

/** A device or a model may have any name. */
function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
