/** What the routes of the past answer, for the OpenAPI document. The types of `protocol` say what each key is. */
import { z } from 'zod';
import { CAPTURE_CLOCKS, CROSSING_DIRECTIONS } from '../../base/core/frame.ts';
import { BLIND_REASONS } from '../../wire/protocol/blind-reasons.ts';
import { EVENT_KINDS, type EventMessage } from '../../wire/protocol/feed.ts';
import type {
  CountRow,
  CountsReply,
  EventsReply,
  HeatReply,
  HistoryReply,
  KeptObject,
  OccupancyReply,
  OccupancyRow,
  SeenReply,
  SeenRow,
  SimilarObject,
  SimilarReply,
} from '../../wire/protocol/rest.ts';
import type { EventMoment, EventPicture, RuleEvent } from '../../wire/protocol/rule-event.ts';
import { named } from './route-schema.ts';

/** A key that the type lacks, or has otherwise, does not compile. */
type Replies<T> = z.ZodType<T>;

const number = z.number();
const text = z.string();
const whole = z.int();
const box = z.tuple([number, number, number, number]);
const direction = z.enum(CROSSING_DIRECTIONS);
const next = text.nullable();

const moment = { ptsUs: number.exactOptional(), at: text.exactOptional() };
const eventMoment: Replies<EventMoment> = named('EventMoment', z.object(moment));
const eventPicture: Replies<EventPicture> = named(
  'EventPicture',
  z.object({ ...moment, frame: whole, box, score: number, width: number, height: number }),
);

const ruleEvent: Replies<RuleEvent> = named(
  'RuleEvent',
  z.object({
    ...moment,
    id: text,
    seq: whole,
    phase: z.enum(['new', 'update', 'end']),
    rule: text,
    kind: z.enum([
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
    ]),
    stream: text,
    run: text.exactOptional(),
    captureClock: z.enum(CAPTURE_CLOCKS).exactOptional(),
    began: eventMoment,
    raised: eventMoment,
    ended: eventMoment.exactOptional(),
    endReason: z
      .enum(['over', 'discontinuity', 'blind', 'source-ended', 'changed', 'stopped', 'restart', 'moved'])
      .exactOptional(),
    reason: text,
    zone: text.exactOptional(),
    line: text.exactOptional(),
    direction: direction.exactOptional(),
    trackId: whole.exactOptional(),
    label: text.exactOptional(),
    score: number.exactOptional(),
    count: whole.exactOptional(),
    speed: number.exactOptional(),
    sign: text.exactOptional(),
    path: z.array(z.tuple([number, number])).exactOptional(),
    best: eventPicture.exactOptional(),
    clip: text.exactOptional(),
    blind: z.object({ seconds: number, reason: z.enum(BLIND_REASONS) }).exactOptional(),
    fence: whole.exactOptional(),
  }),
);

const eventMessage: Replies<EventMessage> = named(
  'EventMessage',
  z.object({
    type: z.literal('event'),
    timeMs: number,
    kind: z.enum(EVENT_KINDS),
    stream: text.exactOptional(),
    host: text.exactOptional(),
    message: text,
    details: z.record(text, z.union([text, number, z.boolean(), z.null()])).exactOptional(),
    rule: ruleEvent.exactOptional(),
  }),
);

const countRow: Replies<CountRow> = named(
  'CountRow',
  z.object({
    timeMs: number,
    stream: text,
    line: text.nullable(),
    direction: direction.nullable(),
    label: text,
    count: whole,
  }),
);

const seenRow: Replies<SeenRow> = named(
  'SeenRow',
  z.object({
    timeMs: number,
    stream: text,
    frames: whole,
    seenS: number,
    watchedS: number.nullable(),
    blindS: z.partialRecord(z.enum(BLIND_REASONS), number),
  }),
);

const occupancyRow: Replies<OccupancyRow> = named(
  'OccupancyRow',
  z.object({
    timeMs: number,
    stream: text,
    zone: text,
    max: whole,
    mean: number.nullable(),
    objectS: number,
    occupiedS: number,
    arrivals: whole,
    dwellS: number.nullable(),
    seenS: number,
  }),
);

const kept = {
  stream: text,
  run: text,
  trackId: whole,
  label: text,
  attribute: text,
  model: text,
  firstMs: number,
  lastMs: number,
  firstUs: number,
  lastUs: number,
  bestMs: number,
  bestUs: number,
  box,
  width: number,
  height: number,
};
const keptObject: Replies<KeptObject> = named('KeptObject', z.object(kept));
const similarObject: Replies<SimilarObject> = named(
  'SimilarObject',
  z.object({ ...kept, similarity: number, event: text.nullable() }),
);
const column = z.array(number.nullable());

export const eventsReply: Replies<EventsReply> = named(
  'EventsReply',
  z.object({ events: z.array(eventMessage), next: next.exactOptional() }),
);
export const countsReply: Replies<CountsReply> = named('CountsReply', z.object({ counts: z.array(countRow), next }));
export const seenReply: Replies<SeenReply> = named('SeenReply', z.object({ seen: z.array(seenRow), next }));
export const occupancyReply: Replies<OccupancyReply> = named(
  'OccupancyReply',
  z.object({ occupancy: z.array(occupancyRow), next }),
);
export const heatReply: Replies<HeatReply> = named(
  'HeatReply',
  z.object({ stream: text, columns: whole, rows: whole, cells: z.array(number), seenS: number }),
);
export const similarReply: Replies<SimilarReply> = named(
  'SimilarReply',
  z.object({ of: keptObject.nullable(), objects: z.array(similarObject) }),
);
export const historyReply: Replies<HistoryReply> = named(
  'HistoryReply',
  z.object({
    stepS: whole,
    times: z.array(number),
    fpsIn: column,
    fpsPublished: column,
    p50: column,
    p95: column,
    p99: column,
  }),
);
