import { Worker } from 'node:worker_threads';
import { workerEntry } from '../../base/core/worker-entry.ts';
import { patientTimer } from '../../base/flow/patient-timer.ts';
import { settlesWithin } from '../../base/flow/settles-within.ts';
import type { ConnectReceiver, ReceiverKind, ReceiverPlan } from './receiver-kind.ts';
import type { FromReceivers, ReceiverRequest, ToReceivers } from './receiver-messages.ts';
import { type Attempt, type Batch, reasonOf, type Transport } from './transport.ts';

/** Time that the thread has to answer a request that was aborted; after that it is taken to be stuck. */
const ABORT_MS = 3000;
/** Time that a connection has to end when its sink closes. */
const CLOSE_MS = 2000;
const MOST_MB = 256;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Sends to receivers from a thread of its own, which starts with the first record: what they answer is read there, so that none can hold up this
 * one. A thread that ends, or that a receiver keeps busy, is replaced; what was under way is tried again.
 */
export class ReceiverThread {
  readonly #entry: URL | undefined;
  readonly #receivers = new Map<number, ToReceivers & { readonly type: 'open' }>();
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #ids = 0;
  #isClosed = false;

  /** @param entry - of the thread, for tests. */
  constructor(entry?: URL) {
    this.#entry = entry;
  }

  readonly connect: ConnectReceiver = (kind, plan) => this.#connect(kind, plan);

  #connect<P extends ReceiverPlan>({ name }: ReceiverKind<P>, plan: P): Transport {
    const receiver = this.#ids++;
    this.#receivers.set(receiver, { type: 'open', receiver, kind: name, plan });
    this.#worker?.postMessage(this.#receivers.get(receiver));
    return {
      shownUrl: plan.shownUrl,
      send: async (batch: Batch, signal: AbortSignal): Promise<Attempt> => {
        try {
          return (await this.#request(receiver, { type: 'send', batch }, signal)) as Attempt;
        } catch (error) {
          return { kind: 'failed', reason: reasonOf(error), isFinal: false, retryAfterMs: null };
        }
      },
      ask: (question, signal) => this.#request(receiver, { type: 'ask', question }, signal),
      close: async () => {
        if (this.#worker !== null) {
          const closing = this.#request(receiver, { type: 'close' }).catch(() => undefined);
          await settlesWithin(closing, CLOSE_MS);
        }
        this.#receivers.delete(receiver);
      },
    };
  }

  /** Ends the thread, whatever it does. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#end('the sinks are closed');
  }

  async #request(receiver: number, request: ReceiverRequest, signal?: AbortSignal): Promise<unknown> {
    if (this.#isClosed) throw new Error('the sinks are closed');
    signal?.throwIfAborted();
    const id = this.#ids++;
    const worker = this.#running();
    let cancel = (): void => undefined;
    const onAbort = (): void => {
      const { message: reason } = signal!.reason as Error;
      worker.postMessage({ type: 'abort', id, reason } satisfies ToReceivers);
      cancel = patientTimer(ABORT_MS, () => {
        this.#settle(id, ({ reject }) => reject(new Error(reason)));
        if (this.#worker === worker) void this.#end('a receiver kept the thread of all of them busy');
      });
    };
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        signal?.addEventListener('abort', onAbort);
        worker.postMessage({ ...request, id, receiver } satisfies ToReceivers);
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
      cancel();
    }
  }

  #running(): Worker {
    if (this.#worker !== null) return this.#worker;
    const worker = new Worker(this.#entry ?? workerEntry('receivers.thread'), {
      resourceLimits: { maxOldGenerationSizeMb: MOST_MB },
    });
    // What waits for an answer has timers that keep the process alive.
    worker.unref();
    this.#worker = worker;
    worker.on('message', (message: FromReceivers) =>
      this.#settle(message.id, ({ resolve, reject }) => {
        if ('error' in message) reject(new Error(message.error));
        else resolve(message.value);
      }),
    );
    let why = '';
    worker.on('error', (error) => {
      why = `: ${error.message}`;
    });
    worker.once('exit', () => {
      if (this.#worker === worker) this.#forget(`the thread of the receivers ended${why}`);
    });
    for (const open of this.#receivers.values()) worker.postMessage(open);
    return worker;
  }

  #settle(id: number, settle: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting !== undefined) settle(waiting);
  }

  async #end(reason: string): Promise<void> {
    const worker = this.#worker;
    this.#forget(reason);
    if (worker !== null) await settlesWithin(worker.terminate(), CLOSE_MS);
  }

  /** The next request starts another thread. */
  #forget(reason: string): void {
    this.#worker = null;
    for (const id of [...this.#waiting.keys()]) this.#settle(id, ({ reject }) => reject(new Error(reason)));
  }
}
