import { z } from 'zod';

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const MINUTES_A_DAY = 24 * 60;
const SPAN = /^(?:(?<days>[a-z,-]+) )?(?<from>\d\d:\d\d)-(?<to>\d\d:\d\d)$/;
const EXPECTED = 'expected days and a span such as "mon-fri 22:00-06:00", "sat,sun 00:00-24:00" or "daily 08:00-18:00"';

export const weeklyTimes = z
  .strictObject({
    timeZone: z
      .string()
      .min(1)
      .max(64)
      .optional()
      .describe('IANA name such as Europe/Berlin; that of the host if absent.'),
    on: z
      .array(z.string().min(1).max(64))
      .min(1)
      .max(50)
      .describe('Spans of the week, such as "mon-fri 22:00-06:00", "sat,sun 00:00-24:00" or "daily 08:00-18:00".'),
  })
  .check(({ value, issues }) => {
    const problem = problemOfTimes(value);
    if (problem !== null) issues.push({ code: 'custom', input: value, ...problem });
  });

/** Times of the week. */
type WeeklyTimes = z.infer<typeof weeklyTimes>;

/** A span that begins on some days. */
interface Span {
  /** Indices of days, Monday is 0. */
  readonly days: ReadonlySet<number>;
  /** Minutes of the day; `to` is at most `from` if the span ends on the next day. */
  readonly from: number;
  readonly to: number;
}

/** Returns what is wrong with times of the week; null if they can be used. */
function problemOfTimes({ timeZone, on }: WeeklyTimes): { path: (string | number)[]; message: string } | null {
  try {
    formatOf(timeZone);
  } catch {
    return { path: ['timeZone'], message: 'expected an IANA time zone such as Europe/Berlin' };
  }
  const bad = on.findIndex((text) => parseSpan(text) === null);
  return bad === -1 ? null : { path: ['on', bad], message: EXPECTED };
}

/** Says for moments whether they are within times of the week, daylight saving included: the clock on the wall counts. */
export class WeeklyClock {
  readonly #format: Intl.DateTimeFormat;
  readonly #spans: readonly Span[];

  /** @param times - without a problem. */
  constructor({ timeZone, on }: WeeklyTimes) {
    this.#format = formatOf(timeZone);
    this.#spans = on.map((text) => parseSpan(text)!);
  }

  /** @param timeMs - milliseconds since 1970. */
  includes(timeMs: number): boolean {
    const { day, minute } = this.#wall(timeMs);
    return this.#spans.some(({ days, from, to }) => {
      if (from < to) return days.has(day) && minute >= from && minute < to;
      return (days.has(day) && minute >= from) || (days.has((day + 6) % 7) && minute < to);
    });
  }

  /** Returns the hour of the day on the wall, 0 to 23. */
  hour(timeMs: number): number {
    return Math.floor(this.#wall(timeMs).minute / 60);
  }

  #wall(timeMs: number): { day: number; minute: number } {
    const parts = Object.fromEntries(this.#format.formatToParts(timeMs).map(({ type, value }) => [type, value]));
    const day = DAYS.indexOf(parts.weekday!.toLowerCase() as (typeof DAYS)[number]);
    return { day, minute: Number(parts.hour) * 60 + Number(parts.minute) };
  }
}

function formatOf(timeZone: string | undefined): Intl.DateTimeFormat {
  const fields = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
  return new Intl.DateTimeFormat('en-US', { ...fields, ...(timeZone === undefined ? {} : { timeZone }) });
}

function parseSpan(text: string): Span | null {
  const found = SPAN.exec(text)?.groups;
  if (found === undefined) return null;
  const days = parseDays(found.days ?? 'daily');
  const [from, to] = [parseMinute(found.from!), parseMinute(found.to!)];
  const isSpan = days !== null && from !== null && to !== null && from < MINUTES_A_DAY && from !== to;
  return isSpan ? { days, from, to } : null;
}

function parseMinute(text: string): number | null {
  const [hours, minutes] = text.split(':').map(Number) as [number, number];
  const minute = hours * 60 + minutes;
  return minutes < 60 && minute <= MINUTES_A_DAY ? minute : null;
}

function parseDays(text: string): Set<number> | null {
  if (text === 'daily') return new Set(DAYS.keys());
  const days = new Set<number>();
  for (const part of text.split(',')) {
    const [first, last = first] = part.split('-').map((name) => DAYS.indexOf(name as (typeof DAYS)[number]));
    if (first === undefined || last === undefined || first < 0 || last < 0 || part.split('-').length > 2) return null;
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === last) break;
    }
  }
  return days;
}
