/**
 * The bus between hosts: the envelope and the bodies of its topics. The receiver validates every message. Unknown keys from
 * newer hosts are left out; a message with a missing or wrong field is refused as a whole.
 *
 * A change that an old reader would misread increments `BUS_PROTOCOL`; a message without `v` has version 1.
 */
import { z } from 'zod';
import type { PreviewPicture, PublishedFrame } from '../../base/core/frame.ts';
import { count, id, mediaTimeUs, name, text, timeMs, type Wire } from './bounds.ts';
import type { EventMessage } from './feed.ts';
import { BUS_TOPICS, type BusTopic, ruleRecord } from './fleet.ts';
import { frameBody, readFrameFast } from './frame-body.ts';
import { hostReport, type StreamReport, streamReport } from './report.ts';
import { type ObservationsBody, observationsBody, rolloutWake } from './rollout-records.ts';

export const BUS_PROTOCOL = 1;

/**
 * Maximum length of a message in characters; a longer one is not parsed. Typical sizes are 2 KiB per stream, 100 bytes per
 * detection, and 50 to 100 KiB for a picture of 640 pixels.
 */
export const MOST_MESSAGE_CHARS: Readonly<Record<BusTopic, number>> = {
  stats: 16 * 1024 * 1024,
  events: 256 * 1024,
  detections: 1024 * 1024,
  preview: 8 * 1024 * 1024,
  wake: 1024 * 1024,
  rollout: 4 * 1024,
  observations: 4 * 1024 * 1024,
};

export const busMessage = z.object({
  topic: z.enum(BUS_TOPICS),
  hostId: id,
  /** Like `fence`, null for messages about the host. */
  stream: id.nullable(),
  fence: count.nullable(),
  body: z.unknown(),
});

/** Maximum number of streams in a host's report, and of hosts that one message wakes. */
const MAX_STREAMS = 10_000;

/** A stream that a host holds the lease of but cannot run. */
const streamFailure = z.object({ id, fence: count, message: text });
export type StreamFailure = Wire<typeof streamFailure>;

const statsBody = z.object({
  timeMs,
  streams: z.array(streamReport.extend({ fence: count })).max(MAX_STREAMS),
  failures: z.array(streamFailure).max(MAX_STREAMS),
  host: hostReport,
});
/** Topic `stats`, once a second: the report of one host with the streams that it holds leases of. */
export interface StatsBody extends Omit<Wire<typeof statsBody>, 'streams'> {
  /** Each with its `fence`. */
  readonly streams: readonly StreamReport[];
}

/** Topic `preview`: a picture as base64 JPEG with its result. Topic `detections` has the frame alone. */
export interface PreviewBody extends Omit<PreviewPicture, 'jpeg'> {
  readonly jpeg: string;
}

const previewBody = z.object({
  frame: frameBody,
  /** Not checked as base64: that would cost more than all other checks, and decoding never throws. */
  jpeg: z.string(),
  pictureUs: mediaTimeUs.optional(),
  hasResult: z.literal(false).optional(),
});

const MAX_DETAILS = 64;

const eventBody = z
  .object({
    type: z.literal('event'),
    timeMs,
    /** Newer hosts may send unknown kinds. */
    kind: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/),
    stream: id.optional(),
    host: id.optional(),
    message: text,
    details: z
      .record(name, z.union([text, z.number(), z.boolean(), z.null()]))
      .refine((details) => Object.keys(details).length <= MAX_DETAILS, `expected at most ${MAX_DETAILS} details`)
      .optional(),
    rule: ruleRecord.optional(),
  })
  .refine(({ stream, rule }) => rule === undefined || rule.stream === stream, 'expected a rule of its own stream');

/**
 * Topic `wake`: the hosts that should read the control plane; null means all hosts that the envelope's stream concerns. With
 * `standsBy` the sender is ready to go on with that stream, so its host can hand it over.
 */
const wakeBody = z.object({ hosts: z.array(id).max(MAX_STREAMS), standsBy: z.boolean().optional() }).nullable();
export type WakeBody = Wire<typeof wakeBody>;

/** A body, or what is wrong with it. */
export type Reading<T> = { readonly body: T } | { readonly complaint: string };

export const readStats = reader<StatsBody>(statsBody);
export const readPreview = reader<PreviewBody>(previewBody);
export const readEvent = reader<EventMessage>(eventBody);
export const readWake = reader<WakeBody>(wakeBody);
export const readObservations = reader<ObservationsBody>(observationsBody);
export const readRolloutWake = reader<{ readonly pipeline: string }>(rolloutWake);

const readFrameBySchema = reader<PublishedFrame>(frameBody);

/** Runs for every frame that a gateway shows: the schema is used only if the fast check fails. */
export function readFrame(body: unknown): Reading<PublishedFrame> {
  const frame = readFrameFast(body);
  return frame === null ? readFrameBySchema(body) : { body: frame };
}

/** The cast is needed because a schema cannot express the brands of a frame's times or names of newer hosts. */
function reader<T>(schema: z.ZodType): (body: unknown) => Reading<T> {
  return (body) => {
    const result = schema.safeParse(body);
    return result.success ? { body: result.data as T } : { complaint: complaintOf(result.error) };
  };
}

/** Describes the first problem: where and what. The value is left out, since it may be long or secret. */
export function complaintOf({ issues }: z.ZodError): string {
  const issue = issues[0];
  return issue === undefined ? 'unknown' : `${issue.path.join('.') || 'body'}: ${issue.message}`;
}
