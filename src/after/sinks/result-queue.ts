import type { PublishedFrame } from '../../base/core/frame.ts';
import { type ResultRecord, resultRecord } from '../../wire/protocol/result-record.ts';
import { FILE_BOX_STEPS } from './result-line.ts';
import type { Sink, SinkFigures } from './sink.ts';

/**
 * What happens to results while their reader is slow and the queue is full. block: reading of files pauses, so that none of their
 * results is lost; live streams lose their oldest ones. latest: nothing pauses, and the oldest results are lost.
 */
export type QueuePolicy = 'block' | 'latest';

export interface ResultQueueOptions {
  readonly id: string;
  readonly policy: QueuePolicy;
  /** Most results that wait. */
  readonly capacity: number;
  /** Files pause once this many results wait; default `capacity`. */
  readonly pauseAt?: number;
  /** Called when nothing more can be read, perhaps more than once: its reader has stopped, or has got all. */
  readonly onEnd: () => void;
}

/** A bounded queue between the streams and one reader, who iterates over it. Lost results are counted. */
export class ResultQueue implements Sink, AsyncIterableIterator<ResultRecord, undefined> {
  readonly id: string;
  readonly #options: ResultQueueOptions;
  #frames: { readonly frame: PublishedFrame; readonly source: string; readonly canWait: boolean }[] = [];
  /** Results that the reader works on: it has not asked for the next one. */
  #inHand = 0;
  #sent = 0;
  #overflow = 0;
  #failed = 0;
  #isClosed = false;
  #failure: { readonly error: unknown } | null = null;
  readonly #readers: (() => void)[] = [];
  #whenRoom: (() => void)[] = [];

  constructor(options: ResultQueueOptions) {
    this.id = options.id;
    this.#options = options;
  }

  publish(frame: PublishedFrame, source: string, canWait = true): boolean {
    if (this.#isClosed) return true;
    const { capacity, policy } = this.#options;
    this.#frames.push({ frame, source, canWait });
    const mayWait = canWait && policy === 'block';
    if (!mayWait && this.#frames.length > capacity) {
      // Drops the oldest result that may be lost, at the latest the one just added. Those of files are kept: their streams wait.
      this.#frames.splice(
        this.#frames.findIndex((each) => policy === 'latest' || !each.canWait),
        1,
      );
      this.#overflow += 1;
    }
    this.#readers.shift()?.();
    return !mayWait || this.#hasRoom;
  }

  get #hasRoom(): boolean {
    const { capacity, pauseAt = capacity } = this.#options;
    return this.#frames.length + this.#inHand < pauseAt;
  }

  drained(): Promise<void> {
    if (this.#isClosed || this.#hasRoom) return Promise.resolve();
    return new Promise((resolve) => this.#whenRoom.push(resolve));
  }

  get figures(): SinkFigures {
    return {
      problem: null,
      sent: this.#sent,
      waiting: this.#frames.length + this.#inHand,
      retried: 0,
      lost: { overflow: this.#overflow, failed: this.#failed },
    };
  }

  /** Counts what the reader works on as lost. */
  refuse(): void {
    this.#failed += this.#inHand;
    this.#inHand = 0;
  }

  /** Takes over the results that wait in another queue, and ends that. */
  takeOver(other: ResultQueue, streams: readonly string[] | undefined): void {
    for (const { frame, source, canWait } of other.#frames)
      if (streams === undefined || streams.includes(frame.streamId)) this.publish(frame, source, canWait);
    void other.return();
  }

  /** Accepts no more results. Those that wait can still be read. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#frames.length === 0) this.#options.onEnd();
    for (const wake of [...this.#readers.splice(0), ...this.#whenRoom.splice(0)]) wake();
  }

  /** Ends the reading with an error, after the results that wait. */
  async fail(error: unknown): Promise<void> {
    this.#failure ??= { error };
    await this.close();
  }

  async next(): Promise<IteratorResult<ResultRecord, undefined>> {
    this.#sent += this.#inHand;
    this.#inHand = 0;
    for (;;) {
      const next = this.#frames.shift();
      if (next !== undefined) this.#inHand += 1;
      if (this.#hasRoom) for (const wake of this.#whenRoom.splice(0)) wake();
      if (next !== undefined) {
        if (this.#isClosed && this.#frames.length === 0) this.#options.onEnd();
        return { done: false, value: resultRecord(next.frame, FILE_BOX_STEPS, next.source) };
      }
      const failure = this.#failure;
      this.#failure = null;
      if (failure !== null) throw failure.error;
      if (this.#isClosed) return { done: true, value: undefined };
      await new Promise<void>((resolve) => this.#readers.push(resolve));
    }
  }

  /** Stops reading: what waits is lost. */
  async return(): Promise<IteratorResult<ResultRecord, undefined>> {
    this.refuse();
    this.#failed += this.#frames.length;
    this.#frames = [];
    this.#failure = null;
    await this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
