import type { Writable } from 'node:stream';
import type { ProcessContext } from '../host/process-context.ts';

/** What a command needs of its process: streams, environment, and the signal to stop. */
export interface CliIo extends ProcessContext {
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

export function print(io: CliIo, text: string): void {
  io.stdout.write(`${text}\n`);
}

export function note(io: CliIo, text: string): void {
  io.stderr.write(`${text}\n`);
}

/** One JSON document on standard output, and nothing else there. */
export function printJson(io: CliIo, value: unknown): void {
  print(io, JSON.stringify(value, null, 2));
}
