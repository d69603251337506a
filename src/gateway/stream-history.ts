import type { StreamReport } from '../protocol/report.ts';
import type { HistoryReply, StreamsReply } from '../protocol/rest.ts';

/** Reports of the last three minutes, each as it was made. */
const FINE = { points: 180, stepS: 1 } as const;
/** An hour in steps of ten seconds. */
const COARSE = { points: 360, stepS: 10 } as const;
/** Seconds that a history goes back at most. */
export const HISTORY_S = COARSE.points * COARSE.stepS;

const COLUMNS = ['fpsIn', 'fpsPublished', 'p50', 'p95', 'p99'] as const;
type Row = Readonly<Record<(typeof COLUMNS)[number], number | null>>;
/** Seconds since 1970 first, then the columns; NaN where nothing was published. */
const WIDTH = 1 + COLUMNS.length;

/** The newest rows, in a ring of fixed size: a hundred streams cost 3 MB. */
class Rows {
  readonly #values: Float64Array;
  readonly #points: number;
  #added = 0;

  constructor(points: number) {
    this.#points = points;
    this.#values = new Float64Array(points * WIDTH);
  }

  add(timeS: number, row: Row): void {
    const at = (this.#added % this.#points) * WIDTH;
    this.#values.set([timeS, ...COLUMNS.map((column) => row[column] ?? Number.NaN)], at);
    this.#added += 1;
  }

  /** Oldest first, in columns. */
  since(fromS: number): Omit<HistoryReply, 'stepS'> {
    const reply = { times: [], fpsIn: [], fpsPublished: [], p50: [], p95: [], p99: [] } as Record<
      'times' | (typeof COLUMNS)[number],
      (number | null)[]
    >;
    for (let i = Math.max(0, this.#added - this.#points); i < this.#added; i++) {
      const [timeS, ...figures] = this.#values.subarray((i % this.#points) * WIDTH, (i % this.#points) * WIDTH + WIDTH);
      if (timeS! < fromS) continue;
      reply.times.push(timeS!);
      COLUMNS.forEach((column, k) => void reply[column].push(rounded(figures[k]!)));
    }
    return reply as Omit<HistoryReply, 'stepS'>;
  }
}

/** A hundredth is less than a pixel of a chart. */
function rounded(value: number): number | null {
  return Number.isNaN(value) ? null : Math.round(value * 100) / 100;
}

class OneHistory {
  readonly #fine = new Rows(FINE.points);
  readonly #coarse = new Rows(COARSE.points);
  #collected: Row[] = [];
  #stepEndS = 0;
  #lastS = 0;

  add(timeS: number, { fps, latencyMs: { window } }: StreamReport): void {
    // The clock of the machine was set back: what came before has no place on the axis.
    const isBack = timeS < this.#lastS;
    this.#lastS = timeS;
    const { count, p50, p95, p99 } = window;
    const latency = count > 0 ? { p50, p95, p99 } : { p50: null, p95: null, p99: null };
    const row = { fpsIn: fps.in, fpsPublished: fps.published, ...latency };
    this.#fine.add(timeS, row);
    if (timeS >= this.#stepEndS || isBack) this.#endStep(timeS);
    this.#collected.push(row);
  }

  #endStep(timeS: number): void {
    const rows = this.#collected;
    if (rows.length > 0) {
      const mean = (column: keyof Row): number | null => {
        const known = rows.map((row) => row[column]).filter((value) => value !== null);
        return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
      };
      const highest = rows.reduce<number | null>(
        (most, { p99 }) => (p99 === null ? most : Math.max(most ?? 0, p99)),
        null,
      );
      const [fpsIn, fpsPublished, p50, p95] = [mean('fpsIn'), mean('fpsPublished'), mean('p50'), mean('p95')];
      this.#coarse.add(this.#stepEndS, { fpsIn, fpsPublished, p50, p95, p99: highest });
    }
    this.#collected = [];
    this.#stepEndS = (Math.floor(timeS / COARSE.stepS) + 1) * COARSE.stepS;
  }

  since(fromS: number, isFine: boolean): HistoryReply {
    const { stepS } = isFine ? FINE : COARSE;
    return { stepS, ...(isFine ? this.#fine : this.#coarse).since(fromS) };
  }
}

/** The figures of every stream over the last hour, so that a page that is loaded shows full charts. */
export class StreamHistory {
  readonly #streams = new Map<string, OneHistory>();
  #nowS = 0;

  /** Forgets streams that are gone. */
  add({ timeMs, streams }: StreamsReply): void {
    this.#nowS = timeMs / 1000;
    const ids = new Set(streams.map(({ id }) => id));
    for (const id of this.#streams.keys()) if (!ids.has(id)) this.#streams.delete(id);
    for (const stream of streams) {
      const history = this.#streams.get(stream.id) ?? new OneHistory();
      this.#streams.set(stream.id, history);
      history.add(this.#nowS, stream);
    }
  }

  /** @param seconds - how far back; up to 180 in steps of a second, else of ten. Null for a stream without reports. */
  of(id: string, seconds: number): HistoryReply | null {
    return this.#streams.get(id)?.since(this.#nowS - seconds, seconds <= FINE.points) ?? null;
  }
}
