import { settlesWithin } from '../../../base/flow/settles-within.ts';
import type { TracingFigures } from '../../../wire/protocol/tracing-figures.ts';

/** Most items that wait: about 4 MB of spans. */
const MOST_WAITING = 4096;
/** Items in one request: serialising them holds up the main thread, 128 spans for about 2 ms. */
const BATCH = 128;
const EVERY_MS = 1000;
/** How long the end of the process waits for a collector. */
const CLOSE_MS = 3000;

/** Sends one batch. @returns whether the collector has it. It never rejects, and gives up after some seconds. */
export type Send<T> = (items: T[]) => Promise<boolean>;

/** Sends items in the background, one request at a time, and loses and counts what a collector cannot take. */
export class BoundedExport<T> {
  readonly #send: Send<T>;
  #waiting: T[] = [];
  #sent = 0;
  #lost = 0;
  #running: Promise<void> | null = null;
  readonly #timer: NodeJS.Timeout;

  constructor(send: Send<T>) {
    this.#send = send;
    this.#timer = setInterval(() => this.#run(), EVERY_MS);
    this.#timer.unref();
  }

  get figures(): TracingFigures {
    return { sent: this.#sent, lost: this.#lost };
  }

  get isFull(): boolean {
    return this.#waiting.length >= MOST_WAITING;
  }

  add(item: T): void {
    if (this.isFull) this.lose(1);
    else if (this.#waiting.push(item) >= BATCH) this.#run();
  }

  lose(count: number): void {
    this.#lost += count;
  }

  #run(): Promise<void> {
    this.#running ??= this.#drain().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH);
      if (await this.#send(batch)) this.#sent += batch.length;
      else this.lose(batch.length);
      // Frames come first.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Sends what waits, for at most some seconds; the rest is lost. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await settlesWithin(this.#run(), CLOSE_MS);
    this.lose(this.#waiting.splice(0).length);
  }
}
