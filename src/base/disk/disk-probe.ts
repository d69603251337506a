import { stat } from 'node:fs';

export interface DiskProbeOptions {
  /** Looked up again and again. It need not exist: any answer will do. */
  readonly path: string;
  /** Called once when an answer is overdue, and once when it has come. */
  readonly onStalled: () => void;
  readonly onAnswered?: () => void;
  /** Time between two look-ups, and after which an answer is overdue. */
  readonly everyMs?: number;
  readonly limitMs?: number;
  /** Replaced by tests. */
  readonly lookUp?: (path: string, done: () => void) => void;
  readonly now?: () => number;
}

/**
 * Notices that the file system, or Node's pool of four threads, no longer answers: files, host names and compression wait for it,
 * while the event loop goes on and everything else looks healthy. One look-up is under way at a time, so that probing adds
 * nothing to what waits already.
 */
export class DiskProbe {
  readonly #options: Required<DiskProbeOptions>;
  readonly #timer: NodeJS.Timeout;
  /** When the look-up under way began. */
  #sinceMs: number | null = null;
  #tickMs = 0;
  #isStalled = false;

  constructor(options: DiskProbeOptions) {
    this.#options = {
      onAnswered: () => undefined,
      everyMs: 1000,
      limitMs: 5000,
      lookUp: (path, done) => stat(path, () => done()),
      now: () => performance.now(),
      ...options,
    };
    // Never keeps a process alive that has nothing else to do.
    this.#timer = setInterval(() => this.tick(), this.#options.everyMs).unref();
    this.tick();
  }

  /** Looks the path up, unless an answer is still awaited. */
  tick(): void {
    const { path, lookUp, now, limitMs, everyMs, onStalled } = this.#options;
    // Time in which this process did not run is no delay of the file system: its answer may be there already.
    const lateMs = now() - this.#tickMs - everyMs;
    if (this.#sinceMs !== null && lateMs >= everyMs) this.#sinceMs += lateMs;
    this.#tickMs = now();
    if (this.#sinceMs === null) {
      this.#sinceMs = now();
      lookUp(path, () => this.#onAnswer());
    } else if (!this.#isStalled && now() - this.#sinceMs >= limitMs) {
      this.#isStalled = true;
      onStalled();
    }
  }

  /** Time for which an overdue answer has been awaited; null if none is overdue. */
  get stalledMs(): number | null {
    return this.#isStalled && this.#sinceMs !== null ? this.#options.now() - this.#sinceMs : null;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #onAnswer(): void {
    this.#sinceMs = null;
    if (!this.#isStalled) return;
    this.#isStalled = false;
    this.#options.onAnswered();
  }
}
