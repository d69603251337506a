import { z } from 'zod';

/** Path of a picture in the folder of the report; nothing leads out of it. */
const picture = z.string().regex(/^review\/[\w-]+\.jpg$/);
/** More than half of a class is never a loss to be accepted by answers. */
export const MOST_ALLOWED = 0.5;
const box = z.tuple([z.number(), z.number(), z.number(), z.number()]);

/** What a review asks, in the folder of a report. Imports the schema library alone: the page takes its type. */
export const reviewFile = z.object({
  kind: z.literal('sightline-review'),
  version: z.literal(1),
  /** The pipeline or input as the user named it. */
  subject: z.string(),
  createdAt: z.string(),
  /** What the faster one is, in words. */
  candidate: z.string(),
  /** `sha256` of the recording. */
  recording: z.string(),
  /** Of its pictures. */
  size: z.object({ width: z.number().int().positive(), height: z.number().int().positive() }),
  /** Share of a class that may be lost. */
  allowed: z.number().min(0).max(MOST_ALLOWED),
  /** Points that no answer settles. */
  others: z.array(z.string()),
  classes: z
    .array(
      z.object({
        label: z.string(),
        /** What differs. */
        text: z.string(),
        both: z.number().int().min(0),
        objects: z.array(
          z.object({
            id: z.string(),
            by: z.enum(['today', 'new']),
            frames: z.number().int().min(1),
            atUs: z.number().min(0),
            box,
            other: z.object({ label: z.string(), box }).optional(),
            /** Path of its picture in the folder; absent if it is not asked about. */
            picture: picture.optional(),
          }),
        ),
      }),
    )
    .min(1),
  /** What is reported in the pictures. */
  frames: z.array(z.object({ picture, boxes: z.array(z.object({ label: z.string(), box })) })),
});

export type ReviewFile = z.output<typeof reviewFile>;
