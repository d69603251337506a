import type { Writable } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { PublishedFrame } from '../core/frame.ts';
import { compressionOf } from '../disk/compression.ts';
import type { AppendFile } from './append-file.ts';
import { isJsonObject } from './line-file.ts';
import { LineLog } from './line-log.ts';
import { chunkOf, type LineKind, openLines } from './open-lines.ts';
import { cutText, PartialFile } from './partial-file.ts';
import { resultLine } from './result-line.ts';
import type { Sink, SinkFailureListener } from './sink.ts';
import { TextOutput } from './text-output.ts';

export interface JsonlSinkOptions {
  readonly id: string;
  /** File to write, compressed if its extension is `.gz` or `.zst`; `-` writes to `stdout`. */
  readonly path: string;
  /**
   * Appends to an existing file, and retries after a failure such as a full disk. Otherwise the file is written as
   * `NAME.partial.EXT` and replaces an earlier one when it is complete.
   */
  readonly append?: boolean | undefined;
  /** Value of `run` in every line. It tells runs apart, because frame numbers restart with each run. */
  readonly run?: string | undefined;
  /** Required if `path` is `-`. The sink does not end it. */
  readonly stdout?: Writable | undefined;
  readonly onFailure: SinkFailureListener;
  readonly onRecovery?: ((lostResults: number) => void) | undefined;
  readonly onNotice?: ((text: string) => void) | undefined;
  readonly clock?: Clock | undefined;
}

function jsonLines(path: string): LineKind {
  return { firstCharacters: '{', isWhole: isJsonObject, compression: compressionOf(path) };
}

/** Writes one line of JSON per frame, at most 100 ms after the frame; 1 s after it if the file is compressed. */
export class JsonlSink implements Sink {
  readonly id: string;
  readonly #run: string | undefined;
  readonly #output: JsonlOutput;
  #closing: Promise<void> | null = null;

  /**
   * Opens the file. If that fails, `onFailure` is called and `close` rejects.
   *
   * @throws TypeError when `path` is `-` and no `stdout` is given.
   */
  constructor(options: JsonlSinkOptions) {
    this.id = options.id;
    this.#run = options.run;
    this.#output = openOutput(options);
  }

  publish(frame: PublishedFrame, source: string): boolean {
    if (this.#closing !== null) return true;
    return this.#output.write(`${resultLine(frame, source, this.#run)}\n`, 1);
  }

  drained(): Promise<void> {
    return this.#output.drained();
  }

  close(isComplete = true): Promise<void> {
    this.#closing ??= this.#output.finish(isComplete);
    return this.#closing;
  }
}

interface JsonlOutput {
  write(lines: string, results: number): boolean;
  drained(): Promise<void>;
  finish(isComplete: boolean): Promise<void>;
}

function openOutput(options: JsonlSinkOptions): JsonlOutput {
  const { id, path, stdout, onFailure, clock } = options;
  const kind = jsonLines(path);
  if (path === '-') {
    if (stdout === undefined) throw new TypeError(`sink ${id}: path "-" needs a stdout stream`);
    return new TextOutput({ id, path, stream: stdout, onFailure, clock });
  }
  if (options.append !== true) return new PartialFile({ ...options, kind, keepsEarlier: false, retries: false });
  const log = new LineLog({ ...options, retries: true, chunk: chunkOf(kind), open: () => openRepaired(options, kind) });
  return {
    write: (lines, results) => log.write(lines, results),
    drained: () => log.drained(),
    finish: () => log.finish(),
  };
}

async function openRepaired({ id, path, onNotice }: JsonlSinkOptions, kind: LineKind): Promise<AppendFile> {
  const file = await openLines(path, kind);
  if (file.cutBytes > 0) onNotice?.(`sink ${id}: ${path} is continued${cutText(file)}`);
  return file;
}
