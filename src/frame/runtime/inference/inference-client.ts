import { Worker } from 'node:worker_threads';
import { THREAD_LIMITS, workerEntry } from '../../../base/core/worker-entry.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { inputsPerModel } from '../../../base/flow/slot-ring.ts';
import { disableTelemetry } from '../../../base/process/fetched-packages.ts';
import type {
  EngineInfo,
  EngineRequest,
  EngineShare,
  FromInference,
  RingHandle,
  ThreadId,
  ToInference,
} from '../../../wire/protocol/threads.ts';
import type { TracedBatch } from '../../telemetry/frame-tracer.ts';
import type { InFlightFrame } from '../stream/in-flight-frame.ts';

type Result = Extract<FromInference, { type: 'result' }>;
type Ready = Extract<FromInference, { type: 'ready' }>;

/** Frames that one message hands to a thread. */
export interface Batch extends TracedBatch {
  readonly frames: readonly InFlightFrame[];
  /** Model inputs per call of the engine, a warmed-up size; a larger batch takes several calls in a row. */
  readonly callSize: number;
  /** Boxes with lower scores are not returned. */
  readonly scoreThreshold: number;
  /** Masks are made, because somebody reads those of one of the frames. */
  readonly masks: boolean;
}

/** Receives what becomes of batches. */
export interface BatchListener {
  onResult(batch: Batch, result: Result): void;
  /** @param wasRunning - false if the batch only waited on a thread that was lost. */
  onFailed(batch: Batch, error: SightlineError, wasRunning: boolean): void;
}

/** Called when a thread has ended; `batches` were on it. Not called after `shutdown`. */
export type LostListener = (thread: InferenceClient, batches: readonly Batch[], error: SightlineError) => void;

/** Interval at which a thread that runs a batch is checked for a hang. */
const HANG_CHECK_MS = 200;
/** Longest time to load and warm up an engine; some compile the network for minutes. */
const LOAD_TIMEOUT_MS = 900_000;
const SHUTDOWN_MS = 5_000;

/** The main thread's handle of one inference thread. */
export class InferenceClient {
  readonly info: EngineInfo;
  readonly tid: ThreadId;
  /** As in `Ready`. */
  readonly damagedFile: string | null;
  /** As in `Ready`. */
  readonly share: EngineShare | undefined;
  /** True once it has returned a result. */
  hasAnswered = false;
  #enginePid: number | null;
  readonly #worker: Worker;
  readonly #listener: BatchListener;
  readonly #onLost: LostListener;
  readonly #batches = new Map<number, Batch>();
  /**
   * Time for which the thread has worked on its oldest batch, counted in ticks: a process that was suspended has missed many
   * seconds, but only one tick.
   */
  #busyMs = 0;
  readonly #hangTimer: NodeJS.Timeout;
  #nextBatchId = 0;
  #isStopping = false;
  #isGone = false;

  private constructor({
    worker,
    ready,
    listener,
    onLost,
    timeoutMs,
  }: {
    readonly worker: Worker;
    readonly ready: Ready;
    readonly listener: BatchListener;
    readonly onLost: LostListener;
    readonly timeoutMs: number;
  }) {
    const { info, tid, enginePid, damagedFile, share } = ready;
    this.#worker = worker;
    this.info = info;
    this.tid = tid;
    this.damagedFile = damagedFile;
    this.share = share;
    this.#enginePid = enginePid;
    this.#listener = listener;
    this.#onLost = onLost;
    worker.on('message', (message: FromInference) => this.#onMessage(message));
    worker.once('error', (error) => this.#lost(`an inference thread failed: ${error.message}`));
    worker.once('exit', (code) => this.#lost(`an inference thread ended with exit code ${code}`));
    this.#hangTimer = setInterval(() => this.#checkHang(timeoutMs), HANG_CHECK_MS);
    this.#hangTimer.unref();
  }

  /**
   * @param timeoutMs - of one call of the engine.
   * @throws ENGINE_UNAVAILABLE with the engine's reason.
   */
  static async start(
    request: EngineRequest,
    listener: BatchListener,
    onLost: LostListener,
    timeoutMs: number,
    loadTimeoutMs = LOAD_TIMEOUT_MS,
  ): Promise<InferenceClient> {
    disableTelemetry();
    const worker = new Worker(workerEntry('inference.thread'), {
      workerData: request,
      stdin: false,
      resourceLimits: THREAD_LIMITS,
    });
    return new InferenceClient({
      worker,
      ready: await ready(worker, request.engine, loadTimeoutMs),
      listener,
      onLost,
      timeoutMs,
    });
  }

  get batchesInFlight(): number {
    return this.#batches.size;
  }

  /** Id of the engine's process; null if the engine runs on the thread. */
  get enginePid(): number | null {
    return this.#enginePid;
  }

  attach(ring: RingHandle): void {
    this.#post({ type: 'attach', ring });
  }

  detach(ringId: number): void {
    this.#post({ type: 'detach', ringId });
  }

  submit(batch: Batch): void {
    const batchId = this.#nextBatchId++;
    if (this.#batches.size === 0) this.#busyMs = 0;
    this.#batches.set(batchId, batch);
    const crops = batch.frames.flatMap(({ crop }) => crop ?? []);
    this.#post({
      type: 'batch',
      batchId,
      ...(crops.length === 0 ? {} : { crops }),
      ringIds: batch.frames.map(({ ring }) => ring.ringId),
      slots: batch.frames.map(({ slot }) => slot),
      callSize: batch.callSize,
      scoreThreshold: batch.scoreThreshold,
      masks: batch.masks,
    });
  }

  #post(message: ToInference): void {
    if (!this.#isGone) this.#worker.postMessage(message);
  }

  #onMessage(message: FromInference): void {
    if (message.type !== 'result' && message.type !== 'batch-failed') return;
    const batch = this.#batches.get(message.batchId);
    if (batch === undefined) return;
    this.#batches.delete(message.batchId);
    this.#busyMs = 0;
    if (message.type === 'result') {
      this.hasAnswered = true;
      this.#enginePid = message.enginePid;
      this.#listener.onResult(batch, message);
    } else this.#listener.onFailed(batch, SightlineError.fromWire(message.error), true);
  }

  #checkHang(timeoutMs: number): void {
    const [oldest] = this.#batches.values();
    this.#busyMs += HANG_CHECK_MS;
    if (oldest === undefined || this.#busyMs < timeoutMs * callsOfOneFrame(oldest)) return;
    this.#post({ type: 'shutdown' });
    this.#lost(`an inference thread did not answer for ${this.#busyMs} ms`);
    this.#abandon();
  }

  /** Abandons a thread that was asked to end and is still in a call of its engine. */
  #abandon(): void {
    if (this.#enginePid === null) {
      // A call into a library cannot be interrupted, and a thread terminated during one ends the whole process when the
      // call returns (seen with onnxruntime-node 1.30). If the call returns, the thread ends by itself.
      this.#worker.unref();
      return;
    }
    // An engine's process ends with its thread, unless it hangs with its device.
    killProcess(this.#enginePid);
    void this.#worker.terminate();
  }

  #lost(why: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    clearInterval(this.#hangTimer);
    if (this.#isStopping) return;
    const batches = [...this.#batches.values()];
    this.#batches.clear();
    this.#onLost(this, batches, new SightlineError('ENGINE_FAILED', why));
  }

  /** Ends the thread as a crash would, for fault tests. */
  async crash(): Promise<void> {
    await this.#worker.terminate();
  }

  /** Ends the thread after its current batches. A thread that is still in a call after `graceMs` is abandoned. */
  async shutdown(graceMs = SHUTDOWN_MS): Promise<void> {
    if (this.#isGone) return;
    this.#isStopping = true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#abandon();
        resolve();
      }, graceMs);
      this.#worker.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
      this.#post({ type: 'shutdown' });
    });
  }
}

/** Kills a process; ignores one that has already ended. */
function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Waits for the thread's first message; ends the thread if that is a failure. @throws ENGINE_UNAVAILABLE */
async function ready(worker: Worker, engine: string, timeoutMs: number): Promise<Ready> {
  let waitedMs = 0;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    const tickMs = Math.min(HANG_CHECK_MS, timeoutMs);
    const tick = (): void => {
      waitedMs += tickMs;
      if (waitedMs >= timeoutMs) resolve(null);
    };
    timer = setInterval(tick, tickMs);
  });
  try {
    const message = await Promise.race([firstMessage(worker, engine), late]);
    if (message !== null) return message;
  } catch (error) {
    await worker.terminate();
    throw error;
  } finally {
    clearInterval(timer);
  }
  // Not terminated, since it may be in a call of its library, see `#abandon`. It ends once that returns.
  worker.postMessage({ type: 'shutdown' } satisfies ToInference);
  worker.unref();
  throw new SightlineError('ENGINE_UNAVAILABLE', `engine ${engine}: it was not ready within ${timeoutMs} ms`);
}

function firstMessage(worker: Worker, engine: string): Promise<Ready> {
  return new Promise((resolve, reject) => {
    const unavailable = (why: string): void =>
      reject(new SightlineError('ENGINE_UNAVAILABLE', `engine ${engine}: ${why}`));
    const onError = (error: Error): void => unavailable(error.message);
    const onExit = (code: number): void => unavailable(`its thread ended with exit code ${code} before it was ready`);
    worker.once('error', onError);
    worker.once('exit', onExit);
    worker.once('message', (message: FromInference) => {
      // Not removeAllListeners: a Worker has internal listeners and emits nothing without them.
      worker.off('error', onError);
      worker.off('exit', onExit);
      if (message.type === 'ready') resolve(message);
      else
        reject(
          message.type === 'failed'
            ? SightlineError.fromWire(message.error)
            : new RangeError(`unexpected ${message.type}`),
        );
    });
  });
}

/** The timeout is that of one call, and a frame with many views cannot be divided. */
function callsOfOneFrame({ frames, callSize }: Batch): number {
  const most = frames.reduce((views, { ring }) => Math.max(views, inputsPerModel(ring.slots.shape)), 1);
  return Math.ceil(most / callSize);
}
