import type { Clock } from '../../base/core/clock.ts';
import type { LineLog } from './line-log.ts';
import type { SyncPolicy } from './line-writer.ts';
import type { Sink, SinkFailureListener, SinkFigures, WrittenFrame } from './sink.ts';
import type { SinkFiles } from './sink-files.ts';

/** Where the lines of a sink go. */
export type LineOutput = Pick<LineLog, 'write' | 'drained' | 'figures' | 'finish'>;

/** What each sink of lines is made with. */
export interface LineSinkOptions {
  readonly id: string;
  /** Default `interval`. */
  readonly sync?: SyncPolicy | undefined;
  readonly onFailure: SinkFailureListener;
  /** Called when results are written again after a failure. */
  readonly onRecovery?: ((lostResults: number) => void) | undefined;
  /** Receives a sentence about what an earlier run left, or about a file that does not get its final name. */
  readonly onNotice?: ((text: string) => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly files?: SinkFiles | undefined;
}

/** A sink that writes lines to one output. */
export abstract class LineSink implements Sink {
  readonly id: string;
  readonly #output: LineOutput;
  #closing: Promise<void> | null = null;

  protected constructor(id: string, output: LineOutput) {
    this.id = id;
    this.#output = output;
  }

  /** Returns a result as lines, possibly none, each with its line break. */
  protected abstract linesOf(frame: WrittenFrame, source: string): readonly string[];

  publish(frame: WrittenFrame, source: string): boolean {
    if (this.#closing !== null) return true;
    const lines = this.linesOf(frame, source);
    return this.#output.write(lines.join(''), lines.length);
  }

  /** Writes one line that is no result. */
  protected append(line: string, onKept?: () => void): boolean {
    return this.#closing !== null || this.#output.write(`${line}\n`, 1, onKept);
  }

  drained(): Promise<void> {
    return this.#output.drained();
  }

  get figures(): SinkFigures {
    return this.#output.figures;
  }

  close(isComplete = true): Promise<void> {
    this.#closing ??= this.#output.finish(isComplete);
    return this.#closing;
  }
}
