import { type ChildProcess, spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import type { Writable } from 'node:stream';

/** How an ffmpeg child ended. */
export interface ChildEnd {
  readonly isSuccess: boolean;
  /** The last lines that it printed, or its exit code or signal if it printed nothing. */
  readonly message: string;
}

/**
 * Starts an ffmpeg that writes a file. It leads its own process group, so that Ctrl-C in a terminal does not reach it: it
 * ends when we close its input. If this process is killed, the kernel closes that input, and ffmpeg ends as well. It runs
 * at low priority, because inference matters more than the video.
 */
export class ChildFfmpeg {
  readonly pid: number | null;
  readonly input: Writable;
  /** Never rejects. */
  readonly ended: Promise<ChildEnd>;
  readonly #child: ChildProcess;

  constructor(path: string, args: readonly string[]) {
    const child = spawn(path, args, { stdio: ['pipe', 'ignore', 'pipe'], detached: process.platform !== 'win32' });
    this.#child = child;
    this.pid = child.pid ?? null;
    this.input = child.stdin;
    // A broken pipe only means that ffmpeg ended; its exit has the reason.
    child.stdin.on('error', () => undefined);
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4000);
    });
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve({ isSuccess: false, message: error.message }));
      child.once('close', (code, signal) => {
        const lines = output.split('\n').filter((line) => line.trim() !== '');
        const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
        resolve({ isSuccess: code === 0, message: lines.slice(-3).join(' | ') || how });
      });
    });
    if (this.pid !== null) lowerPriority(this.pid);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // The process may have ended already, or the system forbids it; it then keeps normal priority.
  }
}
