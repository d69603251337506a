/**
 * Feed messages as bytes. Each message is encoded once per format for all clients: encoding it per client would be the
 * gateway's largest cost on the main thread.
 */
import { Encoder } from '@msgpack/msgpack';
import type { Detection } from '../../base/core/detection.ts';
import type { PreviewPicture, PublishedFrame } from '../../base/core/frame.ts';
import type {
  DetectionsMessage,
  FeedFormat,
  PreviewMessage,
  ServerMessage,
  ShadowMessage,
  StatsMessage,
} from '../../wire/protocol/feed.ts';
import type { StreamsReply } from '../../wire/protocol/rest.ts';
import { FEED_BOX_STEPS, resultRecord, shortened } from '../../wire/protocol/result-record.ts';
import type { ShadowObservation } from '../../wire/protocol/rollout-records.ts';
import { type StreamScope, withoutWhole } from './access/stream-scope.ts';

/** One WebSocket frame. */
export interface EncodedMessage {
  readonly bytes: Uint8Array;
  /** False: a text frame, JSON. True: a binary frame, MessagePack. */
  readonly isBinary: boolean;
}

/** As JSON does, both leave out keys without a value. Whole numbers are integers in any case. */
const exactEncoder = new Encoder({ ignoreUndefined: true });
/** Writes fractions as f32: 5 bytes instead of 9. For rounded numbers, which f32's 24 bits hold. */
const shortEncoder = new Encoder({ ignoreUndefined: true, forceFloat32: true });

export function encodeMessage(message: ServerMessage<Uint8Array>, format: FeedFormat): EncodedMessage {
  const isFrame = message.type === 'detections' || message.type === 'preview' || message.type === 'shadow';
  if (format === 'msgpack') return { bytes: (isFrame ? shortEncoder : exactEncoder).encode(message), isBinary: true };
  const json = message.type === 'preview' ? { ...message, jpeg: base64(message.jpeg) } : message;
  return { bytes: Buffer.from(JSON.stringify(json)), isBinary: false };
}

/** A message for many clients: made once, and encoded once in each format that a client takes it in. */
export class SharedMessage {
  readonly #make: () => ServerMessage<Uint8Array>;
  #message: ServerMessage<Uint8Array> | null = null;
  readonly #renders = new Map<FeedFormat, () => EncodedMessage>();

  constructor(make: () => ServerMessage<Uint8Array>) {
    this.#make = make;
  }

  renderAs(format: FeedFormat): () => EncodedMessage {
    const known = this.#renders.get(format);
    if (known !== undefined) return known;
    let encoded: EncodedMessage | null = null;
    const render = (): EncodedMessage => {
      this.#message ??= this.#make();
      encoded ??= encodeMessage(this.#message, format);
      return encoded;
    };
    this.#renders.set(format, render);
    return render;
  }
}

export function detectionsMessage(frame: PublishedFrame): DetectionsMessage {
  return { type: 'detections', ...frameFields(frame) };
}

export function previewMessage({ frame, jpeg, pictureUs, hasResult }: PreviewPicture): PreviewMessage<Uint8Array> {
  const { by, ...fields } = frameFields(frame);
  return {
    type: 'preview',
    ...fields,
    ...(hasResult === false ? {} : { by }),
    ...(pictureUs === undefined ? {} : { pictureUs }),
    jpeg,
  };
}

function base64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}

export function shadowMessage({ stream, frame, control, candidate }: ShadowObservation): ShadowMessage {
  return { type: 'shadow', stream, frame, control: control.map(shortened), candidate: candidate.map(shortened) };
}

function frameFields(frame: PublishedFrame): Omit<DetectionsMessage, 'type'> {
  const latencyMs = round(frame.times.published - frame.times.captured, 100);
  const record = resultRecord(frame, FEED_BOX_STEPS);
  return { ...record, detections: record.detections.map(withoutVectors), latencyMs };
}

function round(value: number, scale: number): number {
  return Math.round(value * scale) / scale;
}

/**
 * A report in encoded parts. Clients differ in their streams and drop counts, so the parts are encoded once per format and
 * joined for each client.
 */
export class StatsParts {
  readonly #seq: StatsMessage['seq'];
  readonly #report: StreamsReply;
  #json: JsonParts | null = null;
  #msgpack: MsgpackParts | null = null;
  /** For clients that may see some streams only. */
  #scoped: StatsParts | null = null;

  constructor(seq: StatsMessage['seq'], report: StreamsReply) {
    this.#seq = seq;
    this.#report = report;
  }

  /** Returns what a client may see; `encode` chooses the streams. */
  of(scope: StreamScope): StatsParts {
    if (scope === undefined) return this;
    this.#scoped ??= new StatsParts(this.#seq, withoutWhole(this.#report));
    return this.#scoped;
  }

  encode(format: FeedFormat, streams: 'all' | ReadonlySet<string>, droppedMessages: number): EncodedMessage {
    if (format === 'msgpack') {
      this.#msgpack ??= new MsgpackParts(this.#seq, this.#report);
      return { bytes: this.#msgpack.join(streams, droppedMessages), isBinary: true };
    }
    this.#json ??= new JsonParts(this.#seq, this.#report);
    return { bytes: this.#json.join(streams, droppedMessages), isBinary: false };
  }
}

class JsonParts {
  readonly #streams: readonly { readonly id: string; readonly json: string }[];
  readonly #head: string;
  /** Host, and the fleet and the roll-out if there is one. */
  readonly #tail: string;
  #allStreams: string | null = null;

  constructor(seq: StatsMessage['seq'], { timeMs, streams, host, fleet, rollout }: StreamsReply) {
    this.#head = `{"type":"stats","seq":${seq},"timeMs":${timeMs},"streams":[`;
    this.#streams = streams.map((stream) => ({ id: stream.id, json: JSON.stringify(stream) }));
    const fleetJson = fleet === undefined ? '' : `,"fleet":${JSON.stringify(fleet)}`;
    const rolloutJson = rollout === undefined ? '' : `,"rollout":${JSON.stringify(rollout)}`;
    this.#tail = `],"host":${JSON.stringify(host)}${fleetJson}${rolloutJson},"droppedMessages":`;
  }

  join(streams: 'all' | ReadonlySet<string>, droppedMessages: number): Buffer {
    return Buffer.from(`${this.#head}${this.#joinStreams(streams)}${this.#tail}${droppedMessages}}`);
  }

  #joinStreams(streams: 'all' | ReadonlySet<string>): string {
    if (streams === 'all') {
      this.#allStreams ??= this.#streams.map(({ json }) => json).join();
      return this.#allStreams;
    }
    const wanted = this.#streams.filter(({ id }) => streams.has(id));
    return wanted.map(({ json }) => json).join();
  }
}

/** The first bytes of a map of less than 16 pairs, and of a list with a length of 32 bits (MessagePack specification). */
const FIX_MAP = 0x80;
const ARRAY_32 = 0xdd;

class MsgpackParts {
  readonly #streams: readonly { readonly id: string; readonly bytes: Uint8Array }[];
  readonly #head: Uint8Array;
  readonly #tail: Uint8Array;

  constructor(seq: StatsMessage['seq'], { timeMs, streams, host, fleet, rollout }: StreamsReply) {
    const head = Object.entries({ type: 'stats', seq, timeMs }).flat();
    const optional = Object.entries({ fleet, rollout }).filter(([, value]) => value !== undefined);
    const tail = ['host', host, ...optional.flat(), 'droppedMessages'];
    // A map is its number of pairs, and then keys and values in turn: here head, streams, tail and the value of the last key.
    const pairs = (head.length + 2 + tail.length + 1) / 2;
    this.#head = Buffer.concat([Buffer.of(FIX_MAP + pairs), ...[...head, 'streams'].map(packed)]);
    this.#streams = streams.map((stream) => ({ id: stream.id, bytes: packed(stream) }));
    this.#tail = Buffer.concat(tail.map(packed));
  }

  join(streams: 'all' | ReadonlySet<string>, droppedMessages: number): Buffer {
    const wanted = streams === 'all' ? this.#streams : this.#streams.filter(({ id }) => streams.has(id));
    const listHead = Buffer.alloc(5);
    listHead[0] = ARRAY_32;
    listHead.writeUInt32BE(wanted.length, 1);
    const parts = wanted.map(({ bytes }) => bytes);
    return Buffer.concat([this.#head, listHead, ...parts, this.#tail, packed(droppedMessages)]);
  }
}

function packed(value: unknown): Uint8Array {
  return exactEncoder.encode(value);
}

/** Embeddings stay in files, messages and the history, which tells who looks like whom, and not by which numbers. */
function withoutVectors(detection: Detection): Detection {
  const { attributes, ...rest } = detection;
  if (attributes === undefined) return detection;
  const shown = Object.entries(attributes).filter(([, { vector }]) => vector === undefined);
  return shown.length === 0 ? rest : { ...rest, attributes: Object.fromEntries(shown) };
}
