import type { Writable } from 'node:stream';
import { ChildGroup, exitText } from './child-group.ts';
import { LogTail, lastLines } from './log-tail.ts';
import { lowerPriority } from './lower-priority.ts';

const LOG_CHARS = 4000;

/** How a child ended. */
export interface ChildEnd {
  readonly isSuccess: boolean;
  /** The last lines that it printed, or its exit code or signal if it printed nothing. */
  readonly message: string;
}

/**
 * A program that processes what we write to its input, such as an ffmpeg that writes a file. It ends when we close its
 * input. If this process is killed, the kernel closes that input, and the program ends as well. It runs at low priority,
 * because inference matters more.
 */
export class FedChild {
  readonly pid: number | null;
  readonly input: Writable;
  /** Never rejects. */
  readonly ended: Promise<ChildEnd>;
  readonly #group: ChildGroup;

  constructor(path: string, args: readonly string[], { timeoutMs }: { readonly timeoutMs?: number } = {}) {
    this.#group = new ChildGroup(path, args, { stdio: ['pipe', 'ignore', 'pipe'], timeoutMs });
    const { child } = this.#group;
    this.pid = child.pid ?? null;
    this.input = child.stdin!;
    // A broken pipe only means that the program no longer reads; its exit has the reason.
    this.input.on('error', () => undefined);
    const log = new LogTail(child.stderr!, LOG_CHARS);
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve({ isSuccess: false, message: error.message }));
      child.once('close', (code, signal) => {
        resolve({ isSuccess: code === 0, message: lastLines(log.text, 3).join(' | ') || exitText({ code, signal }) });
      });
    });
    if (this.pid !== null) lowerPriority(this.pid);
  }

  kill(): void {
    this.#group.kill();
  }
}
