import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { DETECTION_COLUMNS, extrasOf } from '../../../base/core/detection.ts';
import type { SceneShift } from '../../../base/core/frame.ts';
import type { PtsUs } from '../../../base/core/units.ts';
import { isMissing, openGiven } from '../../../base/disk/given-file.ts';
import { type FileLine, readLines } from '../../../base/disk/read-lines.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { CropReading } from '../../../frame/runtime/stream/in-flight-frame.ts';
import { takeStep } from '../../../frame/track/scene-steps.ts';
import { segmentSpan } from '../../../wire/protocol/fleet.ts';
import { AtomicFile } from './atomic-file.ts';
import type { SegmentFolder } from './segment-folder.ts';
import type { StretchFrame } from './segment-runner.ts';

/** First line of a segment result: which segment of which input it holds. */
const segmentHeader = z.strictObject({
  version: z.literal(1),
  span: segmentSpan,
  every: z.number(),
  scoreThreshold: z.number(),
  /** Identifies the version of the input: a result of another version is not used. */
  input: z.strictObject({ bytes: z.number(), modifiedMs: z.number() }),
});
export type SegmentHeader = z.infer<typeof segmentHeader>;

/** Last line: shows that the file is complete and unchanged. */
const segmentEnd = z.strictObject({ frames: z.number(), sha256: z.string() });

/** A frame's result before tracking: every box that a tracker can use, in full precision. */
export interface SegmentFrame {
  readonly ptsUs: PtsUs;
  readonly width: number;
  readonly height: number;
  /** `[n, 6]` f32 packed: x, y, width, height in source pixels, score, classId. */
  readonly rows: Float32Array;
  /** What other tasks than boxes add to each row; empty if nothing. */
  readonly extras: readonly ReturnType<typeof extrasOf>[];
  /** Size of the full picture, and what second stages found in its crops; null and none if they looked at nothing. */
  readonly picture: { readonly width: number; readonly height: number } | null;
  readonly readings: readonly CropReading[];
  /** How far the scene went since the frame before because the camera moved; absent if it did not. Not known of the first frame of a segment. */
  readonly moved?: SceneShift | undefined;
}

/** Writes the results of one segment: a header, a line of numbers for each frame, and a last line with a checksum. */
export class SegmentWriter {
  readonly #file: AtomicFile;
  readonly #hash = createHash('sha256');
  frames = 0;

  private constructor(file: AtomicFile, header: SegmentHeader) {
    this.#file = file;
    this.#line(JSON.stringify(header));
  }

  /** @throws SINK_FAILED */
  static async create(path: string, header: SegmentHeader, folder: SegmentFolder): Promise<SegmentWriter> {
    return new SegmentWriter(await AtomicFile.create('job', path, path, folder), header);
  }

  /** @returns a promise to await before the next frame; null if there is none. */
  add({ ptsUs, width, height, detections, picture, readings = [], moved }: StretchFrame): Promise<void> | null {
    this.frames += 1;
    const numbers: number[] = [ptsUs, width, height];
    for (const { box, score, classId } of detections) numbers.push(...box, score, classId);
    const extras = detections.map(extrasOf);
    const hasExtras = extras.some((extra) => Object.keys(extra).length > 0);
    const looks = { picture, readings: readings.map((reading) => ({ ...reading, rows: [...reading.rows] })) };
    const more = [...(hasExtras ? [extras] : []), ...(moved === undefined ? [] : [{ moved }])];
    return this.#line(JSON.stringify([...numbers, ...more, ...(readings.length === 0 ? [] : [looks])]));
  }

  /** @throws SINK_FAILED, after which nothing is left on disk. */
  async commit(): Promise<void> {
    this.#file.write(`${JSON.stringify({ frames: this.frames, sha256: this.#hash.digest('hex') })}\n`);
    await this.#file.commit();
  }

  discard(): Promise<void> {
    return this.#file.discard();
  }

  #line(text: string): Promise<void> | null {
    this.#hash.update(text).update('\n');
    return this.#file.write(`${text}\n`);
  }
}

/** Reads a segment result, a few lines at a time. */
export class SegmentReader {
  readonly header: SegmentHeader;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  readonly #lines: AsyncGenerator<FileLine>;

  private constructor(path: string, handle: FileHandle, lines: AsyncGenerator<FileLine>, first: Buffer | undefined) {
    this.#path = path;
    this.#handle = handle;
    this.#lines = lines;
    this.header = this.#parse(first, segmentHeader);
    this.#hash.update(first!).update('\n');
  }

  /**
   * @returns null if there is no such file.
   * @throws SEGMENT_MISMATCH if it is damaged or not a segment result.
   */
  static async open(path: string): Promise<SegmentReader | null> {
    let handle: FileHandle;
    try {
      const given = {
        code: 'SEGMENT_MISMATCH',
        as: `segment result ${path} is damaged`,
        within: [dirname(path)],
      } as const;
      ({ handle } = await openGiven(path, { ...given, mostBytes: Number.MAX_SAFE_INTEGER }));
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
    try {
      const lines = readLines(handle);
      const { value } = await lines.next();
      return new SegmentReader(path, handle, lines, value?.bytes);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** @throws SEGMENT_MISMATCH, after the readable frames, if it is damaged or incomplete. */
  async *frames(): AsyncGenerator<SegmentFrame> {
    let frames = 0;
    for await (const { bytes: line } of this.#lines) {
      if (line[0] === '{'.charCodeAt(0)) {
        const end = this.#parse(line, segmentEnd);
        if (end.frames !== frames || end.sha256 !== this.#hash.digest('hex'))
          throw this.#damaged('its checksum is wrong');
        return;
      }
      this.#hash.update(line).update('\n');
      const { numbers, ...more } = this.#parse(line, FRAME);
      const [ptsUs, width, height] = numbers as [PtsUs, number, number];
      yield { ptsUs, width, height, rows: Float32Array.from(numbers.slice(3)), ...more };
      frames += 1;
    }
    throw this.#damaged(`it ends after ${frames} frames`);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  #parse<T>(line: Buffer | undefined, schema: { parse(value: unknown): T }): T {
    try {
      return schema.parse(JSON.parse(line?.toString() ?? ''));
    } catch {
      throw this.#damaged('a line cannot be parsed');
    }
  }

  #damaged(why: string): SightlineError {
    return new SightlineError('SEGMENT_MISMATCH', `segment result ${this.#path} is damaged: ${why}`, {
      path: this.#path,
    });
  }
}

/** Not a schema: zod would take longer for these lines than the tracker does. */
const FRAME = {
  parse(
    value: unknown,
  ): { readonly numbers: readonly number[] } & Pick<SegmentFrame, 'extras' | 'picture' | 'readings' | 'moved'> {
    const hasLooks = Array.isArray(value) && Object.hasOwn(Object(value.at(-1)), 'readings');
    const { picture, readings } = hasLooks ? (value.pop() as WrittenLooks) : { picture: null, readings: [] };
    const moved = Array.isArray(value) ? takeStep(value) : undefined;
    const extras = Array.isArray(value) && Array.isArray(value.at(-1)) ? value.pop() : [];
    const isFrame =
      Array.isArray(value) &&
      value.length >= 3 &&
      (value.length - 3) % DETECTION_COLUMNS === 0 &&
      value.every((number) => typeof number === 'number');
    if (!isFrame) throw new TypeError('not a frame');
    // JSON has no NaN, which fills the rows of a vector.
    const rowsOf = (rows: readonly (number | null)[]) => Float32Array.from(rows, (number) => number ?? Number.NaN);
    const read = readings.map((reading) => ({ ...reading, rows: rowsOf(reading.rows) }));
    return {
      numbers: value as readonly number[],
      extras,
      picture,
      readings: read,
      ...(moved === undefined ? {} : { moved }),
    };
  },
};

/** What second stages found, as it is in a line. */
interface WrittenLooks extends Pick<SegmentFrame, 'picture'> {
  readonly readings: readonly (Omit<CropReading, 'rows'> & { readonly rows: readonly (number | null)[] })[];
}
