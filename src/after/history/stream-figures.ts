import type { StreamReport } from '../../wire/protocol/report.ts';
import type { HistoryReply, StreamsReply } from '../../wire/protocol/rest.ts';
import { FIGURE_STEP_S, type FigureRow } from './history-records.ts';

/** Reports of the last three minutes, each as it was made. */
export const NEWEST_S = 180;

type Figures = Pick<FigureRow, 'fpsIn' | 'fpsPublished' | 'p50' | 'p95' | 'p99'>;

class OneStream {
  readonly #newest: (Figures & { readonly endS: number })[] = [];
  #collected: Figures[] = [];
  #stepEndS = 0;
  #lastS = 0;

  /** @returns the figures of a step that has ended; null within a step. */
  add(timeS: number, { fps, latencyMs: { window } }: StreamReport): (Figures & { readonly endS: number }) | null {
    // The clock of the machine was set back: what came before has no place on the axis.
    const isBack = timeS < this.#lastS;
    this.#lastS = timeS;
    const { count, p50, p95, p99 } = window;
    const latency = count > 0 ? { p50, p95, p99 } : { p50: null, p95: null, p99: null };
    const figures = { fpsIn: fps.in, fpsPublished: fps.published, ...latency };
    if (this.#newest.push({ endS: timeS, ...figures }) > NEWEST_S) this.#newest.shift();
    const ended = timeS >= this.#stepEndS || isBack ? this.#endStep(timeS) : null;
    this.#collected.push(figures);
    return ended;
  }

  #endStep(timeS: number): (Figures & { readonly endS: number }) | null {
    const rows = this.#collected;
    const endS = this.#stepEndS;
    this.#collected = [];
    this.#stepEndS = (Math.floor(timeS / FIGURE_STEP_S) + 1) * FIGURE_STEP_S;
    if (rows.length === 0) return null;
    const known = (column: keyof Figures): number[] => rows.flatMap((row) => row[column] ?? []);
    const mean = (column: keyof Figures): number | null => {
      const values = known(column);
      return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    const p99 = known('p99').length === 0 ? null : Math.max(...known('p99'));
    return { endS, fpsIn: mean('fpsIn'), fpsPublished: mean('fpsPublished'), p50: mean('p50'), p95: mean('p95'), p99 };
  }

  since(fromS: number): HistoryReply {
    return inColumns(
      1,
      this.#newest.filter(({ endS }) => endS >= fromS),
    );
  }
}

/** The figures of every stream: by the second of the last minutes, and by steps of ten seconds for the history. */
export class StreamFigures {
  readonly #streams = new Map<string, OneStream>();
  #steps: FigureRow[] = [];
  #nowS = 0;

  /** Forgets streams that are gone. */
  add({ timeMs, streams }: Pick<StreamsReply, 'timeMs' | 'streams'>): void {
    this.#nowS = timeMs / 1000;
    const ids = new Set(streams.map(({ id }) => id));
    for (const id of this.#streams.keys()) if (!ids.has(id)) this.#streams.delete(id);
    for (const stream of streams) {
      const one = this.#streams.get(stream.id) ?? new OneStream();
      this.#streams.set(stream.id, one);
      const ended = one.add(this.#nowS, stream);
      if (ended !== null) this.#steps.push({ stream: stream.id, ...ended });
    }
  }

  /** Time of the newest report, seconds since 1970. */
  get nowS(): number {
    return this.#nowS;
  }

  /** Returns the steps that have ended since the last call. */
  take(): FigureRow[] {
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }

  /** @param seconds - how far back, up to `NEWEST_S`. Null for a stream without reports. */
  newest(id: string, seconds: number): HistoryReply | null {
    return this.#streams.get(id)?.since(this.#nowS - seconds) ?? null;
  }
}

/** Returns figures as a reply has them: a column each. */
export function inColumns(stepS: number, rows: readonly (Figures & { readonly endS: number })[]): HistoryReply {
  const column = (name: keyof Figures): (number | null)[] => rows.map((row) => rounded(row[name]));
  return {
    stepS,
    times: rows.map(({ endS }) => endS),
    fpsIn: column('fpsIn'),
    fpsPublished: column('fpsPublished'),
    p50: column('p50'),
    p95: column('p95'),
    p99: column('p99'),
  };
}

/** A hundredth is less than a pixel of a chart. */
function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 100) / 100;
}
