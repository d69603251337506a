import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { PublishedFrame } from '../core/frame.ts';
import { resultLine } from './result-line.ts';
import type { Sink, SinkFailureListener } from './sink.ts';
import { TextOutput } from './text-output.ts';

export interface JsonlSinkOptions {
  readonly id: string;
  /** File to write, replaced if it exists; `-` writes to `stdout`. */
  readonly path: string;
  /** Keeps what is in the file and goes on behind it. */
  readonly append?: boolean | undefined;
  /** Needed where `path` is `-`. It is not ended. */
  readonly stdout?: Writable | undefined;
  readonly onFailure: SinkFailureListener;
  readonly clock?: Clock | undefined;
}

/**
 * Writes one line of JSON for each frame, straight to its path, so that it can be followed while it grows (`tail -f`);
 * a line is on its way 100 ms after its frame at the latest. When the disk fills up, the last line may be cut off.
 */
export class JsonlSink implements Sink {
  readonly id: string;
  readonly #output: TextOutput;
  #closing: Promise<void> | null = null;

  /**
   * Opens the file. That it cannot be opened is told to `onFailure` and by `close`.
   *
   * @throws TypeError when `path` is `-` and no `stdout` is given.
   */
  constructor(options: JsonlSinkOptions) {
    const { id, path, onFailure, clock } = options;
    this.id = id;
    const isStdout = path === '-';
    if (isStdout && options.stdout === undefined) throw new TypeError(`sink ${id}: path "-" needs a stdout stream`);
    const stream = isStdout ? options.stdout! : createWriteStream(path, { flags: options.append ? 'a' : 'w' });
    this.#output = new TextOutput({ id, path, stream, ownsStream: !isStdout, onFailure, clock });
  }

  publish(frame: PublishedFrame, source: string): boolean {
    if (this.#closing !== null) return true;
    return this.#output.write(`${resultLine(frame, source)}\n`, 1);
  }

  drained(): Promise<void> {
    return this.#output.drained();
  }

  close(): Promise<void> {
    this.#closing ??= this.#output.finish();
    return this.#closing;
  }
}
