import { Option } from 'commander';
import { parseYaml } from '../config/parse-yaml.ts';
import { type ErrorDetails, SightlineError } from '../errors/sightline-error.ts';
import type { ExportedSpan } from '../recording/recorded-span.ts';
import { wrongCommand } from './cli-io.ts';

/** Reads the value of a flag. @throws COMMAND_INVALID */
type Read<T> = (text: string) => T;

/** Whole numbers from `least` to `most`. */
export function whole(flag: string, least: number, most = Number.MAX_SAFE_INTEGER): Read<number> {
  const upTo = most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`;
  return numberIf(
    flag,
    `a whole number from ${least}${upTo}`,
    (value) => Number.isInteger(value) && value >= least && value <= most,
  );
}

/** Numbers that `isFit`, which `expected` describes. */
export function numberIf(flag: string, expected: string, isFit: (value: number) => boolean): Read<number> {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (isFit(value)) return value;
    throw wrongCommand(`${flag}: expected ${expected}, received "${text}"`);
  };
}

/** A flag that can be given several times. */
export function repeated(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** A date and time with its distance from UTC. */
const TIME = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/;

/** Reads a date and time that exist, as milliseconds since 1970. @throws COMMAND_INVALID */
export function timeOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const day = new Date(`${TIME.exec(text)?.[1]}T00:00:00Z`);
  const isDay = !Number.isNaN(day.getTime()) && text.startsWith(day.toISOString().slice(0, 10));
  if (isDay && !Number.isNaN(Date.parse(text))) return Date.parse(text);
  const expected = 'a date and time with its distance from UTC, such as 2026-05-04T21:30:00+02:00';
  throw wrongCommand(`${flag}: expected ${expected}, received "${text}"`);
}

interface SpanFlags {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

/** Reads which time of what is recorded is meant, of one folder at most. @throws COMMAND_INVALID */
export function recordedSpan(folders: readonly string[], { from, to }: SpanFlags): ExportedSpan {
  if (folders.length > 1) throw wrongCommand(`expected one folder of recordings, received ${folders.length}`);
  const [fromMs, toMs] = [timeOf('--from', from), timeOf('--to', to)];
  if (fromMs === undefined || toMs === undefined) throw wrongCommand('--recorded: expected --from and --to with it');
  if (fromMs >= toMs) throw wrongCommand(`--from: expected a time before --to, received ${from} and ${to}`);
  return { fromMs, toMs };
}

/** Words separated by commas. */
export function listOf(text: string): string[] {
  return text.split(',').map((word) => word.trim());
}

/** Returns those of some values that are given. */
export function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** An option that takes one of some words. */
export function choice(flags: string, description: string, words: readonly string[], preset?: string): Option {
  const option = new Option(flags, description).choices(words);
  return preset === undefined ? option : option.default(preset);
}

/** Returns the settings in YAML, of which JSON is a part. @param from - starts every message. @throws CONFIG_INVALID */
export function settingsIn(text: string, from: string, expected: string, details: ErrorDetails = {}): object {
  const { value, faults } = parseYaml(text);
  const [fault] = faults;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  const what = fault === undefined ? `expected ${expected}` : `${fault.place}not valid YAML: ${fault.what}`;
  throw new SightlineError('CONFIG_INVALID', `${from}: ${what}`, { ...details, ...given({ line: fault?.line }) });
}
