import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { WorkerTimings } from '../../src/fleet/control/redis/bull-worker.ts';
import type { TaskPolicy } from '../../src/fleet/control/tasks/task-policy.ts';
import { waitFor } from './wait-for.ts';

export interface TaskHostSettings {
  readonly url: string;
  /** Key prefix of the fleet. */
  readonly name: string;
  readonly timings: Partial<WorkerTimings>;
  readonly policy: Partial<TaskPolicy>;
  /** Segments that it finds in every file. */
  readonly segments: number;
  readonly segmentMs: number;
  /** Frames that it finds in every segment. */
  readonly frames: number;
  readonly isStubborn: boolean;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A process that runs tasks, which tests kill and freeze. */
export class TaskHost {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;

  constructor(settings: TaskHostSettings) {
    const path = fileURLToPath(new URL('./task-host.mjs', import.meta.url));
    const child = spawn(process.execPath, [path, JSON.stringify(settings)], { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: child.stdout }).on('line', (line) => this.lines.push(line));
    running.add(child);
    child.once('exit', () => running.delete(child));
    this.#child = child;
  }

  /** Waits until it has printed a line that begins like this. */
  async says(beginning: string): Promise<void> {
    const hasSaid = (): boolean => this.lines.some((line) => line.startsWith(beginning));
    await waitFor(`"${beginning}"`, hasSaid, { deadlineMs: 30_000 }, () => this.lines.join('\n'));
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  async end(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    if (this.hasEnded) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill(signal);
    await gone;
  }
}
