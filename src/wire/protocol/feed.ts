/**
 * The `/ws` feed, both directions. `docs/wire-protocol.md` describes every field for users.
 * A change that an old client would misread increments `FEED_PROTOCOL`.
 */
import { z } from 'zod';
import type { Detection } from '../../base/core/detection.ts';
import type { ResultOrigin } from '../../base/core/frame.ts';
import type { WireError } from '../../base/errors/sightline-error.ts';
import type { FleetReport } from './fleet-report.ts';
import type { HostReport, StreamReport } from './report.ts';
import type { ResultRecord } from './result-record.ts';
import type { RolloutReport } from './rollout-records.ts';
import type { RuleEvent } from './rule-event.ts';

export const FEED_PROTOCOL = 1;

export const TOPICS = ['stats', 'detections', 'preview', 'events'] as const;
/** What a client can subscribe to. */
export type Topic = (typeof TOPICS)[number];

/** How messages of a topic are encoded: JSON text, or MessagePack in binary frames. */
const FEED_FORMATS = ['json', 'msgpack'] as const;
/** `json`: text frames. `msgpack`: binary frames. */
export type FeedFormat = (typeof FEED_FORMATS)[number];

/** The number of ids that fit into the largest message that the gateway reads, 64 KiB. A page shows some dozen streams. */
const MAX_STREAMS = 1000;

const topics = z
  .array(z.enum(TOPICS))
  .min(1)
  .max(4 * TOPICS.length);
const streams = z.array(z.string().min(1).max(64)).min(1).max(MAX_STREAMS).optional();

const format = z
  .enum(FEED_FORMATS, {
    error: ({ input }) => `expected ${FEED_FORMATS.map((name) => `"${name}"`).join(' or ')}, received ${shown(input)}`,
  })
  .optional();

/** The topic that each setting of a subscription is for. */
const SETTING_OF = { detections: 'detections', movedPx: 'detections', previewFps: 'preview' } as const;

/** What a client asks of the topics that it names; replaces what it asked of them before. */
export interface SubscribeMessage {
  /** Kind of the message. */
  readonly type: 'subscribe';
  /** The topics that these settings are for. */
  readonly topics: Topic[];
  /** Ids of the wanted streams, 1 to 1000. Absent: all, including those added later. */
  readonly streams?: string[] | undefined;
  /** How the messages are encoded; absent: `json`. */
  readonly format?: FeedFormat | undefined;
  /** Only for the topic `detections`. `changes`: only frames whose detections differ from those before; absent: all frames. */
  readonly detections?: 'all' | 'changes' | undefined;
  /** Only with `changes`: source pixels by which an edge of a box may move without being a change, 0 to 1000; absent: 4. */
  readonly movedPx?: number | undefined;
  /** Only for the topic `preview`: most pictures per second and stream, 0.1 to 30; absent: the rate of the host. */
  readonly previewFps?: number | undefined;
}
const subscribe = z
  .strictObject({
    type: z.literal('subscribe'),
    topics,
    streams,
    format,
    detections: z.enum(['all', 'changes']).optional(),
    movedPx: z.number().min(0).max(1000).optional(),
    previewFps: z.number().min(0.1).max(30).optional(),
  })
  .superRefine((message, context) => {
    for (const [setting, topic] of Object.entries(SETTING_OF) as [keyof typeof SETTING_OF, Topic][]) {
      if (message[setting] === undefined || message.topics.includes(topic)) continue;
      context.addIssue({
        code: 'custom',
        path: [setting],
        message: `expected only with the topic ${topic}, received ${shown(message.topics)}`,
      });
    }
    if (message.movedPx !== undefined && message.detections !== 'changes')
      context.addIssue({ code: 'custom', path: ['movedPx'], message: 'expected only with "detections":"changes"' });
  });

/** Messages of a client. */
export const clientMessage = z.discriminatedUnion('type', [
  subscribe,
  z.strictObject({ type: z.literal('unsubscribe'), topics }),
]);
export type ClientMessage = z.infer<typeof clientMessage>;

const MAX_SHOWN_CHARS = 60;

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, MAX_SHOWN_CHARS);
}

/** Roles of access tokens. Each includes what the ones before it may do. */
export const ROLES = ['metrics', 'viewer', 'operator', 'admin'] as const;
/** The role of a token: what it may do. */
export type Role = (typeof ROLES)[number];

/** The first message of a gateway: what it is, and who the client is. */
export interface HelloMessage {
  /** Kind of the message. */
  readonly type: 'hello';
  /** Version of the feed's protocol. */
  readonly protocol: typeof FEED_PROTOCOL;
  /** Version of Sightline. */
  readonly version: string;
  /** What the client can subscribe to. */
  readonly topics: readonly Topic[];
  /** Ids of the streams that exist now. */
  readonly streams: readonly string[];
  /** Who the client is. */
  readonly access: {
    /** Name of its token; null if the gateway needs none. */
    readonly name: string | null;
    /** What it may do. */
    readonly role: Role;
    /** When the token expires, milliseconds since 1970; null if it does not. */
    readonly expiresMs: number | null;
  };
}

/** The report of all streams and of the host. Sent once a second. */
export interface StatsMessage {
  /** Kind of the message. */
  readonly type: 'stats';
  /** Incremented with each report. */
  readonly seq: number;
  /** Wall clock, milliseconds since 1970. */
  readonly timeMs: number;
  /** The figures of each stream that the client asked for. */
  readonly streams: readonly StreamReport[];
  /** The host of this gateway. */
  readonly host: HostReport;
  /** Only if the gateway shows a fleet. */
  readonly fleet?: FleetReport;
  /** The newest roll-out; only if there was one. */
  readonly rollout?: RolloutReport;
  /** Messages that the gateway dropped since the connection began, because this client was too slow. */
  readonly droppedMessages: number;
}

/** The result of one frame. */
export interface DetectionsMessage extends Omit<ResultRecord, 'source'> {
  /** Kind of the message. */
  readonly type: 'detections';
  /** Time from captured to published, in milliseconds. */
  readonly latencyMs: number;
}

/**
 * A small picture with the detections of the same frame, or with the newest that are not newer: pictures have a rate of their own, and the
 * detector does not see each.
 */
export interface PreviewMessage<Jpeg extends string | Uint8Array = string>
  extends Omit<DetectionsMessage, 'type' | 'by'> {
  /** Kind of the message. */
  readonly type: 'preview';
  /** How the result came about. Absent while the stream has none: `frame` and `ptsUs` are those of the picture then. */
  readonly by?: ResultOrigin;
  /** Media time of the picture in microseconds, if `frame`, `ptsUs` and `detections` are those of an earlier frame. */
  readonly pictureUs?: number;
  /** JPEG, base64 in JSON and bytes in MessagePack. Its size is independent of `width` and `height`, its aspect is the same. */
  readonly jpeg: Jpeg;
}

/** The boxes of both versions in one frame of a roll-out; sent after the `preview` of the same frame, under its topic. */
export interface ShadowMessage {
  /** Kind of the message. */
  readonly type: 'shadow';
  /** Id of the stream. */
  readonly stream: string;
  /** Number of the frame, as in its `preview`. */
  readonly frame: number;
  /** What the version before the roll-out finds. */
  readonly control: readonly Detection[];
  /** What the new version finds. */
  readonly candidate: readonly Detection[];
}

/** What an event can be about. */
export const EVENT_KINDS = [
  'stream-state',
  'stream-added',
  'stream-removed',
  'stream-warning',
  'stream-blind',
  'stream-seeing',
  'stream-late',
  'stream-in-time',
  'target-missed',
  'target-met',
  'overload-began',
  'overload-ended',
  'engine-failed',
  'engine-restarted',
  'lane-restarted',
  'lane-failed',
  'history-failed',
  'history-renewed',
  'batch-settled',
  'line-crossed',
  'rule',
  'sink-failed',
  'sink-recovered',
  'disk-stalled',
  'disk-answered',
  'sink-notice',
  'recording-failed',
  'recording-recovered',
  'host-joined',
  'host-lost',
  'stream-placed',
  'stream-reduced',
  'stream-restored',
  'stream-refused',
  'fleet-full',
  'fleet-state-lost',
  'control-unsuitable',
  'control-suitable',
  'rollout-started',
  'rollout-advanced',
  'rollout-held',
  'rollout-resumed',
  'rollout-promoted',
  'rollout-rolled-back',
  'rollout-aborted',
  'rollout-undone',
  'rollout-not-loaded',
  'access-changed',
  'access-failed',
  'settings-reloaded',
  'settings-failed',
  'overlay-failed',
  'overlay-recovered',
] as const;
/** What happened, see `EVENT_KINDS`. */
export type EventKind = (typeof EVENT_KINDS)[number];

/** Something an operator should know. */
export interface EventMessage {
  /** Kind of the message. */
  readonly type: 'event';
  /** When it happened, wall clock, milliseconds since 1970. */
  readonly timeMs: number;
  /** What happened. */
  readonly kind: EventKind;
  /** Id of the stream that it is about; absent if it is about none. */
  readonly stream?: string;
  /** In a fleet, the host that it happened on. */
  readonly host?: string;
  /** One English sentence. */
  readonly message: string;
  /** The facts of the message, by keys that depend on `kind`. */
  readonly details?: Readonly<Record<string, string | number | boolean | null>>;
  /** What a rule reports; only of kind `rule`. */
  readonly rule?: RuleEvent;
}

/** The answer to a message that the gateway refuses. */
export interface ErrorMessage {
  /** Kind of the message. */
  readonly type: 'error';
  /** Why the gateway refuses it. */
  readonly error: WireError;
}

/** `ServerMessage` is what a client reads from JSON, `ServerMessage<Uint8Array>` what it reads from MessagePack. */
export type ServerMessage<Jpeg extends string | Uint8Array = string> =
  | HelloMessage
  | StatsMessage
  | DetectionsMessage
  | PreviewMessage<Jpeg>
  | ShadowMessage
  | EventMessage
  | ErrorMessage;
