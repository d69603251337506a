import { type ChildProcess, fork } from 'node:child_process';
import { workerEntry } from '../../../base/core/worker-entry.ts';
import { SightlineError, type WireError } from '../../../base/errors/sightline-error.ts';
import type { Ffmpeg } from '../../../base/process/confinement.ts';
import { LogTail, lastLines } from '../../../base/process/log-tail.ts';
import type { CameraSpec } from './camera-plan.ts';
import type { CameraPorts, CameraServerStats } from './camera-server.ts';

/** Requests to the process of the cameras; each is answered once, in any order. */
export type CameraRequest =
  | { readonly type: 'open'; readonly ffmpeg: Ffmpeg; readonly host: string }
  | { readonly type: 'add'; readonly cameras: readonly CameraSpec[] }
  | { readonly type: 'remove'; readonly ids: readonly string[] }
  | { readonly type: 'stats' };

export interface CameraCall {
  readonly call: number;
  readonly request: CameraRequest;
}

export type CameraReply =
  | { readonly call: number; readonly answer: unknown }
  | { readonly call: number; readonly error: WireError };

const LOG_CHARS = 2_000;

/**
 * Virtual cameras in a process of their own, so that what they cost can be shown apart, and so that a busy pipeline
 * does not slow them. The process ends with this one, however this one ends.
 */
export class CameraProcess {
  readonly #child: ChildProcess;
  readonly #host: string;
  readonly #log: LogTail;
  readonly #open = new Map<number, { resolve: (answer: never) => void; reject: (error: Error) => void }>();
  readonly #ended: Promise<void>;
  #ports: CameraPorts = { http: 0, rtsp: 0 };
  #calls = 0;

  private constructor(host: string) {
    this.#host = host;
    this.#child = fork(workerEntry('virtual-cameras.process'), [], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#log = new LogTail(this.#child.stderr!, LOG_CHARS);
    this.#child.on('message', (reply: CameraReply) => this.#onReply(reply));
    this.#child.on('error', (error) => this.#fail(error.message));
    this.#ended = new Promise((resolve) => this.#child.once('exit', () => resolve()));
    // Its last messages have been read by then. Not emitted after a disconnect by this side.
    this.#child.once('close', (code, signal) => {
      this.#fail(lastLines(this.#log.text, 3).join(' | ') || `${signal ?? `exit code ${code}`}`);
    });
  }

  /**
   * @param host - address on which the cameras listen, and by which they are named.
   * @throws INTERNAL_ERROR if the process does not start; the system's error if it cannot listen there.
   */
  static async open(ffmpeg: Ffmpeg, host = '127.0.0.1'): Promise<CameraProcess> {
    const cameras = new CameraProcess(host);
    try {
      cameras.#ports = await cameras.#call<CameraPorts>({ type: 'open', ffmpeg, host });
      return cameras;
    } catch (error) {
      await cameras.close();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Address of a camera; it need not exist yet. */
  url(id: string, protocol: 'http' | 'rtsp'): string {
    const host = this.#host.includes(':') ? `[${this.#host}]` : this.#host;
    return protocol === 'http'
      ? `http://${host}:${this.#ports.http}/${id}.ts`
      : `rtsp://${host}:${this.#ports.rtsp}/${id}`;
  }

  /** @throws FFMPEG_MISSING, SOURCE_UNREADABLE */
  async add(cameras: readonly CameraSpec[]): Promise<void> {
    await this.#call({ type: 'add', cameras });
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#call({ type: 'remove', ids });
  }

  stats(): Promise<CameraServerStats> {
    return this.#call({ type: 'stats' });
  }

  /** Ends the process. Idempotent. */
  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#ended;
    this.#fail('it was closed');
  }

  #call<Answer>(request: CameraRequest): Promise<Answer> {
    const call = ++this.#calls;
    return new Promise<Answer>((resolve, reject) => {
      if (!this.#child.connected) return reject(gone('it has ended'));
      this.#open.set(call, { resolve, reject });
      this.#child.send({ call, request } satisfies CameraCall, () => undefined);
    });
  }

  #onReply(reply: CameraReply): void {
    const open = this.#open.get(reply.call);
    this.#open.delete(reply.call);
    if ('error' in reply) open?.reject(SightlineError.fromWire(reply.error));
    else open?.resolve(reply.answer as never);
  }

  #fail(reason: string): void {
    for (const { reject } of this.#open.values()) reject(gone(reason));
    this.#open.clear();
  }
}

function gone(reason: string): SightlineError {
  return new SightlineError('INTERNAL_ERROR', `the process of the virtual cameras ended: ${reason}`);
}
