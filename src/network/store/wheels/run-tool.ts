import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { lastLines } from '../../../base/process/log-tail.ts';

const run = promisify(execFile);

/** Runs a program and returns its standard output; tests replace it. */
export type RunTool = (command: string, args: readonly string[], folder: string) => Promise<string>;

/** @param signal - kills the running program and prevents further ones from starting. */
export function toolRunner(signal: AbortSignal): RunTool {
  return async (command, args, folder) => {
    const { stdout } = await run(command, [...args], { cwd: folder, signal, maxBuffer: 64 * 2 ** 20 });
    return stdout;
  };
}

/** Returns why a program failed: the last lines of its standard error. */
export function reasonOf(error: unknown, lines = 6): string {
  const { code, stderr, message } = error as { code?: string | number; stderr?: string; message: string };
  if (code === 'ENOENT') return 'it was not found';
  if (code === 'ABORT_ERR') return 'interrupted';
  return lastLines(stderr || message, lines).join('\n');
}

export function setupFailed(message: string, cause?: unknown): SightlineError {
  return new SightlineError('SETUP_FAILED', message, {}, { cause });
}
