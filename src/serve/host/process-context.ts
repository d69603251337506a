import type { Writable } from 'node:stream';
import type { Environment } from '../../settings/config/environment.ts';
import type { CrashFlush } from './crash-flush.ts';

/** What a long-running command needs from its process. Entry points in `workers/` create it. */
export interface ProcessContext {
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly environment: Environment;
  /** Aborts on SIGINT and SIGTERM, and on SIGHUP unless a command takes it. */
  readonly stop: AbortSignal;
  /**
   * Calls a listener for each SIGHUP, which then stops nothing. Absent if the process was started on a terminal: there SIGHUP
   * means that the terminal was closed.
   */
  readonly onHangUp?: (listener: () => void) => void;
  /** What to flush after an unexpected exception; absent if the process does not handle those. */
  readonly crash?: CrashFlush;
}
