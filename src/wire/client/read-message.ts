import type { Detection } from '../../base/core/detection.ts';
import type { PreviewMessage, ServerMessage } from '../protocol/feed.ts';
import { roundDetection } from '../protocol/result-record.ts';
import { decode } from './msgpack.ts';

/** Bytes of a JPEG as a `Blob` takes them. */
export type Jpeg = Uint8Array<ArrayBuffer>;
/** A small picture of one frame (JPEG) with its detections. Boxes are in source pixels, which are more than those of the picture. */
export type Preview = PreviewMessage<Jpeg>;
/** A message of the gateway, the same whether it came as JSON or as MessagePack. */
export type FeedMessage = ServerMessage<Jpeg>;

/** The feed's boxes are to a tenth of a pixel. */
const BOX_STEPS = 10;
/** Its latencies to a hundredth of a millisecond. */
const LATENCY_STEPS = 100;

/**
 * Reads one WebSocket frame. MessagePack holds fractions as f32: they are rounded to the numbers of JSON.
 *
 * @param data - text: JSON; an ArrayBuffer: MessagePack.
 * @throws `Error` for anything else.
 */
export function readMessage(data: unknown): FeedMessage {
  const message = (typeof data === 'string' ? JSON.parse(data) : decode(data as ArrayBuffer)) as
    | FeedMessage
    | ServerMessage;
  switch (message.type) {
    case 'detections':
      return { ...message, ...rounded(message) };
    case 'preview': {
      const { jpeg } = message;
      return { ...message, ...rounded(message), jpeg: typeof jpeg === 'string' ? bytesOf(jpeg) : jpeg };
    }
    case 'shadow':
      return { ...message, control: message.control.map(roundedBox), candidate: message.candidate.map(roundedBox) };
    default:
      return message;
  }
}

interface Measured {
  readonly detections: readonly Detection[];
  readonly latencyMs: number;
}

function rounded({ detections, latencyMs }: Measured): Measured {
  return {
    detections: detections.map(roundedBox),
    latencyMs: Math.round(latencyMs * LATENCY_STEPS) / LATENCY_STEPS,
  };
}

function roundedBox(detection: Detection): Detection {
  return roundDetection(detection, BOX_STEPS);
}

function bytesOf(base64: string): Jpeg {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
