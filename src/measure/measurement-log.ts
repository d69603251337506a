import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SightlineError } from '../errors/sightline-error.ts';
import type { MachineFacts } from './machine-facts.ts';

export const MEASUREMENT_KINDS = [
  ...(['baseline', 'probe', 'trial', 'confirm', 'quality', 'capacity', 'engine'] as const),
];
export type MeasurementKind = (typeof MEASUREMENT_KINDS)[number];

/** One measurement, as a line of `measurements.jsonl`. */
export interface MeasurementRecord<Configuration = unknown, Result = unknown> {
  /** `m001` and so on, in the order in which they were made. */
  readonly id: string;
  readonly kind: MeasurementKind;
  /** `configHash` of the configuration. */
  readonly configHash: string;
  /** sha256 of the compiled model; null if there was none. */
  readonly modelHash: string | null;
  readonly configuration: Configuration;
  readonly scenario: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
  readonly machine: MachineFacts;
  /** Null if it failed. */
  readonly result: Result | null;
  readonly error: string | null;
}

/**
 * All measurements of a run, on disk: each is appended as one line when it is made, so that an interrupted run can go on
 * without repeating any. A last line without its end was being written when the process died, and is ignored.
 */
export class MeasurementLog<Configuration = unknown, Result = unknown> {
  readonly #path: string;
  readonly #records: MeasurementRecord<Configuration, Result>[];
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, records: MeasurementRecord<Configuration, Result>[]) {
    this.#path = path;
    this.#records = records;
  }

  /**
   * Opens a log, and creates its folder.
   *
   * @param options.resume - false: what the file holds is deleted.
   * @throws CONFIG_INVALID if a complete line is not a measurement.
   */
  static async open<Configuration, Result>(
    path: string,
    { resume }: { readonly resume: boolean },
  ): Promise<MeasurementLog<Configuration, Result>> {
    await mkdir(dirname(path), { recursive: true });
    const text = resume ? await readOrEmpty(path) : '';
    const complete = text.slice(0, text.lastIndexOf('\n') + 1);
    const lines = complete.split('\n').slice(0, -1);
    const records = lines.map((line, i) => parseRecord<Configuration, Result>(line, `${path}: line ${i + 1}`));
    await appendFile(path, '');
    // The next line must not continue a torn one.
    await truncate(path, Buffer.byteLength(complete));
    return new MeasurementLog(path, records);
  }

  get records(): readonly MeasurementRecord<Configuration, Result>[] {
    return this.#records;
  }

  /** Appends a measurement; resolves with its record once it is in the file. */
  async add(
    record: Omit<MeasurementRecord<Configuration, Result>, 'id' | 'configHash'>,
  ): Promise<MeasurementRecord<Configuration, Result>> {
    const id = `m${String(this.#records.length + 1).padStart(3, '0')}`;
    const complete = { id, ...record, configHash: configHash(record.configuration) };
    this.#records.push(complete);
    this.#writing = this.#writing.then(() => appendFile(this.#path, `${JSON.stringify(complete)}\n`));
    await this.#writing;
    return complete;
  }

  /** Returns the measurements of this kind, failed ones too, in the order in which they were made. */
  findAll(
    kind: MeasurementKind,
    configuration: Configuration,
    scenario: string,
  ): readonly MeasurementRecord<Configuration, Result>[] {
    const hash = configHash(configuration);
    return this.#records.filter(
      (record) => record.kind === kind && record.configHash === hash && record.scenario === scenario,
    );
  }

  /** Returns the newest successful measurement of this kind; null if there is none. */
  find(
    kind: MeasurementKind,
    configuration: Configuration,
    scenario: string,
  ): MeasurementRecord<Configuration, Result> | null {
    return this.findAll(kind, configuration, scenario).findLast(({ error }) => error === null) ?? null;
  }
}

/** sha256, hex, of the canonical JSON of a configuration: the order of its keys makes no difference. */
export function configHash(configuration: unknown): string {
  return createHash('sha256').update(canonicalJson(configuration)).digest('hex');
}

/** JSON with sorted keys and without white space; absent and undefined keys are the same. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([key, entry]) => `${JSON.stringify(key)}:${canonicalJson(entry)}`).join(',')}}`;
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function parseRecord<Configuration, Result>(line: string, where: string): MeasurementRecord<Configuration, Result> {
  const record = parseJson(line) as Partial<MeasurementRecord<Configuration, Result>> | null;
  const isRecord =
    typeof record === 'object' &&
    record !== null &&
    /^m\d{3,}$/.test(String(record.id)) &&
    MEASUREMENT_KINDS.includes(record.kind as MeasurementKind) &&
    typeof record.configHash === 'string' &&
    typeof record.scenario === 'string';
  if (!isRecord)
    throw new SightlineError(
      'CONFIG_INVALID',
      `${where}: expected a measurement, received ${JSON.stringify(line.slice(0, 60))}; delete the file to start anew`,
    );
  return record as MeasurementRecord<Configuration, Result>;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
