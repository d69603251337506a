import { Command, CommanderError } from 'commander';
import { SightlineError } from '../errors/sightline-error.ts';
import { addBench } from './bench.ts';
import type { CliIo } from './cli-io.ts';
import { addDetect } from './detect.ts';
import { addDoctor } from './doctor.ts';
import { addEval } from './eval.ts';
import { addModels } from './models.ts';
import { ReportedFailure } from './reported-failure.ts';
import { addRun } from './run.ts';
import { addScore } from './score.ts';

const HELP = `
Start here:
  sightline doctor                                what this machine can do
  sightline run pipelines/live-detect.yaml        a live picture in the browser
  sightline detect clip.mp4 --out results.jsonl   every frame of a file

Environment: FFMPEG_PATH, SIGHTLINE_MODEL_PATH (folders with weights), SIGHTLINE_CACHE_DIR, SIGHTLINE_TOKEN.
Exit codes: 0 done; 1 failed while running; 2 the command or the configuration was wrong.`;

/**
 * Runs one command line.
 *
 * @param args - without node and script.
 * @returns the exit code: 0 done, 1 failed while running, 2 the command or the configuration was wrong.
 */
export async function runCli(args: readonly string[], io: CliIo, version: string): Promise<number> {
  const program = new Command('sightline')
    .description('Real-time object detection for video: many streams, one machine.')
    .version(version)
    .addHelpText('after', HELP)
    .showSuggestionAfterError();
  for (const add of [addRun, addDetect, addEval, addScore, addBench, addModels, addDoctor]) add(program, io);
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
    io.stderr.write(`error: ${error.message} [${error.code}]\n`);
    return error.exitCode;
  }
  io.stderr.write(
    `error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\nThis is a bug in Sightline.\n`,
  );
  return 1;
}
