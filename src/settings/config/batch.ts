import { z } from 'zod';
import { range, whole } from './number.ts';

export const batchConfig = z.strictObject({
  maxBatch: whole(1, 64)
    .default(8)
    .describe(
      'Most model inputs in one inference; a frame has one, or one for each of its tiles. Fewer are used if that is faster.',
    ),
  maxDelayMs: range(0, 100)
    .default(5)
    .describe('Longest time a frame waits for others to join its batch while the device is idle.'),
});

export type BatchConfig = z.infer<typeof batchConfig>;
