import { type Command, CommanderError } from 'commander';
import { SightlineError } from '../errors/sightline-error.ts';
import type { CliIo } from './cli-io.ts';
import { ReportedFailure } from './reported-failure.ts';

/**
 * Runs one command line of a program.
 *
 * @param args - without node and script.
 * @returns the exit code: 0 done, 1 failed while running, 2 the command or the configuration was wrong.
 */
export async function runProgram(program: Command, args: readonly string[], io: CliIo): Promise<number> {
  configure(program, io);
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    return explain(error, io);
  }
}

/** Every command throws instead of ending the process, writes where we say, and knows only its own flags. */
function configure(command: Command, io: CliIo): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => io.stdout.write(text),
    writeErr: (text) => io.stderr.write(text),
  });
  for (const child of command.commands) configure(child, io);
}

function explain(error: unknown, io: CliIo): number {
  if (error instanceof ReportedFailure) return error.exitCode;
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof SightlineError) {
    // Messages quote files and streams: nothing in them may steer the terminal.
    io.stderr.write(`error: ${error.message.replace(/(?!\n)\p{Cc}/gu, '?')} [${error.code}]\n`);
    return error.exitCode;
  }
  io.stderr.write(
    `error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\nThis is a bug in Sightline.\n`,
  );
  return 1;
}
