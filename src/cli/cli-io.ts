import type { Writable } from 'node:stream';
import type { Environment } from '../runtime/environment.ts';
import type { CrashFlush } from './crash-flush.ts';

/** A command's surroundings: streams, environment, and the wish to stop. Real ones come from `workers/`. */
export interface CliIo {
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly environment: Environment;
  /** Aborts on SIGINT and SIGTERM. */
  readonly stop: AbortSignal;
  /** Where commands say what is to be flushed if the process meets an unforeseen exception; absent where nobody looks after that. */
  readonly crash?: CrashFlush;
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
