import { settlesWithin } from '../../base/flow/settles-within.ts';
import type { ResultRecord } from '../../wire/protocol/result-record.ts';
import type { CloudEvent } from '../../wire/protocol/rule-event.ts';

/** Time that the end of a connection may take when a sink closes. */
const END_MS = 1000;

/** The outcome of one attempt. `reason` contains no credentials and nothing of the records. */
export type Attempt =
  | {
      readonly kind: 'delivered';
      /** What the receiver said, as `answered 200`. */
      readonly answer?: string;
    }
  | {
      readonly kind: 'failed';
      readonly reason: string;
      /** The receiver refuses the record after those that were delivered; of a transport that sends batches as one, the whole batch. */
      readonly isFinal: boolean;
      /** Lower bound of the wait before the next attempt; null without one. */
      readonly retryAfterMs: number | null;
      /** How many records were delivered, from the first; absent if a batch is delivered as one. */
      readonly delivered?: number;
      /** How often the receiver has refused records like this one, each time that it was asked; absent while it refuses all. */
      readonly refusals?: number;
    };

/** Records that wait, oldest first. */
export interface Batch {
  /** Number of the batch in this run of the sink, from 1. */
  readonly number: number;
  /** Records that the sink has lost since its start. */
  readonly lost: number;
  /** Each is a line of JSON: a result as in JSONL files, or an event as CloudEvents has it. */
  readonly texts: readonly string[];
  /** Events before these that `EventLimit` did not let pass, which a message names. */
  readonly skipped?: number;
}

/** What is special about a kind of receiver. `SpooledSink` does the rest: order, retries, what waits. */
export interface Transport {
  /** Where records go, for messages; without credentials. */
  readonly shownUrl: string;
  /** Tries once to deliver a batch. Never rejects. `signal` ends the attempt; its reason must be an Error, whose message is reported. */
  send(batch: Batch, signal: AbortSignal): Promise<Attempt>;
  /** What a kind does besides: question and answer are plain data. Absent if there is nothing. */
  ask?(question: unknown, signal: AbortSignal): Promise<unknown>;
  /** Releases the connection. Never rejects. */
  close?(): Promise<void>;
}

/** Type of the record of a picture. */
export const SNAPSHOT = 'io.sightline.event.snapshot' satisfies CloudEvent['type'];

/** Returns whether a record is an event; all others are results. */
export function isEventText(text: string): boolean {
  return text.startsWith('{"specversion"');
}

/** A record as brokers get it. */
export interface OutgoingRecord {
  /** Identifies it: the same for a record that is sent twice. */
  readonly id: string;
  /** Name of the stream; the order of its records counts. */
  readonly stream: string;
  /** Of an event as in `CloudEvent`. */
  readonly type: CloudEvent['type'] | 'io.sightline.result';
  /** The rule of an event; null for a result. */
  readonly rule: string | null;
  /** Parsed when it is asked for; null for a result. */
  readonly event: CloudEvent | null;
  /** The record as a line of JSON. */
  readonly text: string;
}

/** Reads a record of a batch. */
export function outgoingRecord(text: string): OutgoingRecord {
  if (isEventText(text)) {
    // What addresses it comes before its data, which most transports pass on as they are.
    const head = `${text.slice(0, text.indexOf(',"datacontenttype"'))}}`;
    const { id, source, type, subject } = JSON.parse(head) as CloudEvent;
    const stream = decodeURIComponent(source.slice('/streams/'.length));
    return {
      id,
      stream,
      type,
      rule: subject,
      text,
      get event() {
        return JSON.parse(text) as CloudEvent;
      },
    };
  }
  const { stream, run = '', frame } = JSON.parse(text) as ResultRecord;
  return { id: `${stream}.${run}.${frame}`, stream, type: 'io.sightline.result', rule: null, event: null, text };
}

/** Says that the receiver does not want a record, and would not want it later: it is tried a few times more, then dropped. */
export class Refusal extends Error {}

/** An open connection to a receiver. */
export interface Connection {
  /**
   * Resolves once the receiver has stored all of these records, or rejects: with a `Refusal`, after which the connection is still good,
   * or with any other error, after which it is ended.
   */
  send(records: readonly OutgoingRecord[]): Promise<void>;
  /** Ends it; sends that are under way may reject or never settle. */
  end(): unknown;
}

/** Sends to a receiver that confirms each record alone: without waiting between them, and none twice on one connection. */
export class Pipeline {
  /** Ids of records that were confirmed, though one before them was not. */
  readonly #early = new Set<string>();

  /**
   * As `Connection.send`.
   *
   * @param publish - resolves once the receiver has confirmed the record; called in order.
   * @param atOnce - how many may wait for their confirmation, at least 1; default: all.
   */
  async send(
    records: readonly OutgoingRecord[],
    publish: (record: OutgoingRecord) => Promise<unknown>,
    atOnce = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    const missing = records.filter(({ id }) => !this.#early.has(id));
    for (let i = 0; i < missing.length; i += atOnce) {
      const sent = missing.slice(i, i + atOnce);
      const outcomes = await Promise.allSettled(sent.map(publish));
      for (const [k, { id }] of sent.entries()) if (outcomes[k]!.status === 'fulfilled') this.#early.add(id);
      // The first counts: some receivers end the connection after a refusal.
      const failure = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failure !== undefined) throw failure.reason;
    }
    for (const { id } of records) this.#early.delete(id);
  }
}

export interface ConnectionPlan<C extends Connection> {
  readonly shownUrl: string;
  /** Records that are sent at once. */
  readonly mostAtOnce: number;
  /** @param onLost - to be called when the connection has ended by itself. */
  readonly open: (onLost: () => void) => Promise<C>;
}

/** After a connection was lost with several records under way. */
const MOST_ALONE = 200;
/** After so many refusals and no delivery, a receiver refuses all. */
const REFUSES_ALL = 24;
/** Streams and rules whose refusals are counted. */
const MOST_LIKE = 10_000;

/** What a receiver refuses, it refuses by its place, which is that of its stream and rule. */
function likeOf({ stream, rule }: OutgoingRecord): string {
  return JSON.stringify([stream, rule]);
}

/** Delivers over one connection, which is made when it is needed and made anew after each failure. */
export class ConnectedTransport<C extends Connection = Connection> implements Transport {
  readonly shownUrl: string;
  readonly #plan: ConnectionPlan<C>;
  #connection: Promise<C> | null = null;
  #isClosed = false;
  /** Refusals since a record of the same stream and rule was delivered. */
  readonly #refusals = new Map<string, number>();
  /** Of any record, since one was delivered. */
  #refusalsInRow = 0;
  /** So many records are sent one by one: a receiver that ends the connection says nothing about those behind the one that it refuses. */
  #alone = 0;

  constructor(plan: ConnectionPlan<C>) {
    this.#plan = plan;
    this.shownUrl = plan.shownUrl;
  }

  async send({ texts }: Batch, signal: AbortSignal): Promise<Attempt> {
    let delivered = 0;
    let atOnce = this.#plan.mostAtOnce;
    while (delivered < texts.length) {
      const most = this.#alone > 0 ? 1 : atOnce;
      const records = texts.slice(delivered, delivered + most).map(outgoingRecord);
      try {
        await this.use((connection) => connection.send(records), signal);
        delivered += records.length;
        this.#alone = Math.max(0, this.#alone - records.length);
        this.#refusalsInRow = 0;
        for (const record of records) this.#refusals.delete(likeOf(record));
      } catch (error) {
        const failed = { kind: 'failed', reason: reasonOf(error), retryAfterMs: null, delivered } as const;
        if (!(error instanceof Refusal)) {
          if (records.length > 1) this.#alone = MOST_ALONE;
          return { ...failed, isFinal: false };
        }
        if (this.#alone > 0) this.#alone = MOST_ALONE;
        // One record of them is refused: the others must not be lost with it.
        if (records.length > 1) atOnce = 1;
        else return { ...failed, isFinal: true, ...this.#noteRefusal(likeOf(records[0]!)) };
      }
    }
    return { kind: 'delivered' };
  }

  #noteRefusal(like: string): { readonly refusals?: number } {
    const refusals = (this.#refusals.get(like) ?? 0) + 1;
    if (this.#refusals.size >= MOST_LIKE) this.#refusals.clear();
    this.#refusals.set(like, refusals);
    this.#refusalsInRow += 1;
    // Then nothing else waits that it would take, and somebody may mend it.
    return this.#refusalsInRow > REFUSES_ALL ? {} : { refusals };
  }

  /** Does something with the connection, which is opened if there is none, and ended if that fails with anything but a `Refusal`. */
  async use<T>(work: (connection: C) => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await unlessAborted(this.#connected().then(work), signal);
    } catch (error) {
      if (!(error instanceof Refusal)) void this.#drop();
      throw error;
    }
  }

  #connected(): Promise<C> {
    if (this.#isClosed) return Promise.reject(new Error('the sink is closed'));
    if (this.#connection === null) {
      const opening: Promise<C> = this.#plan.open(() => {
        if (this.#connection === opening) this.#connection = null;
      });
      this.#connection = opening;
      // Whatever it failed with, the next attempt opens another.
      opening.catch(() => {
        if (this.#connection === opening) this.#connection = null;
      });
    }
    return this.#connection;
  }

  /** Waits at most a second for the receiver to say goodbye. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await settlesWithin(this.#drop(), END_MS);
  }

  /** Ends the connection; the next attempt makes another. One that is still being opened ends when it is. */
  async #drop(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    await connection?.then((opened) => opened.end()).catch(() => undefined);
  }
}

/** Returns what a promise resolves to, unless the signal comes first: then its reason is thrown. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort);
  });
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** A receiver chooses what a reason quotes. */
const MOST_REASON = 300;

/** Returns why something failed, with the code of the system. Only the innermost cause says more than "failed". */
export function reasonOf(thrown: unknown): string {
  const reason = fullReasonOf(thrown);
  return reason.length > MOST_REASON ? `${reason.slice(0, MOST_REASON)}…` : reason;
}

function fullReasonOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return fullReasonOf(thrown.errors[0]);
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  if (!(cause instanceof Error)) return String(cause);
  const code = (cause as NodeJS.ErrnoException).code;
  return typeof code !== 'string' || cause.message.includes(code) ? cause.message : `${cause.message} (${code})`;
}
