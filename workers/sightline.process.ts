#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { runCli } from '../src/cli/program.ts';
import type { Environment } from '../src/runtime/environment.ts';
import { packageRoot } from '../src/store/package-root.ts';

/** The command line: reads the environment and the signals, and hands them down. */
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // The second one does not ask.
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  });
}
// A reader that went away (`sightline ... | head`) is no error of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
const io = {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: readEnvironment(process.env),
  stop: stop.signal,
};
process.exitCode = await runCli(process.argv.slice(2), io, version);

function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const cacheHome =
    env.XDG_CACHE_HOME === undefined || env.XDG_CACHE_HOME === '' ? join(homedir(), '.cache') : env.XDG_CACHE_HOME;
  return {
    ffmpegPath: env.FFMPEG_PATH,
    searchPath: env.PATH ?? '',
    modelPath: (env.SIGHTLINE_MODEL_PATH ?? '').split(delimiter).filter((folder) => folder !== ''),
    cacheDir: env.SIGHTLINE_CACHE_DIR ?? join(cacheHome, 'sightline'),
    token: env.SIGHTLINE_TOKEN,
    redisUrl: env.REDIS_URL,
    redisCaFile: env.REDIS_CA_FILE,
  };
}
