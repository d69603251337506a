#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { runCli } from '../src/cli/program.ts';
import { readEnvironment, SECRET_VARIABLES } from '../src/config/environment.ts';
import { redact } from '../src/core/redact.ts';
import { terminalText } from '../src/core/terminal-text.ts';
import { CrashFlush } from '../src/host/crash-flush.ts';
import { descriptorComplaint } from '../src/process/descriptor-limit.ts';
import { packageRoot } from '../src/store/package-root.ts';

/** The command line: reads the environment and signals, and passes them to the commands. */
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // A second signal exits at once.
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  });
}

/** An orderly stop flushes within a second. The limit keeps a hanging disk from keeping a broken process alive. */
const FLUSH_MS = 5_000;
const crash = new CrashFlush();
let isCrashing = false;

/** Ends the process after an uncaught exception. Its state is unknown, so it only flushes results. */
function crashed(error: unknown): void {
  process.stderr.write(
    `error: unexpected exception: ${terminalText(redact(inspect(error)))}\nThis is a bug in Sightline.\n`,
  );
  // Ignore further exceptions during the shutdown.
  if (isCrashing) return;
  isCrashing = true;
  void crash.run(FLUSH_MS).then((isFlushed) => {
    const outcome = isFlushed ? 'results were flushed' : `results were not flushed within ${FLUSH_MS / 1000} s`;
    process.stderr.write(`error: ending with exit code 1; ${outcome}\n`);
    process.exit(1);
  });
}
process.on('uncaughtException', crashed);
process.on('unhandledRejection', crashed);

// A closed reader (`sightline ... | head`) is not an error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // After an exception, results are still being flushed.
    if (!isCrashing) process.exit(0);
  });
}

const complaint = descriptorComplaint();
if (complaint !== null) {
  process.stderr.write(`error: ${complaint} [LIMIT_REACHED]\n`);
  process.exit(1);
}

const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
const environment = readEnvironment(process.env);
for (const name of SECRET_VARIABLES) delete process.env[name];
const io = {
  stdout: process.stdout,
  stderr: process.stderr,
  environment,
  stop: stop.signal,
  crash,
};
process.exitCode = await runCli(process.argv.slice(2), io, version);
