import { setTimeout as sleep } from 'node:timers/promises';

/** How long requests to the disk may take to end before the process does. */
const GRACE_MS = 1000;
const POLL_MS = 50;

/**
 * Ends this process with an exit code; by SIGKILL if a request to the file system does not return. Node.js joins the threads that
 * wait for one before it exits, so `process.exit` would wait as long as they do.
 */
export async function endProcess(code: number): Promise<never> {
  // It may also end by itself meanwhile.
  process.exitCode = code;
  if (!(await isBlocked())) process.exit(code);
  return killProcess('a request to the file system does not return');
}

/**
 * Ends this process at once, as the signal does where nothing listens to it: a shell reports 128 and its number. `process.exit` would
 * end the threads first, and native code that one of them runs then may abort the process.
 *
 * @param code - exit code where the signal has no effect: on Windows, and in the first process of a container.
 */
export function endBySignal(signal: NodeJS.Signals, code: number): void {
  if (process.platform !== 'win32') {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  }
  void endProcess(code);
}

/**
 * Returns whether requests to the file system have been under way for a second without a break. Does not keep the process alive.
 */
export async function isBlocked(): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < GRACE_MS; waitedMs += POLL_MS) {
    if (!hasPendingRequests()) return false;
    await sleep(POLL_MS, undefined, { ref: false });
  }
  return true;
}

/** Ends this process at once, whatever its threads do. */
export function killProcess(why: string): never {
  process.stderr.write(`error: ending by SIGKILL: ${why}\n`);
  process.kill(process.pid, 'SIGKILL');
  throw new Error('unreachable');
}

/** Returns whether the main thread waits for an answer of the file system. */
function hasPendingRequests(): boolean {
  return process.getActiveResourcesInfo().some((name) => /^(?:FSReq|FileHandleCloseReq)/.test(name));
}
