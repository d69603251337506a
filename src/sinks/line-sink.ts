import type { Sink, SinkFigures, WrittenFrame } from './sink.ts';

/** Where the lines of a sink go. */
export interface LineOutput {
  readonly figures: SinkFigures;
  /** @param results - in these lines, which end with a line break each. @returns false when the caller should wait for `drained()`. */
  write(lines: string, results: number): boolean;
  drained(): Promise<void>;
  finish(isComplete: boolean): Promise<void>;
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
