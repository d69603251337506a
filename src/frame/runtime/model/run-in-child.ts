import { fork } from 'node:child_process';
import { workerEntry } from '../../../base/core/worker-entry.ts';
import { SightlineError, type WireError } from '../../../base/errors/sightline-error.ts';
import { fetchedPackagesArgument } from '../../../base/process/fetched-packages.ts';

/** The one answer of a process that does one job. */
export type FromChild<Answer> =
  | { readonly type: 'done'; readonly answer: Answer }
  | { readonly type: 'failed'; readonly error: WireError };

/** Last characters of the log of a process that died, for the message. */
const LOG_CHARACTERS = 2_000;
/** A compiler computes for seconds before it notices that it shall end. */
const GRACE_MS = 1_000;

export interface ChildOptions {
  /** All variables of its environment; absent: those of this process. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Ends the process: it is asked to, and killed if it does not within a second. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Does one job in a process of its own, which ends afterwards. A process that ends gives all its memory back, while a library
 * or a heap that was needed once would keep it for as long as a service runs. The process also ends with this one.
 *
 * @param entry - entry point in `workers/`, such as `compile.process`.
 * @param job - plain data.
 * @param what - for messages: `model yolox: the process that compiles it`.
 * @throws what the job throws, with its code; INTERNAL_ERROR if the process ends without an answer; the reason of the signal.
 */
export function runInChild<Answer>(
  entry: string,
  job: object,
  what: string,
  { environment, signal }: ChildOptions = {},
): Promise<Answer> {
  if (signal?.aborted === true) return Promise.reject(signal.reason);
  const child = fork(workerEntry(entry), [fetchedPackagesArgument()], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: environment,
  });
  let late: NodeJS.Timeout | undefined;
  const stop = (): void => {
    if (child.connected) child.disconnect();
    late = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  };
  signal?.addEventListener('abort', stop, { once: true });
  let log = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-LOG_CHARACTERS);
  });
  return new Promise<Answer>((resolve, reject) => {
    const died = (how: string): SightlineError => new SightlineError('INTERNAL_ERROR', `${what} ended: ${how.trim()}`);
    let answered: FromChild<Answer> | null = null;
    child.once('message', (message: FromChild<Answer>) => {
      answered = message;
    });
    child.once('error', (error) => reject(died(error.message)));
    child.once('exit', () => {
      signal?.removeEventListener('abort', stop);
      clearTimeout(late);
      // After `disconnect`, Node.js does not report 'close'.
      if (signal?.aborted === true) reject(signal.reason);
    });
    child.once('close', (code, killedBy) => {
      if (answered === null) reject(died(`${killedBy ?? `exit code ${code}`} ${log}`));
      else if (answered.type === 'failed') reject(SightlineError.fromWire(answered.error));
      else resolve(answered.answer);
    });
    // If the process has ended already, 'close' reports it.
    child.send(job, () => undefined);
  });
}
