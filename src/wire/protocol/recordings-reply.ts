import type { GapReason } from './packets.ts';

/** A stretch of time of one stream that is recorded without a gap. */
export interface RecordedSpan {
  /** Id of the stream. */
  readonly stream: string;
  /** When it begins, wall clock, milliseconds since 1970. */
  readonly fromMs: number;
  /** When it ends. */
  readonly toMs: number;
  /** Size of its files. */
  readonly bytes: number;
  /** Number of its files. */
  readonly files: number;
  /** It has events, so it is kept longer. */
  readonly ofEvents: boolean;
  /** Why nothing is recorded just before; null if nothing is known to be missing. */
  readonly gap: GapReason | 'missing' | null;
}

/** The clip of an event. */
export interface EventClip {
  /** Id of the stream. */
  readonly stream: string;
  /** It is complete: until then the time after the event is not over. */
  readonly isReady: boolean;
  /** It has a picture. */
  readonly hasPicture: boolean;
  /** When it is deleted, unless room is needed before; milliseconds since 1970. */
  readonly keptUntilMs: number;
}

/** Another host of the fleet, which keeps what it records itself. */
export interface RecordedElsewhere {
  /** Name of the host. */
  readonly host: string;
  /** Address of its gateway; null if none is known that other machines reach. */
  readonly url: string | null;
}

/** What is recorded: `GET /api/recordings`. */
export interface RecordingsReply {
  /** By stream, oldest first. */
  readonly spans: readonly RecordedSpan[];
  /** Size of all recordings and clips of the host, with their pictures and boxes. */
  readonly bytes: number;
  /** Why nothing is recorded now; null if nothing is wrong. */
  readonly problem: string | null;
  /** Why there is no live video of the stream that was asked for; null if there is. Absent otherwise. */
  readonly noLive?: string | null;
  /** Of the event that was asked for; null if it has none. Absent otherwise. */
  readonly clip?: EventClip | null;
  /** Where the stream that was asked for runs, if on another host of the fleet. */
  readonly elsewhere?: RecordedElsewhere;
}
