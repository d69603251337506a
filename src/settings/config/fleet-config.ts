import { z } from 'zod';
import { id } from './id.ts';
import { range, whole } from './number.ts';

/** A host that is slower would miss turns of a roll-out. */
const MOST_BEAT_MS = 2_000;

const fleetKeys = z.strictObject({
  hostId: id.optional().describe("Name of this host in the fleet; the machine's name and the process id if absent."),
  capacityFps: range(0.1, 1_000_000)
    .optional()
    .describe('Inferences per second that this host can sustain; measured at the start if absent.'),
  fillRatio: range(0.1, 1)
    .default(0.8)
    .describe("Share of a host's capacity that the planner fills with live streams."),
  leaseMs: whole(1_000, 120_000)
    .default(5_000)
    .describe('A host that sends no heartbeat for this long loses its streams.'),
  beatMs: whole(100, MOST_BEAT_MS)
    .default(1_000)
    .describe(
      'Time between two heartbeats, at most half of leaseMs. A host that is slower would miss turns of a roll-out.',
    ),
  movesPerSecond: range(0.1, 1000).default(10).describe('Most streams that the planner places or moves per second.'),
  bulkConcurrency: whole(0, 64).default(2).describe('Segments of jobs that this host processes at once; 0 takes none.'),
  roots: z
    .array(z.string().min(1))
    .default([])
    .describe('Folders below which files may be read and results written; none if empty.'),
  schemes: z
    .array(z.enum(['rtsp', 'rtsps', 'rtmp', 'rtmps', 'srt', 'http', 'https', 'file', 'device', 'synthetic', 'demo']))
    .default(['rtsp', 'rtsps', 'rtmp', 'rtmps', 'srt', 'http', 'https', 'synthetic', 'demo'])
    .describe(
      'Kinds of sources that may be added over REST or the fleet; file needs roots as well. Streams of the pipeline file may have any.',
    ),
  networks: z
    .array(z.string().min(1))
    .default(['0.0.0.0/0', '::/0'])
    .describe('Networks (CIDR) that URLs may point to, and what they lead to.'),
  minHosts: whole(0, 10_000).default(1).describe('Smallest number of hosts that is recommended.'),
  maxHosts: whole(1, 10_000).default(100).describe('Largest number of hosts that is recommended.'),
});

export const fleetConfig = fleetKeys.refine(({ beatMs, leaseMs }) => Math.min(beatMs, MOST_BEAT_MS) * 2 <= leaseMs, {
  path: ['beatMs'],
  message: 'expected at most half of leaseMs, so that one lost heartbeat costs no stream',
});

export type FleetConfig = z.infer<typeof fleetConfig>;
