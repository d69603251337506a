import type { SightlineError } from '../errors/sightline-error.ts';
import type { EngineInfo, EngineRequest, RingHandle } from '../protocol/threads.ts';
import { BackOff } from '../source/back-off.ts';
import { InferenceClient, type InferenceEvents, type SubmittedBatch } from './inference-client.ts';

export interface EnginePoolEvents {
  onResult: InferenceEvents['onResult'];
  /** Frames whose inference failed. The thread may or may not live; where it does not, the batch may only have waited there. */
  onFailed(batch: SubmittedBatch, error: SightlineError, wasRunning: boolean): void;
  onThreadLost(error: SightlineError): void;
  onThreadRestarted(): void;
}

/** A set of inference threads with the same engine and model. A thread that dies or hangs is replaced. */
export class EnginePool {
  #request: EngineRequest;
  readonly #events: EnginePoolEvents;
  readonly #timeoutMs: number;
  readonly #rings = new Map<number, RingHandle>();
  readonly #clients: InferenceClient[] = [];
  readonly #backOff = new BackOff({ firstMs: 100, maxMs: 10_000 });
  readonly #restarts = new Set<NodeJS.Timeout>();
  #isStopping = false;

  constructor(request: EngineRequest, events: EnginePoolEvents, timeoutMs: number) {
    this.#request = request;
    this.#events = events;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Loads the engine on every thread. The first loads alone: its warm-up times are what the batcher starts from, and what
   * cannot be loaded fails once, not on each thread.
   *
   * @throws ENGINE_UNAVAILABLE
   */
  async start(threads: number): Promise<EngineInfo> {
    await this.#add();
    this.#request = { ...this.#request, batchSizes: this.#clients[0]!.info.batchSizes };
    await Promise.all(Array.from({ length: threads - 1 }, () => this.#add()));
    return this.#clients[0]!.info;
  }

  get threadCount(): number {
    return this.#clients.length;
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

  /** The thread with the least to do, if it has less than `depth` batches; null where all are busy. */
  idle(depth: number): InferenceClient | null {
    let best: InferenceClient | null = null;
    for (const client of this.#clients) {
      if (client.batchesInFlight >= depth) continue;
      if (best === null || client.batchesInFlight < best.batchesInFlight) best = client;
    }
    return best;
  }

  async #add(): Promise<void> {
    const client = await InferenceClient.start(
      this.#request,
      {
        onResult: (batch, result) => {
          // Not when a thread is up, but when it has done something: one that dies of every batch must not come back in a frenzy.
          this.#backOff.reset();
          this.#events.onResult(batch, result);
        },
        onBatchFailed: (batch, error) => this.#events.onFailed(batch, error, true),
        onLost: (lost, batches, error) => this.#onLost(lost, batches, error),
      },
      this.#timeoutMs,
    );
    for (const ring of this.#rings.values()) client.attach(ring);
    this.#clients.push(client);
    if (this.#isStopping) await client.shutdown();
  }

  #onLost(client: InferenceClient, batches: readonly SubmittedBatch[], error: SightlineError): void {
    this.#clients.splice(this.#clients.indexOf(client), 1);
    this.#events.onThreadLost(error);
    const { callsInFlight } = client.info;
    // From the last to the first: what is put back before others ends up in its order.
    for (const [i, batch] of [...batches.entries()].reverse()) this.#events.onFailed(batch, error, i < callsInFlight);
    this.#restartLater();
  }

  #restartLater(): void {
    if (this.#isStopping) return;
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      this.#add().then(
        () => this.#events.onThreadRestarted(),
        () => this.#restartLater(),
      );
    }, this.#backOff.nextMs());
    this.#restarts.add(timer);
  }

  async shutdown(): Promise<void> {
    this.#isStopping = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    await Promise.all(this.#clients.map((client) => client.shutdown()));
  }
}
