import { z } from 'zod';
import { range, whole } from './number.ts';
import { hasPlaceholder } from './placeholders.ts';

const streams = z.array(z.string().min(1)).min(1).optional().describe('Only these streams; all if absent.');

const sync = z
  .enum(['never', 'interval', 'batch'])
  .default('interval')
  .describe(
    'When results are synchronised to the disk, to survive a power failure: left to the system, every five seconds, or with each write (every 100 ms).',
  );

const rotate = z
  .strictObject({
    maxMb: range(0.01, 1_000_000)
      .optional()
      .describe('Largest size of a file in megabytes (1,000,000 bytes); a compressed one may be 0.3 larger.'),
    everyMinutes: whole(1, 10_080)
      .optional()
      .describe('A file holds results of one period of UTC: 60 begins a file at each full hour, 1440 at midnight.'),
  })
  .optional()
  .describe('Keeps full files as NAME.N.EXT, oldest first; without it the file grows. Nothing deletes them.');

/** What a sink leaves out. */
export const filterConfig = z.strictObject({
  labels: z.array(z.string().min(1)).min(1).optional().describe('Only detections and crossings of these classes.'),
  minScore: range(0, 1).optional().describe('Only detections of at least this score.'),
  frames: z
    .enum(['all', 'detections', 'crossings'])
    .default('all')
    .describe('Frames that give a result: all, those with a detection that is left, or those with a crossing.'),
});
const filter = filterConfig
  .optional()
  .describe('Leaves out what the reader of this sink does not need. Tracks and counts do not depend on it.');

/** What a placeholder stands for is checked when it is resolved. */
const orPlaceholder =
  (fits: (text: string) => boolean) =>
  (text: string): boolean =>
    hasPlaceholder(text) || fits(text);

/** Shortest secret of a webhook. */
export const LEAST_SECRET_CHARS = 16;
const webAddress = z.url({ protocol: /^https?$/ });

export function isWebAddress(text: string): boolean {
  return webAddress.safeParse(text).success;
}

/** No name, or that of a header which the sink sets itself. */
const OTHER_HEADER = /[^A-Za-z0-9-]|^$|^(?:content-type|content-length|host|idempotency-key|sightline-.*)$/i;
const headers = z
  .record(
    z.string(),
    z
      .string()
      .max(8192)
      .regex(/^[^\p{Cc}]*$/u, 'expected no control characters'),
  )
  .refine(
    (values) => !Object.keys(values).some((name) => OTHER_HEADER.test(name)),
    'expected names of letters, digits and dashes, and none that the sink sets itself',
  )
  .optional()
  .describe(`Sent with each request, such as {Authorization: "Bearer \${env:HOOK_TOKEN}"}.`);

export const sinkConfig = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('jsonl').describe('One JSON line for each frame.'),
    path: z
      .string()
      .min(1)
      .describe(
        'File to append to, one JSON line for each frame; "-" for standard output. If it ends in .gz or .zst it is compressed, and each start begins a new file.',
      ),
    streams,
    filter,
    sync,
    rotate,
  }),
  z.strictObject({
    type: z.literal('coco').describe('A COCO results file.'),
    path: z
      .string()
      .min(1)
      .describe('File to write when the pipeline ends; a file of an earlier run is kept under a numbered name.'),
    streams,
    sync,
  }),
  z.strictObject({
    type: z.literal('video').describe('The video with boxes drawn in.'),
    path: z
      .string()
      .min(1)
      .describe('Video file to write, with boxes drawn in; a file of an earlier run is kept under a numbered name.'),
    streams: z.array(z.string().min(1)).length(1).describe('The one stream that is drawn.'),
  }),
  z.strictObject({
    type: z.literal('webhook').describe('Batches of results POSTed to a server.'),
    url: z
      .string()
      .refine(orPlaceholder(isWebAddress), 'expected an http or https URL')
      .describe('http or https URL where results are POSTed.'),
    headers,
    streams,
    filter,
    batchSize: whole(1, 1000).default(50).describe('Most frames in one request.'),
    maxAttempts: whole(1, 100)
      .default(8)
      .describe(
        'Attempts before a request that the receiver refuses is given up. Other failures are retried until they end.',
      ),
    secret: z
      .string()
      .refine(
        orPlaceholder(({ length }) => length >= LEAST_SECRET_CHARS),
        `expected at least ${LEAST_SECRET_CHARS} characters`,
      )
      .optional()
      .describe('Signs each request with HMAC-SHA256; see docs/wire-protocol.md.'),
    spoolFolder: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Folder of this sink alone where results wait until they are delivered; below the cache folder if absent.',
      ),
    spoolMaxMb: range(0, 1_000_000)
      .default(256)
      .describe(
        'Most megabytes that results of live streams wait in, and as many for files; 0 keeps at most 8 in memory.',
      ),
    sync,
  }),
]);

export type SinkConfig = z.infer<typeof sinkConfig>;
/** What a sink leaves out of the results: other labels, lower scores, frames without detections or crossings. */
export type FilterConfig = z.infer<typeof filterConfig>;
export type RotateConfig = z.infer<typeof rotate>;
