/**
 * Feed messages as bytes. Each message is encoded once for all clients: encoding UTF-8 per client would be the gateway's
 * largest cost on the main thread.
 */
import type { Detection } from '../core/detection.ts';
import type { PublishedFrame } from '../core/frame.ts';
import type { DetectionsMessage, PreviewMessage, ServerMessage, StatsMessage } from '../protocol/feed.ts';
import type { PreviewPicture, RuntimeReport } from './runtime-port.ts';

export function encode(message: ServerMessage): Buffer {
  return Buffer.from(JSON.stringify(message));
}

export function detectionsMessage(frame: PublishedFrame): DetectionsMessage {
  return { type: 'detections', ...frameFields(frame) };
}

export function previewMessage(picture: PreviewPicture): PreviewMessage {
  const { buffer, byteOffset, byteLength } = picture.jpeg;
  const jpeg = Buffer.from(buffer, byteOffset, byteLength).toString('base64');
  return { type: 'preview', ...frameFields(picture.frame), jpeg };
}

function frameFields(frame: PublishedFrame): Omit<DetectionsMessage, 'type'> {
  return {
    stream: frame.streamId,
    frame: frame.frame,
    ptsUs: frame.ptsUs,
    width: frame.width,
    height: frame.height,
    latencyMs: round(frame.times.published - frame.times.captured, 100),
    by: frame.by,
    detections: frame.detections.map(shortened),
  };
}

/** Rounds a detection: f32 values print with 17 digits, and a tenth of a pixel is finer than any detector. */
export function shortened(detection: Detection): Detection {
  const [x, y, width, height] = detection.box;
  return {
    ...detection,
    score: round(detection.score, 10_000),
    box: [round(x, 10), round(y, 10), round(width, 10), round(height, 10)],
  };
}

function round(value: number, scale: number): number {
  return Math.round(value * scale) / scale;
}

/**
 * A report in serialised parts. Clients differ in their streams and drop counts, so the parts are serialised once and joined
 * for each client.
 */
export class StatsParts {
  readonly #streams: readonly { readonly id: string; readonly json: string }[];
  readonly #head: string;
  /** Host, and the fleet if there is one. */
  readonly #tail: string;
  #allStreams: string | null = null;

  constructor(seq: StatsMessage['seq'], report: RuntimeReport) {
    this.#head = `{"type":"stats","seq":${seq},"timeMs":${report.timeMs},"streams":[`;
    this.#streams = report.streams.map((stream) => ({ id: stream.id, json: JSON.stringify(stream) }));
    const fleet = report.fleet === undefined ? '' : `,"fleet":${JSON.stringify(report.fleet)}`;
    this.#tail = `],"host":${JSON.stringify(report.host)}${fleet},"droppedMessages":`;
  }

  encode(streams: 'all' | ReadonlySet<string>, droppedMessages: number): Buffer {
    return Buffer.from(`${this.#head}${this.#join(streams)}${this.#tail}${droppedMessages}}`);
  }

  #join(streams: 'all' | ReadonlySet<string>): string {
    if (streams === 'all') {
      this.#allStreams ??= this.#streams.map(({ json }) => json).join();
      return this.#allStreams;
    }
    const wanted = this.#streams.filter(({ id }) => streams.has(id));
    return wanted.map(({ json }) => json).join();
  }
}
