import { systemClock } from '../../base/core/clock.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { settlesWithin } from '../../base/flow/settles-within.ts';
import type { FilterSettings } from '../../settings/config/keys/sink-keys.ts';
import type { ResultRecord } from '../../wire/protocol/result-record.ts';
import { type QueuePolicy, ResultQueue } from './result-queue.ts';
import type { Sink, SinkFailureListener, SinkFigures } from './sink.ts';
import { countOf } from './sink-failure.ts';

/** A destination of results that the embedding program provides. */
export interface CustomSink {
  /** Names it in events, messages and metrics. */
  readonly id: string;
  /**
   * Takes a result. Called for one result at a time, in the order of each stream; the next one comes when the returned promise has
   * settled. If it throws or rejects, the result counts as lost and the event `sink-failed` says why. The same event reports a promise
   * that has not settled after 10 s.
   */
  publish(result: ResultRecord): void | Promise<void>;
  /** Called once, after the last result. */
  close?(): void | Promise<void>;
  /** Only these streams; all if absent. */
  readonly streams?: readonly string[];
  /** Leaves out results or parts of them, as `filter` of a webhook. */
  readonly filter?: FilterSettings;
  /** What happens while it is slow; default `block`. */
  readonly queue?: QueuePolicy;
  /** Most results that wait for it, 1 to 1,000,000; default 256. */
  readonly capacity?: number;
}

export const DEFAULT_CAPACITY = 256;
/** Time that waiting results get when the engine closes. */
const CLOSE_MS = 5000;
/** A sink that has not taken a result after this time is reported. */
const STUCK_MS = 10_000;

/** Carries results to a `CustomSink`. */
export class ObjectSink implements Sink {
  readonly id: string;
  readonly #sink: CustomSink;
  readonly #queue: ResultQueue;
  readonly #onFailure: SinkFailureListener;
  readonly #delivery: Promise<void>;
  #problem: SightlineError | null = null;
  /** The result that the program has counts as lost, even if it takes it later. */
  #isGivenUp = false;
  #closing: Promise<void> | null = null;

  constructor(sink: CustomSink, onFailure: SinkFailureListener) {
    this.id = sink.id;
    this.#sink = sink;
    this.#onFailure = onFailure;
    const { id, queue: policy = 'block', capacity = DEFAULT_CAPACITY } = sink;
    this.#queue = new ResultQueue({ id, policy, capacity, onEnd: () => undefined });
    this.#delivery = this.#deliver();
  }

  publish(frame: PublishedFrame, source: string, canWait?: boolean): boolean {
    return this.#queue.publish(frame, source, canWait);
  }

  drained(): Promise<void> {
    return this.#queue.drained();
  }

  get figures(): SinkFigures {
    return { ...this.#queue.figures, problem: this.#problem?.message ?? null };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #deliver(): Promise<void> {
    for await (const result of this.#queue) {
      const cancelWatch = systemClock.setTimer(() => {
        if (!this.#isGivenUp) this.#fail(`it has not taken a result for ${STUCK_MS / 1000} s`);
      }, STUCK_MS);
      try {
        await this.#sink.publish(result);
        this.#problem = null;
      } catch (error) {
        if (this.#isGivenUp) return;
        this.#queue.refuse();
        this.#fail(`it refused a result: ${messageOf(error)}`);
      } finally {
        cancelWatch();
      }
    }
  }

  async #close(): Promise<void> {
    await this.#queue.close();
    if (!(await settlesWithin(this.#delivery, CLOSE_MS))) {
      // The result that it did not take is lost, and so are those that wait.
      this.#isGivenUp = true;
      await this.#queue.return();
    }
    await this.#closeSink();
    const { overflow = 0, failed = 0 } = this.figures.lost;
    const lost = overflow + failed;
    if (lost > 0) throw this.#failure(`${countOf(lost)} lost`);
    if (this.#problem !== null) throw this.#problem;
  }

  async #closeSink(): Promise<void> {
    const closing = (async () => this.#sink.close?.())();
    try {
      if (!(await settlesWithin(closing, CLOSE_MS))) this.#fail(`it did not close within ${CLOSE_MS / 1000} s`);
    } catch (error) {
      this.#fail(messageOf(error));
    }
  }

  #fail(message: string): void {
    const isFirst = this.#problem === null;
    this.#problem = this.#failure(message);
    if (isFirst) this.#onFailure(this.#problem);
  }

  #failure(message: string): SightlineError {
    return new SightlineError('SINK_FAILED', `sink ${this.id}: ${message}`, { sink: this.id });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
