#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import inspector from 'node:inspector';
import { join } from 'node:path';
import { inspect } from 'node:util';

/** The command line: reads the environment and signals, and passes them to the commands. */
// Without a listener, SIGUSR1 opens Node's debugger, which runs any code that it is sent. `--disable-sigusr1` does not exist
// in every supported version. The rest is imported afterwards because loading it takes half a second.
process.on('SIGUSR1', () => undefined);
const stop = new AbortController();
// SIGHUP: the terminal was closed.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // A second signal ends the process at once. `process.exit` would wait for file operations on a disk that hangs.
    if (stop.signal.aborted) process.kill(process.pid, 'SIGKILL');
    stop.abort();
  });
}

const [{ runCli }, { readEnvironment }, { redact }, { CrashFlush }, { packageRoot }] = await Promise.all([
  import('../src/cli/program.ts'),
  import('../src/config/environment.ts'),
  import('../src/core/redact.ts'),
  import('../src/host/crash-flush.ts'),
  import('../src/store/package-root.ts'),
]);

// SIGUSR1 may have come while Node started.
const wantsDebugger = /--inspect/.test([process.env.NODE_OPTIONS, ...process.execArgv].join(' '));
if (inspector.url() !== undefined && !wantsDebugger) inspector.close();

/** An orderly stop flushes within a second. The limit keeps a hanging disk from keeping a broken process alive. */
const FLUSH_MS = 5_000;
const crash = new CrashFlush();
let isCrashing = false;

/** Ends the process after an uncaught exception. Its state is unknown, so it only flushes results. */
function crashed(error: unknown): void {
  process.stderr.write(`error: unexpected exception: ${redact(inspect(error))}\nThis is a bug in Sightline.\n`);
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
    // The terminal was closed. SIGHUP follows.
    if (error.code === 'EIO') return stop.abort();
    if (error.code !== 'EPIPE') throw error;
    // After an exception, results are still being flushed.
    if (!isCrashing) process.exit(0);
  });
}

const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
const io = {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: readEnvironment(process.env),
  stop: stop.signal,
  crash,
};
process.exitCode = await runCli(process.argv.slice(2), io, version);

/** The sinks are closed by now. What is left after this time is a file operation on a disk that hangs. */
const LAST_MS = 2_000;
if (stop.signal.aborted) {
  setTimeout(() => {
    process.stderr.write('error: a file operation does not end (a disk hangs); killing this process\n');
    process.kill(process.pid, 'SIGKILL');
  }, LAST_MS).unref();
}
