import type { Writable } from 'node:stream';
import { ChildGroup, exitText } from './child-group.ts';
import { confinedWriter, type Ffmpeg } from './confinement.ts';
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
 * An ffmpeg that processes what we write to its input. It ends when we close its input. If this process is killed, the kernel
 * closes that input, and ffmpeg completes its file and ends as well. It runs at low priority, because inference matters more.
 */
export class FedChild {
  readonly pid: number | null;
  readonly input: Writable;
  /** Never rejects. */
  readonly ended: Promise<ChildEnd>;
  readonly #group: ChildGroup;

  constructor(ffmpeg: Ffmpeg, args: readonly string[], { timeoutMs }: { readonly timeoutMs?: number } = {}) {
    const launch = confinedWriter(ffmpeg, args);
    const { environment } = launch;
    this.#group = new ChildGroup(launch.path, launch.args, {
      stdio: ['pipe', 'ignore', 'pipe'],
      timeoutMs,
      environment,
    });
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
