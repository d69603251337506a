import type { Box, RatioPoint } from '../../base/core/detection.ts';
import type { CaptureClock, CrossingDirection } from '../../base/core/frame.ts';
import type { BlindReason } from './blind-reasons.ts';

/** What a rule of events watches for; docs/events.md describes each. */
export type RuleKind =
  | 'appears'
  | 'leaves'
  | 'enters'
  | 'exits'
  | 'dwells'
  | 'crosses'
  | 'count'
  | 'speed'
  | 'stationary'
  | 'picture'
  | 'stream';

/** Each event has exactly one `new` and one `end`, and possibly updates between them. */
export type EventPhase = 'new' | 'update' | 'end';

/**
 * Why an event ended. over: what it reports is over; discontinuity: the media time of its stream jumped back, so that objects before and after are
 * unrelated; blind: its stream gave no result for some seconds; source-ended: its recording is over; changed: its rule was changed or removed; stopped: its stream was paused or removed, or the host stopped; restart: the host ended
 * without a word, and the next one ended the event; moved: the lease of the stream passed on, as a rule to another host of the fleet.
 */
export type EventEnd =
  | 'over'
  | 'discontinuity'
  | 'blind'
  | 'source-ended'
  | 'changed'
  | 'stopped'
  | 'restart'
  | 'moved';

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
  /** In source pixels. */
  readonly box: Box;
  /** Confidence of the detector, 0 to 1. */
  readonly score: number;
  /** Width of the picture in source pixels. */
  readonly width: number;
  /** Height of the picture in source pixels. */
  readonly height: number;
}

/** Seconds before an event in which its stream was not watched. */
export interface BlindBefore {
  /** Together, within the minute before. */
  readonly seconds: number;
  /** Why, for most of it. */
  readonly reason: BlindReason;
}

/** What a rule reports: the state of one event at one moment of its life. `id` and `seq` identify it, `ptsUs` and `at` say when it was made. */
export interface RuleEvent extends EventMoment {
  /** The same in all records of an event. For a file it depends on its contents, the stream and the rule alone. */
  readonly id: string;
  /** Number of the record within the event's life, from 0. */
  readonly seq: number;
  /** Where in its life it is. */
  readonly phase: EventPhase;
  /** Id of the rule. */
  readonly rule: string;
  /** What the rule watches for. */
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
  /** The zone of the rule. */
  readonly zone?: string;
  /** The line of the rule. */
  readonly line?: string;
  /** Which way the object crossed it. */
  readonly direction?: CrossingDirection;
  /** Of the object; absent for rules about several objects or about none. */
  readonly trackId?: number;
  /** Class of the object: the one with the most score of all its boxes so far. */
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
  /** Where it is seen best. */
  readonly best?: EventPicture;
  /** Path of its clip at the gateway of its host, once the time after it is over; `snapshot.jpg` is beside it. Absent if its rule keeps none. */
  readonly clip?: string;
  /** How much of the minute before was not watched; absent if all of it was. */
  readonly blind?: BlindBefore;
  /** Of the lease, in a fleet: as in results. */
  readonly fence?: number;
}

/** Returns the end of an event whose host went on without it. @param last - its newest record, when it is over. */
export function endOf(last: RuleEvent, endReason: EventEnd): RuleEvent {
  const { ptsUs, at } = last;
  const ended = { ...(ptsUs === undefined ? {} : { ptsUs }), ...(at === undefined ? {} : { at }) };
  return { ...last, seq: last.seq + 1, phase: 'end', at: new Date().toISOString(), ended, endReason };
}

/** A rule event as CloudEvents 1.0 in JSON. */
export interface CloudEvent {
  /** Version of the format. */
  readonly specversion: '1.0';
  /** `id` and `seq` of the rule event: the same for a record that is delivered twice. */
  readonly id: string;
  /** The stream. */
  readonly source: string;
  /** What it tells about an event; `snapshot`: its picture is there. */
  readonly type: `io.sightline.event.${EventPhase | 'snapshot'}`;
  /** The rule. */
  readonly subject: string;
  /** When it happened; absent for recordings. */
  readonly time?: string;
  /** Format of `data`. */
  readonly datacontenttype: 'application/json';
  /** The record itself; of a snapshot, the newest record of its event. */
  readonly data: RuleEvent & Partial<Snapshot>;
}

/** The picture of an event that people were told of. */
export interface Snapshot {
  /** Address of the picture: below `gateway.publicUrl`, else a path at the gateway of its host. */
  readonly snapshot: string;
  /** The picture itself as JPEG in base64, at most 1280 wide; only of sinks with `snapshot: data`. */
  readonly jpeg?: string;
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

/** Returns the follow-up to the message about an event, with its picture. */
export function snapshotEvent(event: RuleEvent, snapshot: Snapshot): CloudEvent {
  const id = `${event.id}.snapshot`;
  return { ...cloudEvent(event), id, type: 'io.sightline.event.snapshot', data: { ...event, ...snapshot } };
}
