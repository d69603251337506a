/**
 * Bodies of what hosts publish on the bus. They are checked where they arrive, as far as the reader depends on them: the
 * host that sent them may be of another version.
 */
import { z } from 'zod';
import type { PublishedFrame } from '../core/frame.ts';
import type { EventMessage } from './feed.ts';
import type { HostReport, StreamReport } from './report.ts';

/** A stream that a host has the lease of and cannot run. */
export interface StreamFailure {
  readonly id: string;
  readonly fence: number;
  readonly message: string;
}

/** Topic `stats`, once a second: the report of one host, of the streams that it holds a lease of. */
export interface StatsBody {
  readonly timeMs: number;
  /** Each with its `fence`. */
  readonly streams: readonly StreamReport[];
  readonly failures: readonly StreamFailure[];
  readonly host: HostReport;
}

/** Topic `preview`: a published frame and its picture as base64 JPEG. Topic `detections` has the frame alone. */
export interface PreviewBody {
  readonly frame: PublishedFrame;
  readonly jpeg: string;
}

const statsBody = z.object({
  timeMs: z.number(),
  streams: z.array(z.looseObject({ id: z.string(), state: z.string(), fence: z.number() })),
  failures: z.array(z.object({ id: z.string(), fence: z.number(), message: z.string() })),
  host: z.looseObject({ device: z.looseObject({}) }),
});

const frameBody = z.object({
  streamId: z.string(),
  frame: z.number(),
  ptsUs: z.number(),
  width: z.number(),
  height: z.number(),
  detections: z.array(z.looseObject({ classId: z.number(), label: z.string(), score: z.number() })),
  times: z.looseObject({ captured: z.number(), published: z.number() }),
});

const previewBody = z.object({ frame: frameBody, jpeg: z.string() });

const eventBody = z.looseObject({
  type: z.literal('event'),
  timeMs: z.number(),
  kind: z.string(),
  message: z.string(),
});

/** @returns null where the body is none. */
export const readStats = reader<StatsBody>(statsBody);
export const readFrame = reader<PublishedFrame>(frameBody);
export const readPreview = reader<PreviewBody>(previewBody);
export const readEvent = reader<EventMessage>(eventBody);

/** The schema holds what the reader depends on; the rest goes through to clients as it came. */
function reader<T>(schema: z.ZodType): (body: unknown) => T | null {
  return (body) => (schema.safeParse(body).success ? (body as T) : null);
}
