import { Command } from 'commander';
import { addBench } from './bench.ts';
import { type CliIo, note } from './cli-io.ts';
import { addDetect } from './detect.ts';
import { addDoctor } from './doctor.ts';
import { addEval } from './eval.ts';
import { addHost } from './host.ts';
import { addJobs } from './jobs.ts';
import { addLoadtest } from './loadtest.ts';
import { addModels } from './models.ts';
import { addOptimize } from './optimize.ts';
import { addRollout } from './rollout.ts';
import { addRun } from './run.ts';
import { reportError, runProgram } from './run-program.ts';
import { addScore } from './score.ts';
import { withoutSecrets } from './secret-arguments.ts';
import { addStreams } from './streams.ts';
import { addSubmit } from './submit.ts';
import { addTokens } from './tokens.ts';

const HELP = `
Start here:
  sightline doctor                                check this machine
  sightline run pipelines/live-detect.yaml        live detection in the browser
  sightline detect clip.mp4 --out results.jsonl   detect in every frame of a file

Environment: FFMPEG_PATH, SIGHTLINE_MODEL_PATH (folders with weights), SIGHTLINE_CACHE_DIR, SIGHTLINE_TOKEN,
SIGHTLINE_TOKENS_FILE, REDIS_URL and REDIS_CA_FILE (the fleet).
An argument @FILE stands for the text of that file: keep passwords and tokens out of the command line.
Exit codes: 0 success; 1 failed while running; 2 wrong command or configuration; 3 done, but a target was not met.`;

/**
 * Runs one command line.
 *
 * @param args - without node and script.
 * @returns the exit code: 0 success, 1 failed while running, 2 wrong command or configuration, 3 a target was not met.
 */
export async function runCli(args: readonly string[], io: CliIo, version: string): Promise<number> {
  const program = new Command('sightline')
    .description('Real-time object detection for video: many streams, one machine or many.')
    .version(version)
    .addHelpText('after', HELP)
    .showSuggestionAfterError();
  for (const add of [
    addRun,
    addDetect,
    addEval,
    addScore,
    addBench,
    addOptimize,
    addLoadtest,
    addModels,
    addDoctor,
    addHost,
    addSubmit,
    addJobs,
    addStreams,
    addRollout,
    addTokens,
  ])
    add(program, io);
  let prepared: string[];
  try {
    prepared = withoutSecrets(args, (text) => note(io, text));
  } catch (error) {
    return reportError(error, io);
  }
  return runProgram(program, prepared, io);
}
