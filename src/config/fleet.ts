import { z } from 'zod';
import { ID_PATTERN } from '../core/ids.ts';
import { range, whole } from './number.ts';

export const fleetConfig = z.strictObject({
  hostId: z
    .string()
    .regex(ID_PATTERN, 'expected letters, digits, dot, dash and underscore, at most 64')
    .optional()
    .describe("Name of this host in the fleet; the machine's name and the process id where absent."),
  capacityFps: range(0.1, 1_000_000)
    .optional()
    .describe('Inferences a second that this host is trusted with; measured at the start where absent.'),
  fillRatio: range(0.1, 1).default(0.8).describe('Share of a capacity that live streams are planned up to.'),
  leaseMs: whole(1_000, 120_000)
    .default(5_000)
    .describe('A host that is not heard of for this long loses its streams.'),
  beatMs: whole(100, 30_000).default(1_000).describe('Time between two heartbeats; a fifth of leaseMs or less.'),
  movesPerSecond: range(0.1, 1000)
    .default(10)
    .describe('Streams that the planner places or moves in a second, at most.'),
  bulkConcurrency: whole(0, 64).default(2).describe('Segments of jobs done at once on this host; 0 takes none.'),
  roots: z
    .array(z.string().min(1))
    .default([])
    .describe('Folders below which files may be read and results written; none where empty.'),
  schemes: z
    .array(z.enum(['rtsp', 'rtsps', 'http', 'https', 'file', 'device', 'synthetic', 'demo']))
    .default(['rtsp', 'rtsps', 'http', 'https', 'synthetic', 'demo'])
    .describe(
      'Kinds of sources that may be added over REST or the fleet; file needs roots as well. Streams of the pipeline file may have any.',
    ),
  networks: z
    .array(z.string().min(1))
    .default(['0.0.0.0/0', '::/0'])
    .describe('Networks (CIDR) that URLs may lead to.'),
  minHosts: whole(0, 10_000).default(1).describe('Least number of hosts that is recommended.'),
  maxHosts: whole(1, 10_000).default(100).describe('Largest number of hosts that is recommended.'),
});

export type FleetConfig = z.infer<typeof fleetConfig>;
