import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';

/** The time between SIGTERM and SIGKILL. */
const KILL_GRACE_MS = 500;

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface GroupOptions {
  readonly stdio: StdioOptions;
  /** The program receives SIGTERM after this time. */
  readonly timeoutMs?: number | undefined;
  /** All variables of its environment; absent: those of this process. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

/**
 * A child process that leads its own process group, so that Ctrl-C in a terminal does not reach it, and signals reach its
 * own children too. Windows has no groups: there, signals reach only the child.
 */
export class ChildGroup {
  readonly child: ChildProcess;
  #killTimer: NodeJS.Timeout | undefined;

  /** Starts the program. If that fails, the child emits `error` and has no pid. */
  constructor(path: string, args: readonly string[], { stdio, timeoutMs, environment }: GroupOptions) {
    const detached = process.platform !== 'win32';
    this.child = spawn(path, args, { stdio, timeout: timeoutMs, detached, env: environment });
    this.child.once('exit', () => clearTimeout(this.#killTimer));
  }

  /** As the constructor. @throws Error of the operating system if the program cannot be started. */
  static async start(path: string, args: readonly string[], options: GroupOptions): Promise<ChildGroup> {
    const group = new ChildGroup(path, args, options);
    await new Promise<void>((resolve, reject) => {
      group.child.once('spawn', resolve);
      group.child.once('error', reject);
    });
    return group;
  }

  /** True if the child has exited, or was never started: its pid may belong to another process. */
  get isGone(): boolean {
    const { pid, exitCode, signalCode } = this.child;
    return pid === undefined || exitCode !== null || signalCode !== null;
  }

  /** Sends SIGTERM, then SIGKILL after a grace period, since a stopped or hung process ignores SIGTERM. Idempotent. */
  end(): void {
    if (this.isGone || this.#killTimer !== undefined) return;
    signalGroup(this.child.pid!, 'SIGTERM');
    this.killAfter(KILL_GRACE_MS);
  }

  /** Sends SIGKILL unless the child exits within this time. Only the first call counts. */
  killAfter(ms: number): void {
    if (!this.isGone) this.#killTimer ??= setTimeout(() => this.kill(), ms);
  }

  /** Sends SIGKILL. */
  kill(): void {
    if (!this.isGone) signalGroup(this.child.pid!, 'SIGKILL');
  }
}

/** Sends a signal to a whole process group. A group that has already ended is ignored. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Formats how a process ended: `exit code 1` or `signal SIGKILL`. */
export function exitText({ code, signal }: ChildExit): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}
