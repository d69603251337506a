import { Counter, Gauge, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string | number>>;

/** Prometheus figures that are set anew at each scrape: what is not set again leaves no series behind. */
export class MetricSet {
  readonly #registry = new Registry();
  readonly #gauges = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();
  #skippedCount = 0;

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Figures that were left out since the start because they are no number, or a counter below 0. */
  get skippedCount(): number {
    return this.#skippedCount;
  }

  /** Reset and fill in one turn of the event loop, so that scrapes at the same time see whole reports. */
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

  /** Somebody else holds the count; here it is set anew, which prom-client calls reset and increment. */
  counter(name: string, help: string, labels: Labels, value: number): void {
    if (!this.#isUsable(value, 0)) return;
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = new Counter({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
      this.#counters.set(name, counter);
    }
    counter.inc(labels, value);
  }

  /** The client library would throw, and one broken figure would take all others with it. */
  #isUsable(value: number, least: number): boolean {
    if (Number.isFinite(value) && value >= least) return true;
    this.#skippedCount += 1;
    return false;
  }
}
