import { z } from 'zod';
import { range, whole } from '../../settings/config/number.ts';
import type { EventPhase } from '../../wire/protocol/rule-event.ts';
import type { RotationPlan } from './rotation.ts';

/** Settings that kinds of sinks share. */

export const streams = z.array(z.string().min(1)).min(1).optional().describe('Only these streams; all if absent.');

const SENT = ['results', 'events'] as const;
/** What a sink sends. */
export type Sent = (typeof SENT)[number];

/** Of kinds that can send both. The filter leaves out results only. */
export function send(kind: Sent) {
  return z
    .array(z.enum(SENT))
    .min(1)
    .max(SENT.length)
    .refine((list) => new Set(list).size === list.length, 'expected each only once')
    .default([kind])
    .describe('What it sends: `results` of frames, `events` that rules report, or both.');
}

export const phases = z
  .array(z.enum(['new', 'update', 'end'] as const satisfies readonly EventPhase[]))
  .min(1)
  .optional()
  .describe(
    'Only events that are `new`, an `update` or at their `end`; all if absent, and with a template only new ones.',
  );

/** `tellsAlerts` of kinds that can send both. */
export function sendsNewEventsOnly(settings: {
  readonly streams?: readonly string[] | undefined;
  readonly send: readonly Sent[];
  readonly phases?: readonly EventPhase[] | undefined;
}): boolean {
  const { streams, send: sent, phases: only } = settings;
  return streams === undefined && sent.every((what) => what === 'events') && only?.includes('new') !== false;
}

const SNAPSHOTS = ['none', 'link', 'data'] as const;
/** What a channel of alerts sends of the picture of an event. */
export type SnapshotPart = (typeof SNAPSHOTS)[number];

export const snapshot = z
  .enum(SNAPSHOTS)
  .optional()
  .describe(
    'What a channel of alerts sends once the picture of an event is there, if its rule keeps a `clip`: nothing, its address, or the picture. If absent, mail and ntfy get the picture, templates nothing, others the address.',
  );

export const sync = z
  .enum(['never', 'interval', 'batch'])
  .default('interval')
  .describe(
    'When results are synchronised to the disk, to survive a power failure: left to the system, every five seconds, or with each write (every 100 ms).',
  );

export const rotate = z
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
/** What a sink leaves out of the results: other labels, lower scores, frames without detections or crossings. */
export type FilterConfig = z.infer<typeof filterConfig>;

export const filter = filterConfig
  .optional()
  .describe('Leaves out what the reader of this sink does not need. Tracks and counts do not depend on it.');

export const MEGABYTE = 1_000_000;
const MS_PER_MINUTE = 60_000;

export function rotationOf(settings: z.infer<typeof rotate>): Pick<RotationPlan, 'maxBytes' | 'periodMs'> | undefined {
  if (settings === undefined) return undefined;
  const { maxMb, everyMinutes } = settings;
  return {
    maxBytes: maxMb === undefined ? undefined : Math.round(maxMb * MEGABYTE),
    periodMs: everyMinutes === undefined ? undefined : everyMinutes * MS_PER_MINUTE,
  };
}
