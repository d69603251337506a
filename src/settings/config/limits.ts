import { z } from 'zod';
import { whole } from './number.ts';

/** What this host accepts at most, so that a request or a client cannot use it up. */
export const limitsConfig = z.strictObject({
  streams: whole(1, 10_000).default(256).describe('Most streams of this host; more are refused.'),
  freeMemoryMb: whole(0, 1_000_000)
    .default(200)
    .describe(
      'A stream is refused while less memory than this is available on the machine or in its container, in MiB.',
    ),
  connections: whole(16, 100_000).default(1_000).describe('Most connections of the gateway at once.'),
  connectionsPerAddress: whole(4, 100_000)
    .default(128)
    .describe('Most connections at once from one address; that of a proxy counts as one address.'),
});

export type LimitsConfig = z.infer<typeof limitsConfig>;
