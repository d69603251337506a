import type { Runtime } from '../../frame/runtime/runtime.ts';

/** CPU time and published results of a stretch. */
export interface CostSample {
  readonly cpuMs: number;
  readonly published: number;
}

/** Reading the CPU time of hundreds of children takes milliseconds. */
const SAMPLE_MS = 2_000;
/** The last minute. */
const MOST_SAMPLES = 30;

/** What the process and its children use for the live streams, in samples of two seconds. A time with jobs is left out. */
export class HostCost {
  readonly #runtime: Runtime;
  #samples: CostSample[] = [];
  #last: { readonly atMs: number; readonly cpuMs: number; readonly published: ReadonlyMap<string, number> } | null =
    null;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Forgets what was measured. */
  restart(): void {
    this.#samples = [];
    this.#last = null;
  }

  /** Returns the samples since the last call, at most those of a minute. */
  take(): CostSample[] {
    const taken = this.#samples;
    this.#samples = [];
    return taken;
  }

  /** Called once a second. */
  sample(): void {
    const atMs = performance.now();
    const last = this.#last;
    if (last !== null && atMs - last.atMs < SAMPLE_MS) return;
    const { streams } = this.#runtime;
    const hasJobs = streams.some(({ input }) => input.bulk !== undefined);
    const cpuMs = hasJobs ? null : (this.#runtime.cpuUse()?.total ?? null);
    if (cpuMs === null) {
      this.#last = null;
      return;
    }
    const published = new Map(streams.map(({ id, telemetry }) => [id, telemetry.frames(0).published]));
    this.#last = { atMs, cpuMs, published };
    const isSame = last !== null && published.size === last.published.size;
    const counts = [...published].map(([id, count]) => count - (last?.published.get(id) ?? count + 1));
    // A stream was added, or replaced by another one of its name, which costs CPU time of its own.
    if (!isSame || counts.some((count) => count < 0)) return;
    this.#samples.push({ cpuMs: cpuMs - last.cpuMs, published: counts.reduce((sum, count) => sum + count, 0) });
    if (this.#samples.length > MOST_SAMPLES) this.#samples.shift();
  }
}
