import type { Readable } from 'node:stream';

/** Reads a program's log and keeps its end. */
export class LogTail {
  #text = '';

  /** @param maxChars - older text is dropped, also within a line. */
  constructor(log: Readable, maxChars: number) {
    log.setEncoding('utf8').on('data', (text: string) => {
      this.#text = (this.#text + text).slice(-maxChars);
    });
  }

  get text(): string {
    return this.#text;
  }
}

/** Returns the last lines of a log that are not blank, at most `count`. */
export function lastLines(log: string, count: number): string[] {
  return log
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-count);
}
