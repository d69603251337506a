import type { Writable } from 'node:stream';
import { terminalText } from '../core/terminal-text.ts';
import type { ProcessContext } from '../host/process-context.ts';

/** What a command needs from its process: streams, environment, and the stop signal. */
export interface CliIo extends ProcessContext {
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

export function print(io: CliIo, text: string): void {
  io.stdout.write(`${terminalText(text)}\n`);
}

export function note(io: CliIo, text: string): void {
  io.stderr.write(`${terminalText(text)}\n`);
}

/** Writes one JSON document to standard output. With `--json`, nothing else is written there. */
export function printJson(io: CliIo, value: unknown): void {
  print(io, JSON.stringify(value, null, 2));
}
