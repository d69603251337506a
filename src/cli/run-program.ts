import { type Command, CommanderError } from 'commander';
import { withoutHidden } from '../base/core/hidden-values.ts';
import { terminalText } from '../base/core/terminal-text.ts';
import { SightlineError, unwritableText } from '../base/errors/sightline-error.ts';
import { type CliIo, note } from './cli-io.ts';
import { interruptedCode, ReportedFailure } from './interruption.ts';

/**
 * Runs one command line of a program.
 *
 * @param args - without node and script.
 * @returns the exit code: 0 success, 1 failed while running, 2 wrong command or configuration, 3 a target was not met; 130, 143 or 129
 *   interrupted by SIGINT, SIGTERM or SIGHUP.
 */
export async function runProgram(program: Command, args: readonly string[], io: CliIo): Promise<number> {
  configure(program, io);
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (io.stop.aborted && error === io.stop.reason) {
      io.stderr.write('interrupted\n');
      return interruptedCode(io.stop);
    }
    return reportError(error, io);
  }
}

/** Makes every command throw instead of ending the process, and write to the streams of `io`. */
function configure(command: Command, io: CliIo): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => io.stdout.write(terminalText(text)),
    writeErr: (text) => io.stderr.write(terminalText(text)),
  });
  for (const child of command.commands) configure(child, io);
}

/** Writes an error to standard error. @returns the exit code. */
export function reportError(error: unknown, io: CliIo): number {
  if (error instanceof ReportedFailure) return error.exitCode;
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof SightlineError) {
    note(io, `error: ${error.message} [${error.code}]`);
    return error.exitCode;
  }
  const unwritable = unwritableText(error);
  if (unwritable !== null) {
    note(io, `error: ${withoutHidden(unwritable)} [CONFIG_INVALID]`);
    return 2;
  }
  note(
    io,
    withoutHidden(
      `error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\nThis is a bug in Sightline.`,
    ),
  );
  return 1;
}
