import { type ChildProcess, spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import type { Writable } from 'node:stream';

/** How an ffmpeg of ours ended. */
export interface ChildEnd {
  readonly isSuccess: boolean;
  /** Its last words, or how it was ended. */
  readonly said: string;
}

/**
 * Starts an ffmpeg that writes a file. It leads a process group of its own, so that Ctrl-C in a terminal does not reach
 * it: it ends when we close its input. If this process is killed, the kernel closes that input, and it ends as well.
 * It gives way to everything else: inference matters more than the film of it.
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
    // A broken pipe only tells that it ended; why, its exit tells.
    child.stdin.on('error', () => undefined);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000);
    });
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve({ isSuccess: false, said: error.message }));
      child.once('close', (code, signal) => {
        const lines = said.split('\n').filter((line) => line.trim() !== '');
        const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
        resolve({ isSuccess: code === 0, said: lines.slice(-3).join(' | ') || how });
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
    // It may have ended at once, or the system forbids it: then it runs like everything else.
  }
}
