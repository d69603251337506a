/**
 * What became of the alert of an event in a channel: waiting, for its group or in the channel; sent; retried, since the receiver did not take it;
 * failed, given up; held, since another alert went out a short time before; quiet, in quiet times.
 */
export type DeliveryState = 'waiting' | 'sent' | 'retried' | 'failed' | 'held' | 'quiet';

/** The alert of an event in a channel: `GET /api/events/:id/alerts`. Times are wall clock, milliseconds since 1970. */
export interface AlertDelivery {
  /** Name of the channel. */
  readonly channel: string;
  /** What became of it. */
  readonly state: DeliveryState;
  /** Since when it is so. */
  readonly atMs: number;
  /** What the receiver said, as `answered 200`; why it was not sent. */
  readonly answer?: string;
  /** The attempt that failed, from 1. */
  readonly attempt?: number;
  /** After so many it is given up if the receiver refuses it; absent if it is tried for as long as it takes. */
  readonly mostAttempts?: number;
  /** When it is tried again. */
  readonly nextMs?: number;
  /** When the alert went out because of which this one was not sent. */
  readonly withMs?: number;
  /** How long no other alert follows one, as the pipeline file has it. */
  readonly hold?: string;
  /** When quiet times end. */
  readonly untilMs?: number;
}

/** Answer of `GET /api/events/:id/alerts`. */
export interface AlertsReply {
  /** Null: it is not known any more, since it was before the host started, or long ago, or on another host. */
  readonly deliveries: readonly AlertDelivery[] | null;
}
