import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';
import { DETECTION_COLUMNS } from '../../core/detection.ts';
import type { PublishedFrame } from '../../core/frame.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { segmentSpan } from '../../protocol/fleet.ts';
import { AtomicFile } from './atomic-file.ts';

/** First line of a part: what it is a part of. */
const partHeader = z.strictObject({
  version: z.literal(1),
  span: segmentSpan,
  every: z.number(),
  scoreThreshold: z.number(),
  /** The input as it was then: a part of another version of a file is no part of this one. */
  input: z.strictObject({ bytes: z.number(), modifiedMs: z.number() }),
});
export type PartHeader = z.infer<typeof partHeader>;

/** Last line: that the part is whole, and as it was written. */
const partEnd = z.strictObject({ frames: z.number(), sha256: z.string() });

/** A frame's result before tracking: every box that a tracker may need, in full precision. */
export interface PartFrame {
  readonly ptsUs: number;
  readonly width: number;
  readonly height: number;
  /** `[n, 6]` f32 packed: x, y, width, height in source pixels, score, classId. */
  readonly rows: Float32Array;
}

const READ_BYTES = 64 * 1024;
const NEW_LINE = 10;

/** Writes the results of one segment: a header, a line of numbers for each frame, an end with a checksum. */
export class PartWriter {
  readonly #file: AtomicFile;
  readonly #hash = createHash('sha256');
  frames = 0;

  private constructor(file: AtomicFile, header: PartHeader) {
    this.#file = file;
    this.#line(JSON.stringify(header), 0);
  }

  /** @throws SINK_FAILED */
  static async create(path: string, header: PartHeader): Promise<PartWriter> {
    return new PartWriter(await AtomicFile.create('job', path, path), header);
  }

  /** @returns when to go on; null for at once. */
  add({ ptsUs, width, height, detections }: PublishedFrame): Promise<void> | null {
    this.frames += 1;
    const numbers: number[] = [ptsUs, width, height];
    for (const { box, score, classId } of detections) numbers.push(...box, score, classId);
    return this.#line(JSON.stringify(numbers), 1);
  }

  /** @throws SINK_FAILED; nothing of it is left then. */
  async commit(): Promise<void> {
    this.#file.write(`${JSON.stringify({ frames: this.frames, sha256: this.#hash.digest('hex') })}\n`, 0);
    await this.#file.commit();
  }

  discard(): Promise<void> {
    return this.#file.discard();
  }

  #line(text: string, results: number): Promise<void> | null {
    this.#hash.update(text).update('\n');
    return this.#file.write(`${text}\n`, results);
  }
}

/** Reads a part, a few lines at a time. */
export class PartReader {
  readonly header: PartHeader;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  readonly #lines: AsyncGenerator<Buffer>;

  private constructor(path: string, handle: FileHandle, lines: AsyncGenerator<Buffer>, first: Buffer | undefined) {
    this.#path = path;
    this.#handle = handle;
    this.#lines = lines;
    this.header = this.#parse(first, partHeader);
    this.#hash.update(first!).update('\n');
  }

  /**
   * @returns null where there is no such file.
   * @throws SEGMENT_MISMATCH where it is no part, or damaged.
   */
  static async open(path: string): Promise<PartReader | null> {
    let handle: FileHandle;
    try {
      handle = await open(path, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
    try {
      const lines = linesOf(handle);
      const { value } = await lines.next();
      return new PartReader(path, handle, lines, value);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** @throws SEGMENT_MISMATCH after the frames that could be read, where the part is damaged or not whole. */
  async *frames(): AsyncGenerator<PartFrame> {
    let frames = 0;
    for await (const line of this.#lines) {
      if (line[0] === '{'.charCodeAt(0)) {
        const end = this.#parse(line, partEnd);
        if (end.frames !== frames || end.sha256 !== this.#hash.digest('hex'))
          throw this.#damaged('its checksum is wrong');
        return;
      }
      this.#hash.update(line).update('\n');
      const numbers = this.#parse(line, FRAME);
      const [ptsUs, width, height] = numbers as [number, number, number];
      yield { ptsUs, width, height, rows: Float32Array.from(numbers.slice(3)) };
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
      throw this.#damaged('a line of it cannot be read');
    }
  }

  #damaged(why: string): SightlineError {
    return new SightlineError('SEGMENT_MISMATCH', `part ${this.#path} is damaged: ${why}`, { path: this.#path });
  }
}

/** A schema library would take longer for these than the tracker does. */
const FRAME = {
  parse(value: unknown): readonly number[] {
    const isFrame =
      Array.isArray(value) &&
      value.length >= 3 &&
      (value.length - 3) % DETECTION_COLUMNS === 0 &&
      value.every((number) => typeof number === 'number');
    if (!isFrame) throw new TypeError('no frame');
    return value as readonly number[];
  },
};

/** The lines of a file, without their ends; what follows the last end of line is left out. */
async function* linesOf(handle: FileHandle): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, null);
    if (bytesRead === 0) return;
    const bytes =
      rest.length === 0 ? buffer.subarray(0, bytesRead) : Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    let start = 0;
    for (let end = bytes.indexOf(NEW_LINE); end >= 0; end = bytes.indexOf(NEW_LINE, start)) {
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    rest = bytes.subarray(start);
  }
}
