import { Counter, Gauge, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string | number>>;

/** Prometheus metrics that are rebuilt at each scrape. A series that is not set again disappears. */
export class MetricSet {
  readonly #registry = new Registry();
  readonly #gauges = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();
  #skippedCount = 0;

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Figures left out since the start because they were not finite, or counters below 0. */
  get skippedCount(): number {
    return this.#skippedCount;
  }

  /** Call `reset` and set all figures in the same turn of the event loop, so that concurrent scrapes see whole reports. */
  reset(): void {
    this.#registry.resetMetrics();
  }

  /** Returns the exposition text. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  gauge(name: string, help: string, labels: Labels, value: number): void {
    if (!this.#isUsable(value, Number.NEGATIVE_INFINITY)) return;
    let gauge = this.#gauges.get(name);
    if (gauge === undefined) {
      gauge = new Gauge({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
      this.#gauges.set(name, gauge);
    }
    gauge.set(labels, value);
  }

  /** Sets a counter to a total that is counted elsewhere. prom-client has no set: `reset` and `inc` do the same. */
  counter(name: string, help: string, labels: Labels, value: number): void {
    if (!this.#isUsable(value, 0)) return;
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = new Counter({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
      this.#counters.set(name, counter);
    }
    counter.inc(labels, value);
  }

  /** Without this check the client library throws, and one invalid figure would fail the whole scrape. */
  #isUsable(value: number, least: number): boolean {
    if (Number.isFinite(value) && value >= least) return true;
    this.#skippedCount += 1;
    return false;
  }
}
