#!/usr/bin/env node
import './quiet-sqlite.ts';
import { readFileSync } from 'node:fs';
import inspector from 'node:inspector';
import { join } from 'node:path';
import { isatty } from 'node:tty';
import { inspect } from 'node:util';
import { redact } from '../src/base/core/redact.ts';
import { terminalText } from '../src/base/core/terminal-text.ts';
import { DiskProbe } from '../src/base/disk/disk-probe.ts';
import { descriptorComplaint } from '../src/base/process/descriptor-limit.ts';
import { type InterruptingSignal, Interruption } from '../src/cli/interruption.ts';
import { runCli } from '../src/cli/program.ts';
import { packageRoot } from '../src/network/store/package-root.ts';
import { CrashFlush } from '../src/serve/host/crash-flush.ts';
import { forgetSecrets, readEnvironment } from '../src/settings/config/environment.ts';
import { endBySignal, endProcess, isBlocked, killProcess } from './end-process.ts';

/** The command line: reads the environment and signals, and passes them to the commands. */
// Without a listener, SIGUSR1 opens Node's debugger, which runs any code that it is sent. `--disable-sigusr1` does not exist
// in every supported version.
process.on('SIGUSR1', () => undefined);
const environment = readEnvironment(process.env);
const stop = new AbortController();
/** Service managers kill 30 s after SIGTERM by default; an orderly stop takes a second or two. */
const STOP_MS = 25_000;
/** A slow disk that is still flushing answers within this time. */
const DISK_MS = 10_000;
/** What is left after the last command is over ends within this time, unless a thread waits for the disk. */
const REST_MS = 2_000;
/** Taken before a terminal can be closed: afterwards none of them is one. */
const isOnTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor));
/** What SIGHUP does in a service, which has no terminal to be closed. */
let onHangUp: (() => void) | null = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (signal === 'SIGHUP' && onHangUp !== null) return onHangUp();
    if (stop.signal.aborted) endBySignal(signal, new Interruption(signal).exitCode);
    else stopBy(signal);
  });
}

/** Asks the command to stop, and ends the process if it cannot. A person who pressed Ctrl-C may wait longer than a service. */
function stopBy(signal: InterruptingSignal): void {
  stop.abort(new Interruption(signal));
  const onStalled = (): never => killProcess('the file system does not answer, so results cannot be flushed');
  new DiskProbe({ path: environment.cacheDir, limitMs: DISK_MS, onStalled });
  if (signal !== 'SIGINT') setTimeout(() => killProcess(`it did not stop within ${STOP_MS / 1000} s`), STOP_MS).unref();
}

function takeHangUp(listener: () => void): void {
  onHangUp = listener;
}

// SIGUSR1 may have come while Node started.
const wantsDebugger = /--inspect/.test([process.env.NODE_OPTIONS, ...process.execArgv].join(' '));
if (inspector.url() !== undefined && !wantsDebugger) inspector.close();

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
    void endProcess(1);
  });
}
process.on('uncaughtException', crashed);
process.on('unhandledRejection', crashed);

// A closed reader (`sightline ... | head`) is not an error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The terminal was closed. SIGHUP follows.
    if (error.code === 'EIO') return stop.abort(new Interruption('SIGHUP'));
    // After an exception, results are still being flushed.
    if (isCrashing) return;
    if (error.code === 'EPIPE') process.exit(0);
    isCrashing = true;
    const name = stream === process.stdout ? 'standard output' : 'standard error';
    const code = error.code === undefined ? '' : ` (${error.code})`;
    const why = error.code === 'ENOSPC' ? 'no space is left on the disk' : error.message;
    process.stderr.write(`error: ${name} cannot be written: ${terminalText(why)}${code} [SINK_FAILED]\n`);
    void crash.run(FLUSH_MS).then(() => endProcess(1));
  });
}

const complaint = descriptorComplaint();
if (complaint !== null) {
  process.stderr.write(`error: ${complaint} [LIMIT_REACHED]\n`);
  process.exit(1);
}

const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
forgetSecrets(process.env);
const io = {
  stdout: process.stdout,
  stderr: process.stderr,
  environment,
  stop: stop.signal,
  crash,
  ...(isOnTerminal ? {} : { onHangUp: takeHangUp }),
};
process.exitCode = await runCli(process.argv.slice(2), io, version);
// The orderly end waits for a blocked thread for ever. Results that a slow reader has not taken yet are no reason to kill.
setTimeout(async () => {
  if (await isBlocked()) killProcess('everything is done, but a request to the file system does not return');
}, REST_MS).unref();
