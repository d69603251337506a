/**
 * The bus between hosts: the envelope and the bodies of its topics. Every message is checked where it arrives. Unknown keys,
 * of newer hosts, are left out; a message with a missing or wrong field is refused as a whole.
 *
 * A change that an old reader would misread raises `BUS_PROTOCOL`; a message without `v` is of version 1.
 */
import { z } from 'zod';
import type { PublishedFrame } from '../core/frame.ts';
import { count, id, name, text, timeMs, type Wire } from './bounds.ts';
import type { EventMessage } from './feed.ts';
import { BUS_TOPICS, type BusTopic } from './fleet.ts';
import { copyFrame, frameBody } from './frame-body.ts';
import { hostReport, type StreamReport, streamReport } from './report.ts';

export const BUS_PROTOCOL = 1;

/**
 * Longest text of a message, characters: beyond it nothing is parsed. Some 2 KiB a stream and 100 bytes a detection are
 * usual; a picture of 640 pixels has 50 to 100 KiB.
 */
export const MOST_MESSAGE_CHARS: Readonly<Record<BusTopic, number>> = {
  stats: 16 * 1024 * 1024,
  events: 256 * 1024,
  detections: 1024 * 1024,
  preview: 8 * 1024 * 1024,
  wake: 1024 * 1024,
};

export const busMessage = z.object({
  topic: z.enum(BUS_TOPICS),
  hostId: id,
  /** null for what concerns the host; so is `fence`. */
  stream: id.nullable(),
  fence: count.nullable(),
  body: z.unknown(),
});

/** Streams that one host reports, and hosts that one message wakes. */
const MOST_STREAMS = 10_000;

/** A stream that a host has the lease of and cannot run. */
const streamFailure = z.object({ id, fence: count, message: text });
export type StreamFailure = Wire<typeof streamFailure>;

const statsBody = z.object({
  timeMs,
  streams: z.array(streamReport.extend({ fence: count })).max(MOST_STREAMS),
  failures: z.array(streamFailure).max(MOST_STREAMS),
  host: hostReport,
});
/** Topic `stats`, once a second: the report of one host, of the streams that it holds a lease of. */
export interface StatsBody extends Omit<Wire<typeof statsBody>, 'streams'> {
  /** Each with its `fence`. */
  readonly streams: readonly StreamReport[];
}

/** Topic `preview`: a published frame and its picture as base64 JPEG. Topic `detections` has the frame alone. */
export interface PreviewBody {
  readonly frame: PublishedFrame;
  readonly jpeg: string;
}

const previewBody = z.object({
  frame: frameBody,
  /** To look at each character would cost more than all the rest; decoding never throws. */
  jpeg: z.string(),
});

const MOST_DETAILS = 64;

const eventBody = z.object({
  type: z.literal('event'),
  timeMs,
  /** A newer host may have kinds of its own. */
  kind: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/),
  stream: id.optional(),
  host: id.optional(),
  message: text,
  details: z
    .record(name, z.union([text, z.number(), z.boolean(), z.null()]))
    .refine((details) => Object.keys(details).length <= MOST_DETAILS, `expected at most ${MOST_DETAILS} details`)
    .optional(),
});

/** Topic `wake`: who is to ask for news; everybody whom the envelope's stream concerns where it is null. */
const wakeBody = z.object({ hosts: z.array(id).max(MOST_STREAMS) }).nullable();
export type WakeBody = Wire<typeof wakeBody>;

/** A body, or what is wrong with it. */
export type Reading<T> = { readonly body: T } | { readonly complaint: string };

export const readStats = reader<StatsBody>(statsBody);
export const readPreview = reader<PreviewBody>(previewBody);
export const readEvent = reader<EventMessage>(eventBody);
export const readWake = reader<WakeBody>(wakeBody);

const readFrameBySchema = reader<PublishedFrame>(frameBody);

/** On the path of every frame that a gateway shows: the schema is asked only where the quick check says no. */
export function readFrame(body: unknown): Reading<PublishedFrame> {
  const frame = copyFrame(body);
  return frame === null ? readFrameBySchema(body) : { body: frame };
}

/** The brands of a frame's times, and names that only a newer host has, are beyond what a schema can state. */
function reader<T>(schema: z.ZodType): (body: unknown) => Reading<T> {
  return (body) => {
    const result = schema.safeParse(body);
    return result.success ? { body: result.data as T } : { complaint: complaintOf(result.error) };
  };
}

/** The first thing that is wrong: where and what. The value itself, which may be long or secret, stays out. */
export function complaintOf({ issues }: z.ZodError): string {
  const issue = issues[0];
  return issue === undefined ? 'unknown' : `${issue.path.join('.') || 'body'}: ${issue.message}`;
}
