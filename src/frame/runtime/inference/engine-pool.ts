import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { BackOff } from '../../../base/flow/back-off.ts';
import type { EngineInfo, EngineRequest, RingHandle } from '../../../wire/protocol/threads.ts';
import { type Batch, type BatchListener, InferenceClient } from './inference-client.ts';

export interface EnginePoolEvents extends BatchListener {
  onThreadLost(error: SightlineError): void;
  onThreadRestarted(): void;
  /** No thread can be started, for a reason that another attempt does not mend. */
  onThreadsFailed(error: SightlineError): void;
  /** A cached file of the model had changed, and was made again. */
  onFileDamaged(error: SightlineError): void;
}

/** Attempts in a row to start a thread after which it is said that none can be: a missing file or a damaged installation. */
const MOST_FAILED_STARTS = 3;
/** It is tried this often then, in silence: a device or memory may come back. */
const AGAIN_MS = 60_000;

/** Inference threads with the same engine and model. A thread that dies or hangs is replaced. */
export class EnginePool {
  #request: EngineRequest;
  readonly #events: EnginePoolEvents;
  readonly #timeoutMs: number;
  readonly #rings = new Map<number, RingHandle>();
  readonly #clients: InferenceClient[] = [];
  readonly #backOff = new BackOff({ firstMs: 100, maxMs: 10_000 });
  readonly #restarts = new Set<NodeJS.Timeout>();
  #failedStarts = 0;
  #failure: SightlineError | null = null;
  #isStopping = false;

  constructor(request: EngineRequest, events: EnginePoolEvents, timeoutMs: number) {
    this.#request = request;
    this.#events = events;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Loads the engine on every thread. The first one loads alone: its warm-up times are the batcher's starting point,
   * and an engine that cannot be loaded fails once instead of on each thread.
   *
   * @throws ENGINE_UNAVAILABLE
   */
  async start(threads: number): Promise<EngineInfo> {
    const { info, share } = await this.#add({ ...this.#request, callers: threads });
    // A thread that replaces a lost one gets no share: the lost one may never return from its call into it.
    this.#request = { ...this.#request, batchSizes: info.batchSizes };
    await Promise.all(Array.from({ length: threads - 1 }, () => this.#add({ ...this.#request, share })));
    return info;
  }

  get threadCount(): number {
    return this.#clients.length;
  }

  /** Why no lost thread can be replaced; null as long as that is not known. */
  get failure(): SightlineError | null {
    return this.#failure;
  }

  get clients(): readonly InferenceClient[] {
    return this.#clients;
  }

  attach(ring: RingHandle): void {
    this.#rings.set(ring.ringId, ring);
    for (const client of this.#clients) client.attach(ring);
  }

  detach(ringId: number): void {
    this.#rings.delete(ringId);
    for (const client of this.#clients) client.detach(ringId);
  }

  /** Returns the thread with the fewest batches, if it has less than `depth`; null if all are busy. */
  idle(depth: number): InferenceClient | null {
    let best: InferenceClient | null = null;
    for (const client of this.#clients) {
      if (client.batchesInFlight >= depth) continue;
      if (best === null || client.batchesInFlight < best.batchesInFlight) best = client;
    }
    return best;
  }

  async #add(request = this.#request): Promise<InferenceClient> {
    const client = await InferenceClient.start(
      request,
      this.#events,
      (lost, batches, error) => this.#onLost(lost, batches, error),
      this.#timeoutMs,
    );
    const { damagedFile } = client;
    if (damagedFile !== null)
      this.#events.onFileDamaged(
        new SightlineError(
          'MODEL_INTEGRITY',
          `${damagedFile}: it has changed since it was written, or cannot be loaded; it is not used and was made again`,
          { path: damagedFile },
        ),
      );
    for (const ring of this.#rings.values()) client.attach(ring);
    this.#clients.push(client);
    if (this.#isStopping) await client.shutdown();
    return client;
  }

  #onLost(client: InferenceClient, batches: readonly Batch[], error: SightlineError): void {
    this.#clients.splice(this.#clients.indexOf(client), 1);
    // A thread that dies on every batch must not restart in a tight loop.
    if (client.hasAnswered) this.#backOff.reset();
    this.#events.onThreadLost(error);
    const { callsInFlight } = client.info;
    // In reverse: each batch is requeued before the others, so that the order is kept.
    for (const [i, batch] of [...batches.entries()].reverse()) this.#events.onFailed(batch, error, i < callsInFlight);
    this.#restartLater();
  }

  #restartLater(): void {
    if (this.#isStopping) return;
    const timer = setTimeout(
      () => {
        this.#restarts.delete(timer);
        this.#add().then(
          () => {
            this.#failedStarts = 0;
            this.#failure = null;
            this.#events.onThreadRestarted();
          },
          (error: unknown) => {
            this.#failedStarts += 1;
            if (this.#failedStarts >= MOST_FAILED_STARTS) this.#fail(error);
            this.#restartLater();
          },
        );
      },
      this.#failure === null ? this.#backOff.nextMs() : AGAIN_MS,
    );
    this.#restarts.add(timer);
  }

  #fail(error: unknown): void {
    if (this.#failure !== null || this.#isStopping) return;
    const { message } = SightlineError.from(error, 'ENGINE_FAILED');
    this.#failure = new SightlineError('ENGINE_FAILED', `no inference thread can be started: ${message}`);
    this.#events.onThreadsFailed(this.#failure);
  }

  async shutdown(): Promise<void> {
    this.#isStopping = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    await Promise.all(this.#clients.map((client) => client.shutdown()));
  }
}
