import { Worker } from 'node:worker_threads';
import { monoNowMs } from '../../../base/core/clock.ts';
import type { FramePicture } from '../../../base/core/picture.ts';
import { THREAD_LIMITS, workerEntry } from '../../../base/core/worker-entry.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { signalGroup } from '../../../base/process/child-group.ts';
import type { StreamPackets } from '../../../wire/protocol/packets.ts';
import type { FromLane, LaneStream, LaneTuning, ToLane } from '../../../wire/protocol/threads.ts';

/**
 * A lane sends a message every second. After this many seconds without one it counts as hung and is terminated, as
 * after a crash.
 */
const HUNG_TICKS = 10;

/** What a lane says about a stream besides that frames were handed over. */
export type StreamMessage = Exclude<FromLane, { type: 'frames' }>;

/** Receives one stream's messages. */
export interface LaneListener {
  /** At least one frame was handed over in the ring. */
  onFrames(): void;
  /** Frames that were handed over before can be taken already. */
  onLaneMessage(message: StreamMessage): void;
  /** The thread has ended, and its ffmpegs with it. */
  onLaneLost(error: SightlineError): void;
}

export interface LaneEvents {
  onBusy(preprocessMs: number): void;
  onPackets(packets: StreamPackets): void;
  onLost(lane: LaneClient, error: SightlineError): void;
}

export interface LaneOptions {
  /** Delay before the thread is started; streams can be opened meanwhile. */
  readonly startDelayMs?: number;
  /** Script of the thread. */
  readonly entry?: URL;
  /** Interval at which the thread is checked for a hang. */
  readonly tickMs?: number;
}

/**
 * The main thread's handle of one lane thread. It knows the pid of every child, so that a lane that dies leaves no
 * orphans.
 */
export class LaneClient {
  readonly #events: LaneEvents;
  readonly #options: LaneOptions;
  readonly #listeners = new Map<number, LaneListener>();
  readonly #childPids = new Set<number>();
  /** Messages posted before the thread was started. */
  readonly #queued: ToLane[] = [];
  readonly #exited: Promise<void>;
  #onExited: () => void = () => {};
  #worker: Worker | null = null;
  #startedMs = 0;
  #start: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #silentTicks = 0;
  #isStopping = false;
  #isGone = false;
  #hasAnswered = false;
  #lastError: Error | null = null;

  constructor(events: LaneEvents, options: LaneOptions = {}) {
    this.#events = events;
    this.#options = options;
    this.#exited = new Promise((resolve) => {
      this.#onExited = resolve;
    });
    const { startDelayMs = 0 } = options;
    if (startDelayMs === 0) this.#open();
    else this.#start = setTimeout(() => this.#open(), startDelayMs);
  }

  get streamCount(): number {
    return this.#listeners.size;
  }

  get childPids(): ReadonlySet<number> {
    return this.#childPids;
  }

  /** Whether the thread has started: it has sent a message. */
  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /** Time since the thread was started. */
  get ageMs(): number {
    return this.#worker === null ? 0 : monoNowMs() - this.#startedMs;
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

  /** Hands over the next picture of a stream that a program feeds. Copies it, unless it is in shared memory. */
  push(ringId: number, next: FramePicture): void {
    this.#post({ type: 'picture', ringId, next });
  }

  /** @param keepRatio - share of the frames that is not shed, above 0 up to 1. */
  shed(ringId: number, keepRatio: number): void {
    this.#post({ type: 'shed', ringId, keepRatio });
  }

  /** Changes how an open stream is read. Of a file, and before version 5 of ffmpeg, the rate must stay the same. */
  tune(ringId: number, tuning: LaneTuning): void {
    this.#post({ type: 'tune', ringId, tuning });
  }

  #open(): void {
    const worker = new Worker(this.#options.entry ?? workerEntry('lane.thread'), {
      stdin: false,
      resourceLimits: THREAD_LIMITS,
    });
    this.#worker = worker;
    this.#startedMs = monoNowMs();
    worker.on('message', (message: FromLane) => this.#onMessage(message));
    worker.on('error', (error) => {
      this.#lastError = error;
    });
    worker.once('exit', (code) => this.#onExit(code));
    for (const message of this.#queued.splice(0)) worker.postMessage(message);
    this.#watch = setInterval(() => this.#checkAlive(), this.#options.tickMs ?? 1000);
  }

  #post(message: ToLane): void {
    if (this.#worker === null) this.#queued.push(message);
    else if (!this.#isGone) this.#worker.postMessage(message);
  }

  /** Counts ticks instead of time: a process that was suspended has missed many seconds, but only one tick. */
  #checkAlive(): void {
    this.#silentTicks += 1;
    if (this.#silentTicks < HUNG_TICKS || this.#isGone) return;
    this.#lastError = new Error(`no message for ${this.#silentTicks} s`);
    void this.#worker?.terminate();
  }

  #onMessage(message: FromLane): void {
    this.#silentTicks = 0;
    this.#hasAnswered = true;
    if (message.type === 'busy') this.#events.onBusy(message.preprocessMs);
    else if (message.type === 'packets-opened' || message.type === 'packets') this.#events.onPackets(message);
    else if (message.type === 'child-started') this.#childPids.add(message.pid);
    else if (message.type === 'child-gone') this.#childPids.delete(message.pid);
    if (!('ringId' in message)) return;
    const listener = this.#listeners.get(message.ringId);
    if (message.type === 'closed') this.#listeners.delete(message.ringId);
    if (message.type === 'frames') listener?.onFrames();
    else listener?.onLaneMessage(message);
  }

  #onExit(code: number): void {
    this.#isGone = true;
    clearInterval(this.#watch);
    for (const pid of this.#childPids) signalGroup(pid, 'SIGKILL');
    this.#childPids.clear();
    if (!this.#isStopping) this.#reportLoss(code);
    this.#onExited();
  }

  #reportLoss(code: number): void {
    const why = this.#lastError?.message ?? `exit code ${code}`;
    const error = new SightlineError('LANE_FAILED', `a lane thread ended: ${why}`);
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    this.#events.onLost(this, error);
    for (const listener of listeners) listener.onLaneLost(error);
  }

  /** Ends the thread as a crash would, for fault tests. */
  async crash(): Promise<void> {
    await this.#worker?.terminate();
  }

  /** Closes every stream, then ends the thread. */
  async shutdown(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#start);
    // Start a thread that is still delayed, so that it answers pending close requests.
    if (this.#worker === null) this.#open();
    this.#post({ type: 'shutdown' });
    const timer = setTimeout(() => void this.#worker?.terminate(), 5_000);
    await this.#exited;
    clearTimeout(timer);
  }
}
