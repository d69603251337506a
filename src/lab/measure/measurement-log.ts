import { createHash } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LineFile } from '../../after/sinks/line-file.ts';
import { OutputLock } from '../../after/sinks/output-lock.ts';
import { canonicalJson } from '../../base/core/canonical-json.ts';
import { readLines } from '../../base/disk/read-lines.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { MachineFacts } from './machine-facts.ts';

const MEASUREMENT_KINDS = [
  ...(['baseline', 'probe', 'trial', 'pair', 'confirm', 'quality', 'check', 'verdict', 'capacity', 'engine'] as const),
];
export type MeasurementKind = (typeof MEASUREMENT_KINDS)[number];

/** What a measurement depends on, by name: `recording`, `machine`. The content of files is a hash. */
export type Dependencies = Readonly<Record<string, string>>;

/** Records of a log that are not used again. */
export interface LeftAside {
  readonly count: number;
  /** Of all records. */
  readonly of: number;
  /** Names of what differs, with the number of records in which it does. */
  readonly because: Readonly<Record<string, number>>;
}

/** One measurement, as a line of `measurements.jsonl`. */
export interface MeasurementRecord<Configuration = unknown, Result = unknown> {
  /** `m001` and so on, in the order in which they were made; no two in a file are equal. */
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
  /** All that the result depends on besides configuration and scenario. */
  readonly dependsOn: Dependencies;
  /** Null if it failed. */
  readonly result: Result | null;
  readonly error: string | null;
}

export interface LogOptions {
  /** False: what the file holds is deleted. */
  readonly resume: boolean;
  /** What measurements of a kind depend on now; one that was made with anything else is not used again. */
  readonly dependsOn: (kind: MeasurementKind) => Dependencies;
}

/**
 * All measurements of a run, on disk: each is appended as one line when it is made, so that an interrupted run can continue
 * without repeating any. A last line without its end was being written when the process died, and is removed. A record is used
 * again only if all that it depends on is the same; others stay in the file and nowhere else. One process at a time writes a log.
 */
export class MeasurementLog<Configuration = unknown, Result = unknown> {
  /** Null if every record of the file is used. */
  readonly leftAside: LeftAside | null;
  readonly #file: LineFile;
  readonly #lock: OutputLock | null;
  readonly #dependsOn: LogOptions['dependsOn'];
  readonly #records: MeasurementRecord<Configuration, Result>[];
  #lastNumber: number;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(
    file: LineFile,
    lock: OutputLock | null,
    dependsOn: LogOptions['dependsOn'],
    all: readonly MeasurementRecord<Configuration, Result>[],
  ) {
    this.#file = file;
    this.#lock = lock;
    this.#dependsOn = dependsOn;
    const because: Record<string, number> = {};
    this.#records = all.filter((record) => {
      const names = missing(dependsOn(record.kind), record.dependsOn ?? {});
      for (const name of names) because[name] = (because[name] ?? 0) + 1;
      return names.length === 0;
    });
    const count = all.length - this.#records.length;
    this.leftAside = count === 0 ? null : { count, of: all.length, because };
    this.#lastNumber = all.reduce((most, { id }) => Math.max(most, Number(id.slice(1))), 0);
  }

  /**
   * Opens a log, and creates its folder. Close it afterwards.
   *
   * @throws CONFIG_INVALID if a complete line is not a measurement; COMMAND_INVALID if another process writes this log; SINK_FAILED if
   *   its folder cannot be made.
   */
  static async open<Configuration, Result>(
    path: string,
    { resume, dependsOn }: LogOptions,
  ): Promise<MeasurementLog<Configuration, Result>> {
    await mkdir(dirname(path), { recursive: true }).catch((error: NodeJS.ErrnoException) => {
      throw unwritable(dirname(path), error);
    });
    const lock = await lockOf(path);
    try {
      if (!resume) await rm(path, { force: true });
      const records = await readRecords<Configuration, Result>(path);
      const file = await LineFile.open(path, { firstCharacters: '{', isWhole: () => false });
      return new MeasurementLog(file, lock, dependsOn, records);
    } catch (error) {
      await lock?.release();
      throw error;
    }
  }

  /** Waits for the last line and lets other processes write. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
    await this.#lock?.release();
  }

  get records(): readonly MeasurementRecord<Configuration, Result>[] {
    return this.#records;
  }

  /**
   * Appends a measurement; resolves with its record once it is in the file.
   *
   * @throws SINK_FAILED if it cannot be written, such as on a full disk.
   * @param record.dependsOn - what it depends on in addition to what all of its kind do.
   */
  async add(
    record: Omit<MeasurementRecord<Configuration, Result>, 'id' | 'configHash'>,
  ): Promise<MeasurementRecord<Configuration, Result>> {
    this.#lastNumber += 1;
    const id = `m${String(this.#lastNumber).padStart(3, '0')}`;
    const dependsOn = { ...this.#dependsOn(record.kind), ...record.dependsOn };
    const complete = { id, ...record, dependsOn, configHash: configHash(record.configuration) };
    this.#records.push(complete);
    const written = this.#writing.then(() => this.#file.append(Buffer.from(`${JSON.stringify(complete)}\n`)));
    this.#writing = written;
    const { error } = await written;
    if (error !== null) throw unwritable(this.#file.path, error);
    return complete;
  }

  /**
   * Returns the measurements of this kind, failed ones too, in the order in which they were made.
   *
   * @param dependsOn - what they must have been made with, in addition to what all of their kind depend on.
   */
  findAll(
    kind: MeasurementKind,
    configuration: Configuration,
    scenario: string,
    dependsOn: Dependencies = {},
  ): readonly MeasurementRecord<Configuration, Result>[] {
    const hash = configHash(configuration);
    return this.#records.filter(
      (record) =>
        record.kind === kind &&
        record.configHash === hash &&
        record.scenario === scenario &&
        missing(dependsOn, record.dependsOn).length === 0,
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

function unwritable(path: string, cause: NodeJS.ErrnoException): SightlineError {
  const reason = {
    ENOSPC: 'the disk is full',
    EEXIST: 'it is a file, not a folder',
    EACCES: 'no permission',
    EROFS: 'the disk is read-only',
  };
  const why = reason[cause.code as keyof typeof reason] ?? cause.message;
  return new SightlineError('SINK_FAILED', `${path}: measurements cannot be written: ${why}`, { path }, { cause });
}

/** Names of what `wanted` has and `other` has not, or not so. */
function missing(wanted: Dependencies, other: Dependencies): string[] {
  return Object.keys(wanted).filter((name) => wanted[name] !== other[name]);
}

/** @throws COMMAND_INVALID if another process writes this log. */
async function lockOf(path: string): Promise<OutputLock | null> {
  try {
    return await OutputLock.take(path, 'measurements');
  } catch (error) {
    if (!(error instanceof SightlineError && error.code === 'SINK_BUSY')) throw error;
    const { pid, host } = error.details;
    const who = pid === undefined ? 'another process' : `process ${pid} on ${host}`;
    throw new SightlineError(
      'COMMAND_INVALID',
      `${path}: ${who} writes its measurements there; wait until it ends, or choose another folder`,
    );
  }
}

/** sha256, hex, of the canonical JSON of a configuration: the order of its keys makes no difference. */
export function configHash(configuration: unknown): string {
  return createHash('sha256').update(canonicalJson(configuration)).digest('hex');
}

/** Reads the complete lines; none if there is no file. */
async function readRecords<Configuration, Result>(path: string): Promise<MeasurementRecord<Configuration, Result>[]> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  const records: MeasurementRecord<Configuration, Result>[] = [];
  if (handle === null) return records;
  try {
    for await (const { bytes } of readLines(handle))
      records.push(parseRecord(bytes.toString(), `${path}: line ${records.length + 1}`));
    return records;
  } finally {
    await handle.close();
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
      `${where}: expected a measurement, received ${JSON.stringify(line.slice(0, 60))}; delete the file to start again`,
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
