import { z } from 'zod';
import { ID_PATTERN } from '../core/ids.ts';
import { duration } from './duration.ts';
import { weeklyTimes } from './weekly-times.ts';

const name = z.string().regex(ID_PATTERN, 'expected letters, digits, dot, dash and underscore, at most 64');

export const alertConfig = z.strictObject({
  on: z.array(name).min(1).max(200).describe('Rules whose events are told.'),
  streams: z.array(name).min(1).optional().describe('Only of these streams; of all if absent.'),
  to: z
    .array(name)
    .min(1)
    .max(20)
    .describe(
      'Sinks that tell it, such as webhook-1: the kind, and its number among the sinks. They send nothing else.',
    ),
  hold: duration
    .default('0s')
    .describe('After a message, none about the same rule and stream for this long; what is left out is counted.'),
  group: duration
    .default('0s')
    .describe('Events of the same rule and stream that follow a message within this time are told in one more.'),
  quiet: weeklyTimes.optional().describe('Tells nothing at these times of the week.'),
});

/** Who is told of which events, with its defaults filled in. */
export type AlertConfig = z.infer<typeof alertConfig>;
