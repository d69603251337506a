import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Detection, extrasOf } from '../../base/core/detection.ts';
import type { ResultOrigin, SceneShift } from '../../base/core/frame.ts';
import { readLines } from '../../base/disk/read-lines.ts';
import type { SightlineError, WireError } from '../../base/errors/sightline-error.ts';
import { takeStep } from '../../frame/track/scene-steps.ts';
import type { StreamReport } from '../../wire/protocol/report.ts';
import { LineFile } from './line-file.ts';
import { LineLog } from './line-log.ts';
import type { SinkFailureListener } from './sink.ts';
import { fileFailure } from './sink-failure.ts';

/** A result as `--resume` needs it: in full precision, and before tracking if tracks are computed later. */
export interface RecordedFrame {
  readonly frame: number;
  readonly ptsUs: number;
  readonly width: number;
  readonly height: number;
  readonly by: ResultOrigin;
  readonly detections: readonly Detection[];
  /** How far the scene went since the frame before because the camera moved; absent if it did not, or nobody asked. */
  readonly moved?: SceneShift | undefined;
}

/** A picture that gave no result. */
interface RecordedFailure {
  readonly frame: number;
  readonly error: WireError;
}

/** A warning about a picture, besides its result. */
interface RecordedWarning {
  readonly frame: number;
  readonly warning: string;
}

/** The end of an input that was read to its end, or as far as possible. */
export interface RecordedEnd {
  /** Seconds that the last run took. */
  readonly seconds: number;
  /** Frames that the last run read. */
  readonly frames: number;
  readonly decodeErrors: number;
  readonly decode?: StreamReport['decode'];
  readonly cached: number;
  readonly warnings: readonly string[];
  readonly error: WireError | null;
}

export type RecordEntry = RecordedFrame | RecordedFailure | RecordedWarning;

/** What a record contains when it is opened. */
export interface Recorded {
  /** Number of frames from the first one on, without a gap. */
  readonly frames: number;
  /** Media time of the last frame; 0 without one. */
  readonly ptsUs: number;
  readonly end: RecordedEnd | null;
}

export interface FrameRecordOptions {
  readonly path: string;
  readonly classes: readonly string[];
  /** Distance between consecutive frame numbers. */
  readonly every: number;
  readonly onFailure: SinkFailureListener;
}

const NOTHING: Recorded = { frames: 0, ptsUs: 0, end: null };

/** Time after which a reader looks for new lines again. */
const LOOK_MS = 50;
/** Numbers of a detection: box, score, class, and the track or -1. */
const COLUMNS = 7;

/**
 * The results of one input, a line each, from which all outputs can be written again after an interruption. It can be read while it
 * is written. Reading repairs it: what a crash left at its end is removed.
 */
export class FrameRecord {
  readonly #options: FrameRecordOptions;
  readonly #log: LineLog;
  readonly #closed = new AbortController();
  /** Contents when it was opened. */
  readonly recorded: Recorded;

  private constructor(options: FrameRecordOptions, recorded: Recorded) {
    this.#options = options;
    this.recorded = recorded;
    const { path, onFailure } = options;
    const kind = { firstCharacters: '[{', isWhole: () => false };
    const open = () => LineFile.open(path, kind);
    // Frames lost in a power failure are inferred again: that costs less than waiting for the disk after each input.
    this.#log = new LineLog({ id: 'resume', path, open, retries: 'never', sync: 'never', onFailure });
  }

  /**
   * Opens a record and creates it if it is missing.
   *
   * @param keeps - returns whether the existing entries can be used; if not, they are removed.
   * @throws the system's error.
   */
  static async open(options: FrameRecordOptions, keeps: (recorded: Recorded) => boolean): Promise<FrameRecord> {
    // Created now, so that it can be read at once.
    const handle = await open(options.path, 'a+');
    try {
      const { recorded, validBytes } = await readRecorded(handle, options);
      const isKept = keeps(recorded);
      await handle.truncate(isKept ? validBytes : 0);
      return new FrameRecord(options, isKept ? recorded : NOTHING);
    } finally {
      await handle.close();
    }
  }

  /** @returns a promise to await before the next entry, which never rejects; null if there is none. */
  add(entry: RecordEntry): Promise<void> | null {
    return this.#write('detections' in entry ? numbersOf(entry) : entry);
  }

  /**
   * Closes it, with its last line if the input was read to its end.
   *
   * @throws SINK_FAILED if some entries were not written; their frames are inferred again by the next run.
   */
  async close(end: RecordedEnd | null): Promise<void> {
    if (end !== null) void this.#write({ end });
    try {
      await this.#log.finish();
    } catch (error) {
      const { cause } = error as SightlineError;
      throw cause instanceof Error ? fileFailure('--resume', this.#options.path, cause) : error;
    } finally {
      this.#closed.abort();
    }
  }

  /** Yields all entries from the first one on, including those added later, until the record is closed. */
  async *entries(): AsyncGenerator<RecordEntry> {
    const { path, classes } = this.#options;
    const waitsForMore = async (): Promise<boolean> => {
      if (this.#closed.signal.aborted) return false;
      await sleep(LOOK_MS, undefined, { signal: this.#closed.signal }).catch(() => undefined);
      return true;
    };
    const handle = await open(path, 'r');
    try {
      for await (const { bytes } of readLines(handle, waitsForMore)) {
        const entry = parseLine(bytes, classes);
        if (entry === null) return;
        if (!('end' in entry)) yield entry;
      }
    } finally {
      await handle.close();
    }
  }

  #write(line: unknown): Promise<void> | null {
    return this.#log.write(`${JSON.stringify(line)}\n`, 1) ? null : this.#log.drained();
  }
}

type ParsedLine = RecordEntry | { readonly end: RecordedEnd };

/** Behind the numbers, a list of what other tasks add to each detection, if they add anything, and how the camera moved. */
function numbersOf({ frame, ptsUs, width, height, by, detections, moved }: RecordedFrame): unknown[] {
  const numbers: (number | string)[] = [frame, ptsUs, width, height, by];
  for (const { box, score, classId, trackId = -1 } of detections) numbers.push(...box, score, classId, trackId);
  const extras = detections.map((detection) => ({ ...extrasOf(detection), ...lookedOf(detection) }));
  const hasExtras = extras.some((extra) => Object.keys(extra).length > 0);
  return [...numbers, ...(hasExtras ? [extras] : []), ...(moved === undefined ? [] : [{ moved }])];
}

/** What second stages said, and of an object that one has found its label, which is none of the detector. */
function lookedOf({ attributes, parent, label }: Detection): object {
  return { ...(attributes === undefined ? {} : { attributes }), ...(parent === undefined ? {} : { parent, label }) };
}

/** @returns null if the line is damaged: a power failure can leave zeros. */
function parseLine(bytes: Buffer, classes: readonly string[]): ParsedLine | null {
  try {
    const value = JSON.parse(bytes.toString()) as ParsedLine | (number | string)[] | null;
    if (typeof value !== 'object' || value === null) return null;
    if (!Array.isArray(value)) return value;
    const [frame, ptsUs, width, height, by, ...rest] = value as [number, number, number, number, ResultOrigin];
    const moved = takeStep(rest);
    const extras = Array.isArray(rest.at(-1)) ? (rest.pop() as unknown as object[]) : [];
    const numbers: readonly number[] = rest;
    if (by === undefined || numbers.length % COLUMNS !== 0) return null;
    const detections: Detection[] = [];
    for (let i = 0; i < numbers.length; i += COLUMNS) {
      const [x, y, w, h, score, classId, trackId] = numbers.slice(i, i + COLUMNS) as [number, ...number[]];
      const label = classes[classId!] ?? `class ${classId}`;
      const detection = { classId: classId!, label, score: score!, box: [x, y!, w!, h!] as const };
      detections.push({ ...detection, ...(trackId === -1 ? {} : { trackId: trackId! }), ...extras[i / COLUMNS] });
    }
    return { frame, ptsUs, width, height, by, detections, ...(moved === undefined ? {} : { moved }) };
  } catch {
    return null;
  }
}

/** Reads a record up to its end, a damaged line or a missing frame, whichever comes first. */
async function readRecorded(
  handle: FileHandle,
  { classes, every }: FrameRecordOptions,
): Promise<{ recorded: Recorded; validBytes: number }> {
  let frames = 0;
  let ptsUs = 0;
  let end: RecordedEnd | null = null;
  let validBytes = 0;
  for await (const { bytes, endBytes } of readLines(handle)) {
    const entry = parseLine(bytes, classes);
    if (entry === null || end !== null) break;
    if ('end' in entry) end = entry.end;
    else if ('warning' in entry) {
      // A warning is not a frame: that comes before or after it.
    } else if (entry.frame !== frames * every) break;
    else {
      frames += 1;
      ptsUs = 'ptsUs' in entry ? entry.ptsUs : 0;
    }
    validBytes = endBytes;
  }
  return { recorded: { frames, ptsUs, end }, validBytes };
}
