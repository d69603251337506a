import type { PublishedFrame } from '../core/frame.ts';
import type { SightlineError } from '../errors/sightline-error.ts';
import type { OutputLock } from '../sinks/output-lock.ts';
import type { PictureSink, Sink } from '../sinks/sink.ts';
import type { InFlightFrame } from './frame-ledger.ts';

export interface SinkBinding {
  readonly sink: Sink;
  /** Only these streams; all where null. */
  readonly streams: ReadonlySet<string> | null;
}

/** Hands results to every sink that wants them, and holds files back when one is slow. */
export class ResultSinks {
  readonly #bindings: readonly SinkBinding[];
  /** By stream id. */
  readonly #pictureSinks = new Map<string, PictureSink>();
  readonly #locks: readonly OutputLock[];
  #isComplete = true;

  /** @param locks - of the files of all sinks, also of those that are opened later; released when the sinks are closed. */
  constructor(bindings: readonly SinkBinding[], locks: readonly OutputLock[] = []) {
    this.#bindings = bindings;
    this.#locks = locks;
  }

  /** Gives a stream's full pictures to a sink. It can only be opened once the size of the pictures is known. */
  addPictureSink(streamId: string, sink: PictureSink): void {
    this.#pictureSinks.set(streamId, sink);
  }

  /**
   * @param mayWait - the stream is a file: its slots are kept while a sink cannot take more, which stops the reading.
   * @returns when the frame's slot may be given back; null for at once.
   */
  publish(frame: PublishedFrame, label: string, inFlight: InFlightFrame, mayWait: boolean): Promise<unknown> | null {
    const waits: Promise<unknown>[] = [];
    for (const { sink, streams } of this.#bindings) {
      if (streams !== null && !streams.has(frame.streamId)) continue;
      if (!sink.publish(frame, label) && mayWait) waits.push(sink.drained());
    }
    const pictureSink = this.#pictureSinks.get(frame.streamId);
    if (pictureSink !== undefined) waits.push(pictureSink.draw(frame, inFlight.ring.slots.picture(inFlight.slot)));
    return waits.length === 0 ? null : Promise.all(waits);
  }

  /** The inputs are not read to their end: files of earlier runs are not replaced with a part. */
  markCutShort(): void {
    this.#isComplete = false;
  }

  /** Closes all, and returns what went wrong with any of them. */
  async close(): Promise<SightlineError[]> {
    const sinks = [...this.#bindings.map(({ sink }) => sink), ...this.#pictureSinks.values()];
    const results = await Promise.allSettled(sinks.map((sink) => sink.close(this.#isComplete)));
    await Promise.all(this.#locks.map((lock) => lock.release()));
    return results.flatMap((result) => (result.status === 'rejected' ? [result.reason as SightlineError] : []));
  }
}
