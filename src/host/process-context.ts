import type { Writable } from 'node:stream';
import type { Environment } from '../config/environment.ts';
import type { CrashFlush } from './crash-flush.ts';

/** What a long-running command needs of its process. Entry points in `workers/` create the real one. */
export interface ProcessContext {
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly environment: Environment;
  /** Aborts on SIGINT and SIGTERM. */
  readonly stop: AbortSignal;
  /** What to flush if the process meets an unforeseen exception; absent where nobody handles those. */
  readonly crash?: CrashFlush;
}
