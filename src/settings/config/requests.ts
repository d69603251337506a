import { z } from 'zod';
import { whole } from './number.ts';

export const requestsConfig = z.strictObject({
  queueSize: whole(1, 10_000).default(64).describe('Most requests at once; more are refused with 429.'),
  maxBodyMb: whole(1, 256)
    .default(32)
    .describe('Most megabytes of a body; all bodies together have eight times as many.'),
  timeoutMs: whole(1, 600_000).default(10_000).describe('Deadline of a request that names none, and the longest.'),
  cacheResults: whole(0, 100_000)
    .default(256)
    .describe('Results kept for pictures that come again, byte for byte; 0 keeps none.'),
});

export type RequestsConfig = z.infer<typeof requestsConfig>;
