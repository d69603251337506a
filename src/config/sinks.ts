import { z } from 'zod';
import { whole } from './number.ts';

const streams = z.array(z.string().min(1)).min(1).optional().describe('Only these streams; all if absent.');

export const sinkConfig = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('jsonl').describe('One JSON line for each frame.'),
    path: z
      .string()
      .min(1)
      .describe(
        'File to append to, one JSON line for each frame, compressed if it ends in .gz or .zst; "-" for standard output.',
      ),
    streams,
  }),
  z.strictObject({
    type: z.literal('coco').describe('A COCO results file.'),
    path: z
      .string()
      .min(1)
      .describe('File to write when the pipeline ends; a file of an earlier run is kept under a numbered name.'),
    streams,
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
    url: z.url({ protocol: /^https?$/ }).describe('Where results are POSTed.'),
    streams,
    batchSize: whole(1, 1000).default(50).describe('Most frames in one request.'),
    maxAttempts: whole(1, 100).default(8).describe('Attempts before a request is given up.'),
  }),
]);

export type SinkConfig = z.infer<typeof sinkConfig>;
