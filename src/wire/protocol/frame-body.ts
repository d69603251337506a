/** The body of topic `detections`: the result of one frame. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { z } from 'zod';
import type { Attribute, Detection } from '../../base/core/detection.ts';
import { CAPTURE_CLOCKS, CROSSING_DIRECTIONS, type PublishedFrame, RESULT_ORIGINS } from '../../base/core/frame.ts';
import { count, id, LAST_MS, mediaTimeUs, name } from './bounds.ts';
import { MAX_COUNTERS, zoneCount } from './report.ts';

/** More than any detector returns for a picture. */
const MAX_DETECTIONS = 5_000;
const MAX_PX = 1e6;
const MAX_LABEL_CHARS = 512;
/** More than the mask of one object has in a picture of 8K. */
const MAX_MASK_CHARS = 1_000_000;
const MAX_KEYPOINT_NUMBERS = 3 * 256;
/** Milliseconds of the monotonic clock, which counts from 1970. */
const LAST_MONO_MS = 1e16;
const MAX_RUN_CHARS = 64;

const px = z.number().min(-MAX_PX).max(MAX_PX);
const sizePx = z.number().int().min(1).max(MAX_PX);
const monoMs = z.number().min(0).max(LAST_MONO_MS);

/** What second stages say of an object; vectors of embeddings stay on the host. */
const attribute = z.object({
  label: z.string().max(MAX_LABEL_CHARS).optional(),
  score: z.number().min(0).max(1).optional(),
  atUs: mediaTimeUs,
} satisfies Record<Exclude<keyof Attribute, 'vector' | 'model' | 'box'>, z.ZodType>);

const detection = z.object({
  classId: count,
  label: name.max(MAX_LABEL_CHARS),
  score: z.number().min(0).max(1),
  box: z.tuple([px, px, px, px]),
  trackId: count.optional(),
  parent: count.optional(),
  attributes: z.record(id, attribute).optional(),
  mask: z.object({ size: z.tuple([sizePx, sizePx]), counts: z.string().max(MAX_MASK_CHARS) }).optional(),
  keypoints: z.array(px).max(MAX_KEYPOINT_NUMBERS).optional(),
  angle: z.number().min(-90).max(90).optional(),
} satisfies Record<keyof Detection, z.ZodType>);

const crossing = z.object({
  lineId: id,
  trackId: count,
  label: name.max(MAX_LABEL_CHARS),
  direction: z.enum(CROSSING_DIRECTIONS),
  ptsUs: mediaTimeUs,
});

export const frameBody = z.object({
  streamId: id,
  /** Older hosts do not send it. */
  run: z.string().max(MAX_RUN_CHARS).optional(),
  frame: count,
  ptsUs: mediaTimeUs,
  capturedAtMs: count.max(LAST_MS).optional(),
  captureClock: z.enum(CAPTURE_CLOCKS).optional(),
  width: sizePx,
  height: sizePx,
  /** Older hosts infer every frame and do not send it. */
  by: z.enum(RESULT_ORIGINS).default('inferred'),
  detections: z.array(detection).max(MAX_DETECTIONS),
  crossings: z.array(crossing).max(MAX_DETECTIONS).optional(),
  zones: z.array(zoneCount).max(MAX_COUNTERS).optional(),
  times: z.object({
    captured: monoMs,
    decoded: monoMs,
    preprocessed: monoMs,
    batched: monoMs,
    inferred: monoMs,
    published: monoMs,
  } satisfies Record<keyof PublishedFrame['times'], typeof monoMs>),
  fence: count.optional(),
  model: id.optional(),
} satisfies Record<keyof PublishedFrame, z.ZodType>);

/** Keys of newer hosts are removed, and `useDefaults` fills in what older ones do not send. Lengths count as JavaScript counts them. */
const ajv = new Ajv2020({ removeAdditional: true, useDefaults: true, unicode: false, logger: false });

/**
 * Makes the same checks as `frameBody`, compiled to one function: zod takes twice as long as `JSON.parse` for a frame with ten
 * objects, this a sixth of it. With 3,000 frames a second that are 2 % of the main thread and less than 0.3 %.
 *
 * @param body - changed in place: keys that the schema does not have are removed.
 * @returns null if the schema may refuse the body; the schema then gives the reason. A property test keeps the two equal.
 */
export function readFrameFast(body: unknown): PublishedFrame | null {
  return compiled(body) ? (body as PublishedFrame) : null;
}

const compiled = ajv.compile(
  z.toJSONSchema(frameBody, {
    io: 'input',
    override: ({ jsonSchema }) => {
      // JSON Schema allows more keys and more entries where zod does not.
      if (jsonSchema.type === 'object') jsonSchema.additionalProperties = false;
      if (jsonSchema.prefixItems !== undefined)
        Object.assign(jsonSchema, { items: false, minItems: jsonSchema.prefixItems.length });
    },
  }),
);
