import { Counter, Gauge, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string | number>>;

/** Prometheus figures that are set anew at each scrape: what is not set again leaves no series behind. */
export class MetricSet {
  readonly #registry = new Registry();
  readonly #gauges = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();

  get contentType(): string {
    return this.#registry.contentType;
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
    let gauge = this.#gauges.get(name);
    if (gauge === undefined) {
      gauge = new Gauge({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
      this.#gauges.set(name, gauge);
    }
    gauge.set(labels, value);
  }

  /** Somebody else holds the count; here it is set anew, which prom-client calls reset and increment. */
  counter(name: string, help: string, labels: Labels, value: number): void {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = new Counter({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
      this.#counters.set(name, counter);
    }
    counter.inc(labels, value);
  }
}
