import { Worker } from 'node:worker_threads';
import { workerEntry } from '../../../base/core/worker-entry.ts';
import type { FromSession, LoadRequest, ResultHeader, SessionStart, ToSession } from './child-messages.ts';
import { OUTPUT_TYPES, type OutputHeader } from './child-messages.ts';
import { MESSAGE, MessageReader, messageHeader } from './message-reader.ts';

/**
 * The child's side of the pipe. Pixels are read directly into one half of the shared memory while TensorFlow computes on the
 * other half on a separate thread. So the pipe never waits for the device, and the child sees that its parent has ended even if
 * the device hangs.
 */
export class ChildServer {
  readonly reader = new MessageReader({
    memory: (kind, _, bytes) => this.#memory(kind, bytes),
    onMessage: (kind, tag, payload) => this.#onMessage(kind, tag, payload),
  });
  readonly #write: (bytes: Uint8Array) => void;
  #thread: Worker | null = null;
  #pixels = new SharedArrayBuffer(0);
  #nextPlace: 0 | 1 = 0;

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  #memory(kind: number, bytes: number): Uint8Array {
    if (kind !== MESSAGE.batch) return new Uint8Array(bytes);
    // The parent sends batch n only after the result of batch n - 2, so this half is free.
    return new Uint8Array(this.#pixels, (this.#nextPlace * this.#pixels.byteLength) / 2, bytes);
  }

  #onMessage(kind: number, tag: number, payload: Uint8Array): void {
    if (kind === MESSAGE.load) this.#load(JSON.parse(Buffer.from(payload).toString()) as LoadRequest);
    if (kind !== MESSAGE.batch) return;
    this.#thread!.postMessage({ place: this.#nextPlace, batchSize: tag } satisfies ToSession);
    this.#nextPlace = this.#nextPlace === 0 ? 1 : 0;
  }

  #load(request: LoadRequest): void {
    const { width, height, maxBatch } = request.model ?? { width: 0, height: 0, maxBatch: 0 };
    this.#pixels = new SharedArrayBuffer(2 * maxBatch * width * height * 3);
    const workerData: SessionStart = { request, pixels: this.#pixels };
    this.#thread = new Worker(workerEntry('tensorflow.thread'), { workerData });
    this.#thread.on('message', (message: FromSession) => this.#onSession(message));
    this.#thread.once('error', ({ message }) => this.#send(MESSAGE.failed, { message }));
  }

  #onSession(message: FromSession): void {
    switch (message.type) {
      case 'ready':
        this.#send(MESSAGE.ready, message.facts);
        break;
      case 'failed':
        this.#send(MESSAGE.failed, { message: message.message });
        break;
      case 'batch-failed':
        this.#send(MESSAGE.batchFailed, { message: message.message });
        break;
      case 'result':
        this.#sendResult(message);
        break;
    }
  }

  #sendResult({ outputs, numTensors }: Extract<FromSession, { type: 'result' }>): void {
    const headers = outputs.map(({ name, dims, data }): OutputHeader => ({ name, dims, type: typeOf(data) }));
    const header: ResultHeader = { outputs: headers, numTensors, rssBytes: process.memoryUsage.rss() };
    this.#send(MESSAGE.result, header);
    for (const [i, { data }] of outputs.entries()) {
      this.#write(messageHeader(MESSAGE.output, i, data.byteLength));
      if (data.byteLength > 0) this.#write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }

  #send(kind: number, value: unknown): void {
    const payload = Buffer.from(JSON.stringify(value));
    this.#write(messageHeader(kind, 0, payload.length));
    this.#write(payload);
  }
}

function typeOf(data: object): OutputHeader['type'] {
  const found = Object.entries(OUTPUT_TYPES).find(([, type]) => data instanceof type);
  if (found === undefined) throw new RangeError(`outputs of type ${data.constructor.name} are not supported`);
  return found[0] as OutputHeader['type'];
}
