import { z } from 'zod';
import { duration } from './duration.ts';
import { id } from './id.ts';
import { weeklyTimes } from './weekly-times.ts';

export const alertConfig = z.strictObject({
  on: z.array(id).min(1).max(200).describe('Rules whose events are sent to people.'),
  streams: z.array(id).min(1).optional().describe('Only of these streams; of all if absent.'),
  to: z
    .array(id)
    .min(1)
    .max(20)
    .refine((names) => new Set(names).size === names.length, 'expected each sink once')
    .describe(
      'Sinks that send it, such as webhook-1: the kind, and its number among the sinks. They send nothing else.',
    ),
  hold: duration
    .default('0s')
    .describe('After a message, none about the same rule and stream for this long; what is left out is counted.'),
  group: duration
    .default('0s')
    .describe(
      'Further events of the same rule and stream within this time after a message are summed up in one more message.',
    ),
  quiet: weeklyTimes.optional().describe('Sends nothing at these times of the week.'),
});

/** Which sinks send which events to people, with its defaults filled in. */
export type AlertConfig = z.infer<typeof alertConfig>;
