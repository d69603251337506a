import type { Writable } from 'node:stream';
import { terminalText } from '../base/core/terminal-text.ts';
import { type ErrorDetails, SightlineError } from '../base/errors/sightline-error.ts';
import type { ProcessContext } from '../serve/host/process-context.ts';

/** What a command needs from its process: streams, environment, and the stop signal. */
export interface CliIo extends ProcessContext {
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

/** The flag of every command that prints something to process further. */
export const JSON_FLAG = { '--json': 'one JSON document on standard output' } as const;
export interface JsonFlag {
  readonly json?: boolean | undefined;
}

/** The error of a command line that is wrong. */
export function wrongCommand(message: string, details: ErrorDetails = {}): SightlineError {
  return new SightlineError('COMMAND_INVALID', message, details);
}

export function print(io: CliIo, text: string): void {
  io.stdout.write(`${terminalText(text)}\n`);
}

export function note(io: CliIo, text: string): void {
  io.stderr.write(`${terminalText(text)}\n`);
}

/** Writes what a command has found: with `--json` one JSON document and nothing else, otherwise text for people. */
export function show(io: CliIo, { json }: JsonFlag, value: unknown, text: () => string): void {
  if (json === true) printJson(io, value);
  else print(io, text());
}

/** Writes one JSON document to standard output. With `--json`, nothing else is written there. */
export function printJson(io: CliIo, value: unknown): void {
  print(io, JSON.stringify(value, null, 2));
}

/** Formats rows as columns: numbers right-aligned, everything else left-aligned. */
export function table(written: readonly (readonly string[])[]): string {
  // A name with a line break would make a row of its own.
  const rows = written.map((row) => row.map((cell) => cell.replaceAll(/[\n\t]/g, '?')));
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  return rows
    .map((row) =>
      row
        .map((cell, i) => (isNumeric(cell) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function isNumeric(cell: string): boolean {
  return /^-?[\d.,]+( ?(ms|fps|%|MB|s))?$/.test(cell);
}
