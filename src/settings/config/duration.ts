import { z } from 'zod';
import { mark } from './schema-text.ts';

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
export type DurationUnit = keyof typeof UNIT_MS;

const ALL = Object.keys(UNIT_MS) as DurationUnit[];
const LONGEST = '7d';

/** Returns the milliseconds of a time such as `90s`; NaN if the text is none, or has another unit. */
export function durationMs(text: string, units: readonly DurationUnit[] = ALL): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/.exec(text.trim()) ?? [];
  const known = units.find((each) => each === unit);
  return known === undefined ? Number.NaN : Number(number) * UNIT_MS[known];
}

/** A time as text: `500ms`, `15s`, `10m`, `2h`, at most a week. */
export const duration = z
  .string()
  .refine(
    (text) => durationMs(text) <= durationMs(LONGEST),
    `expected a time such as 15s, 10m or 2h, at most ${LONGEST}`,
  )
  .meta(mark({ longest: LONGEST }));
