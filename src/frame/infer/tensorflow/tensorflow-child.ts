import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { OutputTensor } from '../../../base/core/model.ts';
import { workerEntry } from '../../../base/core/worker-entry.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { ChildGroup, exitText } from '../../../base/process/child-group.ts';
import { fetchedPackagesArgument } from '../../../base/process/fetched-packages.ts';
import { LogTail, lastLines } from '../../../base/process/log-tail.ts';
import { type LibraryFacts, type LoadRequest, OUTPUT_TYPES, type ResultHeader } from './child-messages.ts';
import { MESSAGE, MessageReader, messageHeader } from './message-reader.ts';

export interface ChildResult {
  readonly outputs: ReadonlyMap<string, OutputTensor>;
  readonly numTensors: number;
  readonly rssBytes: number;
}

interface Waiting {
  resolve(result: ChildResult): void;
  reject(error: SightlineError): void;
}

/** Batches that a child holds at once: one is computed, one waits in its memory. */
export const CHILD_DEPTH = 2;
/** A child ends when its pipe closes; if it does not within this time, it is killed. */
const KILL_AFTER_MS = 2_000;
const LOG_CHARACTERS = 20_000;

/**
 * A process that runs TensorFlow. A batch costs two copies through the pipe, while the device works on the previous batch.
 * Measured at 480x256: 0.1 ms for one frame, 0.5 ms for eight.
 */
export class TensorflowChild {
  readonly pid: number;
  /** Resolves with how the process ended. */
  readonly gone: Promise<string>;
  readonly #group: ChildGroup;
  readonly #pipe: Socket;
  readonly #waiting: Waiting[] = [];
  /** The latest call. Batches are answered in order, so when it has settled, all have. */
  #latest: Promise<unknown> = Promise.resolve();
  #facts: LibraryFacts | null = null;
  #onReady: { resolve(): void; reject(error: Error): void } | null = null;
  readonly #log: LogTail;
  /** A result whose outputs have not all arrived. */
  #result: { header: ResultHeader; outputs: Map<string, OutputTensor> } | null = null;

  private constructor(group: ChildGroup) {
    const { child } = group;
    this.#group = group;
    this.pid = child.pid!;
    this.#pipe = child.stdio[3] as Socket;
    const reader = new MessageReader({
      memory: (_, __, bytes) => new Uint8Array(bytes),
      onMessage: (kind, tag, payload) => this.#onMessage(kind, tag, payload),
    });
    this.#pipe.on('data', (chunk: Uint8Array) => reader.push(chunk));
    // A broken pipe means that the process has ended; the exit event reports how.
    this.#pipe.on('error', () => undefined);
    this.#log = new LogTail(child.stderr!, LOG_CHARACTERS);
    this.gone = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        const why = `its process ended with ${exitText({ code, signal })}`;
        resolve(why);
        // One microtask later, so that code that awaits `gone` runs before the calls are rejected.
        void Promise.resolve().then(() => this.#failAll(why));
      });
    });
  }

  /**
   * Starts the process and loads the library, and the model if there is one.
   *
   * @throws Error of the library, or of the operating system if the process cannot be started.
   */
  static async start(request: LoadRequest): Promise<TensorflowChild> {
    const group = await ChildGroup.start(
      process.execPath,
      [fileURLToPath(workerEntry('tensorflow.process')), fetchedPackagesArgument()],
      {
        stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      },
    );
    const self = new TensorflowChild(group);
    try {
      await new Promise<void>((resolve, reject) => {
        self.#onReady = { resolve, reject };
        self.#send(MESSAGE.load, 0, Buffer.from(JSON.stringify(request)));
      });
      return self;
    } catch (error) {
      await self.close();
      throw error;
    }
  }

  get facts(): LibraryFacts {
    return this.#facts!;
  }

  /** The library's log output. */
  get log(): string {
    return this.#log.text;
  }

  /**
   * Runs one batch. A second one may be sent before the first is done.
   *
   * @param pixels - u8 `[batchSize, height, width, 3]`; must not change until this call and the one before it have settled.
   * @throws ENGINE_FAILED
   */
  run(pixels: Uint8Array, batchSize: number): Promise<ChildResult> {
    const call = new Promise<ChildResult>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#group.isGone) this.#failAll('its process is gone');
      else this.#send(MESSAGE.batch, batchSize, pixels);
    });
    this.#latest = call;
    return call;
  }

  #send(kind: number, tag: number, payload: Uint8Array): void {
    this.#pipe.write(messageHeader(kind, tag, payload.length));
    this.#pipe.write(payload);
  }

  #onMessage(kind: number, tag: number, payload: Uint8Array): void {
    switch (kind) {
      case MESSAGE.ready:
        this.#facts = parse<LibraryFacts>(payload);
        this.#onReady?.resolve();
        break;
      case MESSAGE.failed:
        this.#onReady?.reject(new Error(parse<{ message: string }>(payload).message));
        // After `ready` this means that its thread has ended, so no call will be answered.
        this.#group.kill();
        break;
      case MESSAGE.batchFailed:
        this.#waiting.shift()?.reject(failed(parse<{ message: string }>(payload).message));
        break;
      case MESSAGE.result:
        this.#result = { header: parse<ResultHeader>(payload), outputs: new Map() };
        break;
      case MESSAGE.output:
        this.#onOutput(tag, payload);
        break;
    }
  }

  #onOutput(index: number, payload: Uint8Array): void {
    const { header, outputs } = this.#result!;
    const { name, dims, type } = header.outputs[index]!;
    outputs.set(name, { dims, data: new OUTPUT_TYPES[type](payload.buffer as ArrayBuffer) });
    if (outputs.size < header.outputs.length) return;
    this.#result = null;
    this.#waiting.shift()?.resolve({ outputs, numTensors: header.numTensors, rssBytes: header.rssBytes });
  }

  /** Resolves when all calls have settled. */
  async idle(): Promise<void> {
    await this.#latest.catch(() => undefined);
  }

  #failAll(why: string): void {
    this.#onReady?.reject(new Error(`${why}${this.#lastLogLine()}`));
    for (const { reject } of this.#waiting.splice(0)) reject(failed(why));
  }

  #lastLogLine(): string {
    const [line] = lastLines(this.#log.text, 1);
    return line === undefined ? '' : `: ${line}`;
  }

  /** Ends the process, which also frees its device memory. Idempotent. */
  async close(): Promise<void> {
    this.#pipe.destroy();
    this.#group.killAfter(KILL_AFTER_MS);
    await this.gone;
  }
}

function failed(why: string): SightlineError {
  return new SightlineError('ENGINE_FAILED', `tensorflow: ${why}`);
}

function parse<T>(payload: Uint8Array): T {
  return JSON.parse(Buffer.from(payload).toString()) as T;
}
