import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import type { ByteWriter as Bytes, ColumnSource, ParquetWriter } from 'hyparquet-writer';
import { roundDetection } from '../../wire/protocol/result-record.ts';
import { FILE_BOX_STEPS } from './result-line.ts';
import type { WrittenFrame } from './sink.ts';

/** Rows that are encoded at once: about 10 ms of the main thread. */
export const GROUP_ROWS = 5000;

type Cell = string | number | bigint | Date | readonly number[] | object | undefined;
interface Column {
  readonly name: string;
  readonly type: NonNullable<ColumnSource['type']>;
  readonly nullable: boolean;
}

/** A row for each detection, with the columns of its frame; `docs/results.md` describes them. */
const COLUMNS = [
  ...[text('stream'), text('run', true), text('source')],
  ...[whole('frame'), whole('ptsUs'), { name: 'capturedAt', type: 'TIMESTAMP', nullable: true }],
  ...[small('width'), small('height'), text('by'), small('classId'), text('label'), real('score')],
  ...[real('x'), real('y'), real('boxWidth'), real('boxHeight'), small('trackId', true)],
  ...[text('mask', true), { name: 'keypoints', type: 'JSON', nullable: true }, real('angle', true)],
  { name: 'attributes', type: 'JSON', nullable: true },
] as const satisfies readonly Column[];

function text(name: string, nullable = false): Column {
  return { name, type: 'STRING', nullable };
}

function whole(name: string): Column {
  return { name, type: 'INT64', nullable: false };
}

function small(name: string, nullable = false): Column {
  return { name, type: 'INT32', nullable };
}

function real(name: string, nullable = false): Column {
  return { name, type: 'DOUBLE', nullable };
}

/** Detections that wait to be written, as columns. */
export class ParquetRows {
  readonly #cells: Cell[][] = COLUMNS.map(() => []);

  get length(): number {
    return this.#cells[0]!.length;
  }

  add(frame: WrittenFrame, source: string): void {
    const { streamId, run, frame: number, ptsUs, capturedAtMs, width, height, by } = frame;
    const capturedAt = capturedAtMs === undefined ? undefined : new Date(capturedAtMs);
    const ofFrame = [streamId, run, source, BigInt(number), BigInt(ptsUs), capturedAt, width, height, by];
    for (const detection of frame.detections) {
      const { classId, label, score, box, trackId, ...rest } = roundDetection(detection, FILE_BOX_STEPS);
      const { mask, keypoints, angle, attributes } = rest;
      const row: Cell[] = [
        ...ofFrame,
        classId,
        label,
        score,
        ...box,
        trackId,
        mask?.counts,
        keypoints,
        angle,
        attributes,
      ];
      for (const [i, cells] of this.#cells.entries()) cells.push(row[i]);
    }
  }

  get columns(): ColumnSource[] {
    return COLUMNS.map((column, i) => ({ ...column, data: this.#cells[i]! }));
  }
}

/** Without it readers take a time for one of no zone. */
function inUtc<T extends object>(element: T) {
  return { ...element, logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' } as const };
}

/** A Parquet file that is written from start to end. It can be read once `finish` has resolved. */
export class ParquetFile {
  readonly #handle: FileHandle;
  readonly #writer: ParquetWriter;

  private constructor(handle: FileHandle, writer: ParquetWriter) {
    this.#handle = handle;
    this.#writer = writer;
  }

  /** Creates the file, or replaces one. @throws the system's errors. */
  static async open(path: string): Promise<ParquetFile> {
    return ParquetFile.of(await open(path, 'w'));
  }

  /** Writes to an empty file, which it closes. */
  static async of(handle: FileHandle): Promise<ParquetFile> {
    const { ByteWriter, ParquetWriter: Writer, schemaFromColumnData } = await import('hyparquet-writer');
    const bytes = new ByteWriter() as Bytes & { flush?: () => Promise<void>; finish: () => Promise<void> };
    const flush = async (): Promise<void> => {
      const chunk = Buffer.from(bytes.buffer.slice(0, bytes.index));
      bytes.index = 0;
      for (let at = 0; at < chunk.length; ) at += (await handle.write(chunk, at)).bytesWritten;
    };
    // It is called after each group, and so is awaited there.
    bytes.flush = flush;
    bytes.finish = flush;
    const plain = schemaFromColumnData({ columnData: new ParquetRows().columns });
    const schema = plain.map((element) => (element.converted_type === 'TIMESTAMP_MILLIS' ? inUtc(element) : element));
    return new ParquetFile(handle, new Writer({ writer: bytes, schema, createdBy: 'sightline' }));
  }

  async append(rows: ParquetRows): Promise<void> {
    if (rows.length > 0) await this.#writer.write({ columnData: rows.columns, rowGroupSize: GROUP_ROWS });
  }

  /** Completes the file, on the disk too. */
  async finish(): Promise<void> {
    await this.#writer.finish();
    await this.#handle.datasync();
    await this.#handle.close();
  }

  /** Leaves it incomplete. */
  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
  }
}
