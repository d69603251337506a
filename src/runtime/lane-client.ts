import { Worker } from 'node:worker_threads';
import { signalGroup } from '../decode/ffmpeg-process.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { FromLane, LaneStream, ToLane } from '../protocol/threads.ts';
import { threadEntry } from './thread-entry.ts';

/** Who hears of one stream's messages. */
export interface LaneListener {
  onLaneMessage(message: FromLane): void;
  /** The thread is gone, and with it all it held. */
  onLaneLost(error: SightlineError): void;
}

export interface LaneEvents {
  onBusy(preprocessMs: number): void;
  onLost(lane: LaneClient, error: SightlineError): void;
}

/** One lane thread as the main thread sees it. It knows the pid of every child, so a lane that dies leaves no orphan. */
export class LaneClient {
  readonly #worker: Worker;
  readonly #events: LaneEvents;
  readonly #listeners = new Map<number, LaneListener>();
  readonly #childPids = new Set<number>();
  #isStopping = false;
  #isGone = false;
  #lastError: Error | null = null;
  readonly #exited: Promise<void>;

  constructor(events: LaneEvents) {
    this.#events = events;
    this.#worker = new Worker(threadEntry('lane'), { stdin: false });
    this.#worker.on('message', (message: FromLane) => this.#onMessage(message));
    this.#worker.on('error', (error) => {
      this.#lastError = error;
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#onExit(code);
        resolve();
      });
    });
  }

  get streamCount(): number {
    return this.#listeners.size;
  }

  get childPids(): ReadonlySet<number> {
    return this.#childPids;
  }

  open(stream: LaneStream, listener: LaneListener): void {
    this.#listeners.set(stream.ring.ringId, listener);
    this.#post({ type: 'open', stream });
  }

  close(ringId: number): void {
    this.#post({ type: 'close', ringId });
  }

  slotFree(ringId: number): void {
    this.#post({ type: 'slot-free', ringId });
  }

  watch(ringId: number, isWatched: boolean): void {
    this.#post({ type: 'watch', ringId, isWatched });
  }

  #post(message: ToLane): void {
    if (!this.#isGone) this.#worker.postMessage(message);
  }

  #onMessage(message: FromLane): void {
    if (message.type === 'busy') this.#events.onBusy(message.preprocessMs);
    else if (message.type === 'child-started') this.#childPids.add(message.pid);
    else if (message.type === 'child-gone') this.#childPids.delete(message.pid);
    if (!('ringId' in message)) return;
    const listener = this.#listeners.get(message.ringId);
    if (message.type === 'closed') this.#listeners.delete(message.ringId);
    listener?.onLaneMessage(message);
  }

  #onExit(code: number): void {
    this.#isGone = true;
    for (const pid of this.#childPids) signalGroup(pid, 'SIGKILL');
    this.#childPids.clear();
    if (this.#isStopping) return;
    const why = this.#lastError?.message ?? `exit code ${code}`;
    const error = new SightlineError('LANE_FAILED', `a lane thread ended: ${why}`);
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    this.#events.onLost(this, error);
    for (const listener of listeners) listener.onLaneLost(error);
  }

  /** Ends the thread as a crash would, for fault tests. */
  async crash(): Promise<void> {
    await this.#worker.terminate();
  }

  /** Ends every stream in order, then the thread. */
  async shutdown(): Promise<void> {
    this.#isStopping = true;
    this.#post({ type: 'shutdown' });
    const timer = setTimeout(() => void this.#worker.terminate(), 5_000);
    await this.#exited;
    clearTimeout(timer);
  }
}
