/**
 * The `/ws` feed, both directions. `docs/wire-protocol.md` describes every field for users.
 * A change that an old client would misread increments `FEED_PROTOCOL`.
 */
import { z } from 'zod';
import type { Detection } from '../core/detection.ts';
import type { ResultOrigin } from '../core/frame.ts';
import type { WireError } from '../errors/sightline-error.ts';
import type { FleetReport } from './fleet-report.ts';
import type { HostReport, StreamReport } from './report.ts';

export const FEED_PROTOCOL = 1;

export const TOPICS = ['stats', 'detections', 'preview', 'events'] as const;
export type Topic = (typeof TOPICS)[number];

/** The number of ids that fit into the largest message that the gateway reads, 64 KiB. A page shows some dozen streams. */
const MAX_STREAMS = 1000;

const topics = z
  .array(z.enum(TOPICS))
  .min(1)
  .max(4 * TOPICS.length);
const streams = z.array(z.string().min(1).max(64)).min(1).max(MAX_STREAMS).optional();

/** Messages of a client. Without `streams` it means all, including those added later. */
export const clientMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('subscribe'), topics, streams }),
  z.strictObject({ type: z.literal('unsubscribe'), topics }),
]);
export type ClientMessage = z.infer<typeof clientMessage>;

export interface HelloMessage {
  readonly type: 'hello';
  readonly protocol: typeof FEED_PROTOCOL;
  readonly version: string;
  readonly topics: readonly Topic[];
  readonly streams: readonly string[];
}

/** Sent once a second. `droppedMessages` counts messages dropped since the connection because this client was too slow. */
export interface StatsMessage {
  readonly type: 'stats';
  readonly seq: number;
  /** Wall clock, milliseconds since 1970. */
  readonly timeMs: number;
  readonly streams: readonly StreamReport[];
  /** The host of this gateway. */
  readonly host: HostReport;
  /** Only if the gateway shows a fleet. */
  readonly fleet?: FleetReport;
  readonly droppedMessages: number;
}

/** The result of one frame. */
export interface DetectionsMessage {
  readonly type: 'detections';
  readonly stream: string;
  readonly frame: number;
  readonly ptsUs: number;
  readonly width: number;
  readonly height: number;
  /** From captured to published. */
  readonly latencyMs: number;
  /** How the result came about. */
  readonly by: ResultOrigin;
  readonly detections: readonly Detection[];
}

/** A small picture of one frame with the detections of the same frame. */
export interface PreviewMessage extends Omit<DetectionsMessage, 'type'> {
  readonly type: 'preview';
  /** JPEG, base64; its size is independent of `width` and `height`, its aspect is the same. */
  readonly jpeg: string;
}

export const EVENT_KINDS = [
  'stream-state',
  'stream-added',
  'stream-removed',
  'stream-warning',
  'target-missed',
  'target-met',
  'engine-failed',
  'engine-restarted',
  'lane-restarted',
  'batch-settled',
  'line-crossed',
  'sink-failed',
  'sink-recovered',
  'host-joined',
  'host-lost',
  'stream-placed',
  'stream-reduced',
  'stream-restored',
  'stream-refused',
  'fleet-full',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** Something an operator should know. */
export interface EventMessage {
  readonly type: 'event';
  readonly timeMs: number;
  readonly kind: EventKind;
  readonly stream?: string;
  /** In a fleet, the host that it happened on. */
  readonly host?: string;
  /** One English sentence. */
  readonly message: string;
  readonly details?: Readonly<Record<string, string | number | boolean | null>>;
}

export interface ErrorMessage {
  readonly type: 'error';
  readonly error: WireError;
}

export type ServerMessage =
  | HelloMessage
  | StatsMessage
  | DetectionsMessage
  | PreviewMessage
  | EventMessage
  | ErrorMessage;
