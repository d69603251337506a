import { z } from 'zod';
import { range, whole } from './number.ts';

export const batchConfig = z.strictObject({
  maxBatch: whole(1, 64).default(8).describe('Most frames in one inference. Less is used where less is faster.'),
  maxDelayMs: range(0, 100).default(5).describe('Longest that a frame waits for company while the device is idle.'),
});

export type BatchConfig = z.infer<typeof batchConfig>;
