import type { Box, RatioPoint } from '../core/detection.ts';
import type { CaptureClock, CrossingDirection } from '../core/frame.ts';

/** What a rule of events watches for; docs/events.md describes each. */
export const RULE_KINDS = [
  'appears',
  'leaves',
  'enters',
  'exits',
  'dwells',
  'crosses',
  'count',
  'speed',
  'stationary',
  'picture',
  'stream',
] as const;

/** What a rule of events watches for, see `RULE_KINDS`. */
export type RuleKind = (typeof RULE_KINDS)[number];

/** Each event has exactly one `new` and one `end`, and possibly updates between them. */
export const EVENT_PHASES = ['new', 'update', 'end'] as const;

/** Where an event is in its life, see `EVENT_PHASES`. */
export type EventPhase = (typeof EVENT_PHASES)[number];

/**
 * Why an event ended. over: what it reports is over; discontinuity: the media time of its stream jumped back, so that objects before and after are
 * unrelated; changed: its rule was changed or removed; stopped: its stream was paused or removed, or the host stopped; restart: the host ended
 * without a word, and the next one ended the event; moved: another host of the fleet took the stream over.
 */
export const EVENT_ENDS = ['over', 'discontinuity', 'changed', 'stopped', 'restart', 'moved'] as const;

/** Why an event ended, see `EVENT_ENDS`. */
export type EventEnd = (typeof EVENT_ENDS)[number];

/** A moment of a stream. */
export interface EventMoment {
  /** Media time in microseconds, as in results; absent if no frame had been published yet. */
  readonly ptsUs?: number;
  /** Wall clock as ISO text; absent for recordings, whose clock is not known. */
  readonly at?: string;
}

/** The picture of an event's life in which its object scored best. */
export interface EventPicture extends EventMoment {
  /** Number of the frame, as in results. */
  readonly frame: number;
  readonly box: Box;
  readonly score: number;
  /** Size of the picture in source pixels. */
  readonly width: number;
  readonly height: number;
}

/** Seconds before an event in which its stream was not watched. */
export interface BlindBefore {
  readonly seconds: number;
  /** Why, see `BLIND_REASONS`. */
  readonly reason: string;
}

/** What a rule reports: the state of one event at one moment of its life. `id` and `seq` identify it, `ptsUs` and `at` say when it was made. */
export interface RuleEvent extends EventMoment {
  /** The same in all records of an event. For a recording it depends on its contents and on the rule alone. */
  readonly id: string;
  /** Number of the record within the event's life, from 0. */
  readonly seq: number;
  readonly phase: EventPhase;
  /** Id of the rule. */
  readonly rule: string;
  readonly kind: RuleKind;
  /** Id of the stream. */
  readonly stream: string;
  /** As in results: which run of the stream it belongs to; absent for recordings. */
  readonly run?: string;
  /** Whose clock `at` is. */
  readonly captureClock?: CaptureClock;
  /** When what it reports began: an object that dwells, when it came. */
  readonly began: EventMoment;
  /** When the rule was met, at or after `began`. */
  readonly raised: EventMoment;
  /** When it was over, which may be before the record was made: an object that is gone, when it was last seen. Only with phase `end`. */
  readonly ended?: EventMoment;
  /** Only with phase `end`. */
  readonly endReason?: EventEnd;
  /** The rule and the facts, in one English sentence. */
  readonly reason: string;
  /** The zone or line of the rule. */
  readonly zone?: string;
  readonly line?: string;
  readonly direction?: CrossingDirection;
  /** Of the object; absent for rules about several objects or about none. */
  readonly trackId?: number;
  readonly label?: string;
  /** Best score of the object so far. */
  readonly score?: number;
  /** Number of objects, of a rule that counts. */
  readonly count?: number;
  /** Metres per second with a scale, else picture heights per second. */
  readonly speed?: number;
  /** What is wrong with the picture or the stream, of rules about these. */
  readonly sign?: string;
  /** Where the object was, as ratios of the picture, at most 64 points evenly spread over its life. */
  readonly path?: readonly RatioPoint[];
  readonly best?: EventPicture;
  readonly blind?: BlindBefore;
  /** Of the lease, in a fleet: as in results. */
  readonly fence?: number;
}

/** A rule event as CloudEvents 1.0 in JSON. */
export interface CloudEvent {
  readonly specversion: '1.0';
  /** `id` and `seq` of the rule event: the same for a record that is delivered twice. */
  readonly id: string;
  /** The stream. */
  readonly source: string;
  readonly type: `io.sightline.event.${EventPhase}`;
  /** The rule. */
  readonly subject: string;
  /** When it happened; absent for recordings. */
  readonly time?: string;
  readonly datacontenttype: 'application/json';
  readonly data: RuleEvent;
}

/** Returns a rule event as CloudEvents' JSON format wants it. @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md */
export function cloudEvent(event: RuleEvent): CloudEvent {
  const { at } = event;
  return {
    specversion: '1.0',
    id: `${event.id}.${event.seq}`,
    source: `/streams/${encodeURIComponent(event.stream)}`,
    type: `io.sightline.event.${event.phase}`,
    subject: event.rule,
    ...(at === undefined ? {} : { time: at }),
    datacontenttype: 'application/json',
    data: event,
  };
}
