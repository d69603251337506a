import type { PublishedFrame } from '../../base/core/frame.ts';
import type { SightlineError } from '../../base/errors/sightline-error.ts';
import type { AlertDelivery } from '../../wire/protocol/alert-delivery.ts';
import type { SinkReport, SnapshotFigures, StreamReport } from '../../wire/protocol/report.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';

/** What became of the results that a sink accepted: the sum of `sent`, `waiting` and all of `lost`. */
export type SinkFigures = Omit<SinkReport, 'id'>;

/** The parts of a result that are written. */
export type WrittenFrame = Omit<PublishedFrame, 'times'>;

/** Sends pictures of events after the events themselves. What waits survives the process as they do. */
export interface SnapshotChannel {
  /** @param link - address of the picture. @param jpeg - the picture. */
  send(event: RuleEvent, link: string, jpeg: Uint8Array): void;
  readonly figures: SnapshotFigures;
}

/** Receives what became of the message with an id, as in `RuleEvent`. */
export type DeliveryListener = (message: string, outcome: Omit<AlertDelivery, 'channel'>) => void;

/** Keeps something for the next process; of a key, the newest. */
export type KeepState = (key: string, value: object) => void;

/**
 * A destination of results. `publish` never throws: failures are reported to `SinkFailureListener` when they happen and by
 * `close` at the end, so that a broken sink never stops its stream.
 */
export interface Sink {
  /** Name given by the user or the command; part of every message about the sink. */
  readonly id: string;

  /**
   * Accepts a result. Frames of one source must arrive in order; the sink keeps that order.
   *
   * @param source - name of the input as shown in results, credentials already redacted.
   * @param canWait - false for a live stream, which publishes anyway: the sink then applies its own loss policy and counts
   *   what it drops. Default true.
   * @returns false if the caller should wait for `drained()` before the next one.
   */
  publish(frame: WrittenFrame, source: string, canWait?: boolean): boolean;

  /**
   * Accepts what a rule reports, as `publish` does a result, in order with the results of its stream. Absent if its kind has no place
   * for events, or its settings want none.
   *
   * @param onKept - called once when the record would survive a kill of this process: it is on the disk, with the receiver, or counted as lost; at
   *   once if this sink does not send it. Never called after `close` for a record that came later.
   */
  publishEvent?(event: RuleEvent, canWait?: boolean, onKept?: () => void): boolean;

  /** Begins to send pictures of events, which `figures` does not count. Absent if its settings want none. */
  openSnapshots?(): SnapshotChannel;

  /** Calls a listener with each attempt to deliver the beginning of an event. Absent if its kind does not know. */
  watchDeliveries?(listener: DeliveryListener): void;

  /** Goes on with the limit of an earlier process. Absent if it has none. @param kept - what that kept last, by key. */
  resume?(kept: ReadonlyMap<string, unknown>, keep: KeepState): void;

  /** Receives the figures of all streams of this host once a second. Absent if its kind shows no states. */
  observe?(streams: readonly StreamReport[]): void;

  /** Resolves once `publish` would return true (possibly at once), or when the sink fails or closes. */
  drained(): Promise<void>;

  /** What became of the results so far. */
  readonly figures: SinkFigures;

  /**
   * Writes all accepted results and releases files and sockets. Later calls return the same promise; frames published
   * after the first call are lost.
   *
   * @param isComplete - whether the inputs were read to their end, default true. An incomplete file never replaces an
   *   earlier one.
   * @throws SINK_FAILED if any result was lost since the start; the message says how many and why.
   */
  close(isComplete?: boolean): Promise<void>;
}

/** A sink that needs full pictures. Its stream reads full pictures and holds their slots until `draw` is done. */
export interface PictureSink {
  readonly id: string;

  /**
   * Draws a result on its picture. May be called again before the promise settles; the order is kept. Never rejects.
   *
   * @param picture - u8 `[height, width, 3]` in shared memory, owned by the sink until the promise settles.
   */
  draw(frame: PublishedFrame, picture: Uint8Array): Promise<void>;

  /** What became of the pictures so far. */
  readonly figures: SinkFigures;

  /** As `Sink.close`. @throws SINK_FAILED if any picture was lost. */
  close(isComplete?: boolean): Promise<void>;
}

/** Receives each failure (always code SINK_FAILED) when it happens. Must not throw. */
export type SinkFailureListener = (error: SightlineError) => void;

/** Who gets a record, by the id of the sink; each promise resolves as `onKept` of `Sink.publishEvent` is called. */
export type Handover = ReadonlyMap<string, Promise<unknown>>;

/** Passes a record to a sink; resolves as `onKept` is called. */
export function handOver(sink: Pick<Sink, 'publishEvent'>, event: RuleEvent, canWait: boolean): Promise<void> {
  return new Promise((resolve) => {
    if (sink.publishEvent === undefined) resolve();
    else sink.publishEvent(event, canWait, resolve);
  });
}
