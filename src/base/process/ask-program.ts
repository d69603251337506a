import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { patientTimer } from '../flow/patient-timer.ts';

/** On a machine with ten programs for each core, what takes a tenth of a second takes seconds. */
const LIMIT_MS = 30_000;

export interface AskOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Most bytes of an answer; default 1 MiB. */
  readonly maxBuffer?: number;
}

/**
 * Runs a program that answers at once, such as one that is asked for its version.
 *
 * @throws Error if it fails, or does not end within 30 s of this process's own time; then it is killed.
 */
export async function askProgram(
  path: string,
  args: readonly string[],
  { env, maxBuffer = 2 ** 20 }: AskOptions,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const overdue = new AbortController();
  const cancel = patientTimer(LIMIT_MS, () => overdue.abort());
  try {
    return await promisify(execFile)(path, args, { env, maxBuffer, signal: overdue.signal, killSignal: 'SIGKILL' });
  } catch (error) {
    if (overdue.signal.aborted) throw new Error(`no answer within ${LIMIT_MS / 1000} s`, { cause: error });
    throw error;
  } finally {
    cancel();
  }
}
