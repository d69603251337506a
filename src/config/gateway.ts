import { z } from 'zod';
import { range, whole } from './number.ts';

export const gatewayConfig = z.strictObject({
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on; any other than the loopback needs a token.'),
  port: whole(0, 65_535).default(8080).describe('Port of dashboard, WebSocket, REST and metrics; 0 takes a free one.'),
  token: z.string().min(16).optional().describe('Secret that clients must send; SIGHTLINE_TOKEN if absent.'),
});

export const previewConfig = z.strictObject({
  fps: range(0.1, 30).default(5).describe('Most pictures per second of a stream that a client watches.'),
  width: whole(64, 1920).default(640).describe('Largest width in pixels.'),
  quality: whole(1, 100)
    .default(72)
    .describe('JPEG quality; at 50 a picture has about two thirds of the bytes that it has at 72.'),
  picture: z
    .enum(['model', 'source'])
    .default('model')
    .describe(
      "model shows the model's input, at no extra cost; source keeps a full picture of `width`, from which sharp makes the input.",
    ),
});

export type GatewayConfig = z.infer<typeof gatewayConfig>;
export type PreviewConfig = z.infer<typeof previewConfig>;
