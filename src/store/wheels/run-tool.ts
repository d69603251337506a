import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { SightlineError } from '../../errors/sightline-error.ts';

const run = promisify(execFile);

/** Runs a program and gives its standard output; a test gives one that runs nothing. */
export type RunTool = (command: string, args: readonly string[], folder: string) => Promise<string>;

/** @param signal - ends what runs, and lets nothing more begin. */
export function toolRunner(signal: AbortSignal): RunTool {
  return async (command, args, folder) => {
    const { stdout } = await run(command, [...args], { cwd: folder, signal, maxBuffer: 64 * 2 ** 20 });
    return stdout;
  };
}

/** The lines that say why a program failed: its last words on standard error. */
export function reasonOf(error: unknown, lines = 6): string {
  const { code, stderr, message } = error as { code?: string | number; stderr?: string; message: string };
  if (code === 'ENOENT') return 'it was not found';
  if (code === 'ABORT_ERR') return 'interrupted';
  const said = (stderr || message).split('\n').filter((line) => line.trim() !== '');
  return said.slice(-lines).join('\n');
}

export function setupFailed(message: string, cause?: unknown): SightlineError {
  return new SightlineError('SETUP_FAILED', message, {}, { cause });
}
