import type { PublishedFrame } from '../../base/core/frame.ts';
import type { SightlineError } from '../../base/errors/sightline-error.ts';
import type { ResultOutlet } from '../../frame/runtime/results/result-outlet.ts';
import type { InFlightFrame } from '../../frame/runtime/stream/in-flight-frame.ts';
import type { SinkReport, StreamReport } from '../../wire/protocol/report.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';
import { filterResult } from './filter-result.ts';
import type { OutputLock } from './output-lock.ts';
import type { ReceiverThread } from './receiver-thread.ts';
import { type Handover, handOver, type PictureSink, type Sink } from './sink.ts';
import type { FilterConfig } from './sink-settings.ts';

export interface SinkBinding {
  readonly sink: Sink;
  /** Only these streams; all if null. */
  readonly streams: ReadonlySet<string> | null;
  /** Everything if absent. */
  readonly filter?: FilterConfig | undefined;
}

/** Passes results to the sinks that subscribe to their stream, and holds files back while a sink is slow. */
export class ResultSinks implements ResultOutlet {
  #bindings: readonly SinkBinding[];
  /** By stream id. */
  readonly #pictureSinks = new Map<string, PictureSink>();
  /** Sinks that files wait for. */
  readonly #full = new Map<Sink, Promise<void>>();
  /** Sinks that tell alerts. */
  readonly #channels = new Set<Sink>();
  readonly #locks: readonly OutputLock[];
  readonly #receivers: ReceiverThread | null;
  #isComplete = true;

  /**
   * @param locks - locks on the files of all sinks, including those opened later; released when the sinks are closed.
   * @param receivers - the thread that these sinks send from, ended when they are closed.
   */
  constructor(
    bindings: readonly SinkBinding[],
    locks: readonly OutputLock[] = [],
    receivers: ReceiverThread | null = null,
  ) {
    this.#bindings = bindings;
    this.#locks = locks;
    this.#receivers = receivers;
  }

  /** Adds a sink while streams run. */
  add(binding: SinkBinding): void {
    this.#bindings = [...this.#bindings, binding];
  }

  /** Removes a sink, without closing it. */
  remove(sink: Sink): void {
    this.#bindings = this.#bindings.filter((binding) => binding.sink !== sink);
  }

  /** Whether a sink gets the results of a stream. */
  reads(streamId: string): boolean {
    return this.#pictureSinks.has(streamId) || this.#bindings.some(({ streams }) => streams?.has(streamId) !== false);
  }

  /** Adds a sink for a stream's full pictures. It can only be opened once their size is known. */
  addPictureSink(streamId: string, sink: PictureSink): void {
    this.#pictureSinks.set(streamId, sink);
  }

  /** Returns a promise that settles when the sinks of a file may have room again; null if all can take its next result. */
  room(streamId: string): Promise<unknown> | null {
    if (this.#full.size === 0) return null;
    const full = this.#bindings.flatMap(({ sink, streams }) =>
      streams?.has(streamId) === false ? [] : (this.#full.get(sink) ?? []),
    );
    return full.length === 0 ? null : Promise.all(full);
  }

  /**
   * @param mayWait - true for files, which ask for `room` before their next result.
   * @returns a promise that settles when the frame's slot can be released; null if it can be released at once.
   */
  publish(frame: PublishedFrame, label: string, inFlight: InFlightFrame, mayWait: boolean): Promise<unknown> | null {
    const waits: Promise<unknown>[] = [];
    for (const { sink, streams, filter } of this.#bindings) {
      if (streams !== null && !streams.has(frame.streamId)) continue;
      const result = filter === undefined ? frame : filterResult(frame, filter);
      if (result === null) continue;
      if (sink.publish(result, label, mayWait) || !mayWait || this.#full.has(sink)) continue;
      this.#full.set(
        sink,
        sink.drained().finally(() => this.#full.delete(sink)),
      );
    }
    const pictureSink = this.#pictureSinks.get(frame.streamId);
    if (pictureSink !== undefined) waits.push(pictureSink.draw(frame, inFlight.ring.slots.picture(inFlight.slot)));
    return waits.length === 0 ? null : Promise.all(waits);
  }

  /** Returns a sink that tells alerts and gets no events besides. */
  channel(id: string): Sink {
    const { sink } = this.#bindings.find((binding) => binding.sink.id === id)!;
    this.#channels.add(sink);
    return sink;
  }

  /**
   * Passes what a rule reports to the sinks that want events of its stream.
   *
   * @param given - sinks that have it from an earlier process.
   */
  publishEvent(event: RuleEvent, mayWait: boolean, given: ReadonlySet<string> = new Set()): Handover {
    const takers = this.#bindings.filter(
      ({ sink, streams }) =>
        sink.publishEvent !== undefined &&
        streams?.has(event.stream) !== false &&
        !this.#channels.has(sink) &&
        !given.has(sink.id),
    );
    return new Map(takers.map(({ sink }) => [sink.id, handOver(sink, event, mayWait)]));
  }

  /** Lets sinks go on with the limits of an earlier process. */
  resume(...kept: Parameters<NonNullable<Sink['resume']>>): void {
    for (const { sink } of this.#bindings) sink.resume?.(...kept);
  }

  /** Passes the figures of streams, once a second, to the sinks that show them. */
  observe(reports: readonly StreamReport[]): void {
    for (const { sink, streams } of this.#bindings)
      sink.observe?.(streams === null ? reports : reports.filter(({ id }) => streams.has(id)));
  }

  /** Counts of each sink: sent, waiting and lost results. */
  get reports(): SinkReport[] {
    return this.#all.map((sink) => ({ id: sink.id, ...sink.figures }));
  }

  /** Why sinks cannot write now, a clause each; null if all can. */
  get problem(): string | null {
    const problems = this.#all.flatMap(({ figures: { problem } }) => problem ?? []);
    return problems.length === 0 ? null : problems.join('; ');
  }

  get #all(): (Sink | PictureSink)[] {
    return [...this.#bindings.map(({ sink }) => sink), ...this.#pictureSinks.values()];
  }

  /** Marks the run as incomplete, so that files of earlier runs are not replaced with partial results. */
  markCutShort(): void {
    this.#isComplete = false;
  }

  /** Closes all sinks. @returns their failures. */
  async close(): Promise<SightlineError[]> {
    const results = await Promise.allSettled(this.#all.map((sink) => sink.close(this.#isComplete)));
    await Promise.all([...this.#locks.map((lock) => lock.release()), this.#receivers?.close()]);
    return results.flatMap((result) => (result.status === 'rejected' ? [result.reason as SightlineError] : []));
  }
}
