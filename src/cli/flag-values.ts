import { type Command, Option } from 'commander';
import type { ExportedSpan } from '../after/recording/recorded-span.ts';
import { type ErrorDetails, SightlineError } from '../base/errors/sightline-error.ts';
import { parseYaml } from '../settings/config/parse-yaml.ts';
import { wrongCommand } from './cli-io.ts';

/** Reads the value of a flag. @throws COMMAND_INVALID */
type Read<T> = (text: string) => T;

/** A flag that must be given, as text or as one of some words. */
interface Required {
  readonly text: string;
  readonly words: readonly string[] | undefined;
}

/** A description, then what reads the value or the words that it takes, then its default; a text after the description is the default. */
type Declared = readonly [
  text: string,
  values?: ((text: string) => unknown) | readonly string[] | string | undefined,
  preset?: unknown,
];

/** The flags of a command, as commander writes them, in the order in which help lists them. */
export type FlagTable = Readonly<Record<`--${string}`, string | Declared | Required>>;

type Camel<Name extends string> = Name extends `${infer A}-${infer B}` ? `${A}${Capitalize<Camel<B>>}` : Name;
type NameOf<Flag> = Flag extends `--no-${infer Name}`
  ? Camel<Name>
  : Flag extends `--${infer Name} ${string}`
    ? Camel<Name>
    : Flag extends `--${infer Name}`
      ? Camel<Name>
      : never;
type Raw<Flag> = Flag extends `${string}...>`
  ? readonly string[]
  : Flag extends `${string} <${string}`
    ? string
    : Flag extends `${string} [${string}`
      ? string | true
      : boolean;
type ValueOf<Flag, Declared> = Declared extends { readonly words: readonly (infer Word)[] }
  ? Word
  : Declared extends readonly [string, infer Values, ...unknown[]]
    ? Values extends (text: string) => infer Value
      ? Value
      : Values extends readonly (infer Word)[]
        ? Word
        : Raw<Flag>
    : Raw<Flag>;
/** Those that always have a value. */
type Sure<Table> = {
  [Flag in keyof Table]: Flag extends `--no-${string}`
    ? Flag
    : Table[Flag] extends Required | readonly [string, string] | readonly [string, unknown, unknown]
      ? Flag
      : never;
}[keyof Table];

/** The values of a command's flags, by the names that commander gives them. */
export type FlagsOf<Table> = {
  readonly [Flag in Sure<Table> as NameOf<Flag>]: ValueOf<Flag, Table[Flag]>;
} & { readonly [Flag in Exclude<keyof Table, Sure<Table>> as NameOf<Flag>]?: ValueOf<Flag, Table[Flag]> };

/** Keeps the names and the words of a table for its type. */
export function flagTable<const Table extends FlagTable>(table: Table): Table {
  return table;
}

/** Declares a flag that must be given. @param words - those that it takes; default: any text. */
export function required<const Words extends readonly string[] | undefined = undefined>(text: string, words?: Words) {
  return { text, words: words as Words };
}

/** Adds flags to a command, in the order of the table. */
export function addFlags(command: Command, table: FlagTable): Command {
  for (const [flag, declared] of Object.entries(table)) {
    const isRequired = typeof declared === 'object' && 'words' in declared;
    const [text, values, preset]: Declared =
      typeof declared === 'string' ? [declared] : isRequired ? [declared.text, declared.words] : declared;
    const option = new Option(flag, text).makeOptionMandatory(isRequired);
    if (typeof values === 'string') option.default(values);
    else if (typeof values === 'function') option.argParser(values);
    else if (values !== undefined) option.choices(values);
    command.addOption(preset === undefined ? option : option.default(preset));
  }
  return command;
}

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

/** Returns the settings in YAML, of which JSON is a part. @param from - starts every message. @throws CONFIG_INVALID */
export function settingsIn(text: string, from: string, expected: string, details: ErrorDetails = {}): object {
  const { value, faults } = parseYaml(text);
  const [fault] = faults;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  const what = fault === undefined ? `expected ${expected}` : `${fault.place}not valid YAML: ${fault.what}`;
  throw new SightlineError('CONFIG_INVALID', `${from}: ${what}`, { ...details, ...given({ line: fault?.line }) });
}
