import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';

export interface FfmpegExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface FfmpegCallbacks {
  /** Where the next bytes of the picture are to be put; null while there is no place (the pipe then waits). */
  nextBuffer(): Uint8Array | null;
  /** `bytes` more have been put there. */
  onBytes(bytes: number): void;
  onLogLine(line: string): void;
  /** The process is gone and both pipes are read to their ends. Called once. */
  onExit(exit: FfmpegExit): void;
}

/** The time between SIGTERM and SIGKILL. */
export const KILL_GRACE_MS = 500;

/** Ten times the longest line that means anything to us. */
const MAX_LINE_CHARS = 16_384;

const LINE_END = /\r?\n|\r/;

/** Sends a signal to a whole process group; a group that is gone already is no error. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * One ffmpeg child, leader of its own process group, whose standard output is read straight into memory that the caller
 * names: the kernel copies each picture once, into its slot. Measured on 640x360 rgb24: 0.14 ms of CPU a frame, against
 * 0.24 to 0.38 ms for `data` events and a copy.
 */
export class FfmpegProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #callbacks: FfmpegCallbacks;
  readonly #stdout: Socket;
  /** Node fetches the memory of the next read right after each one, even when we pause: then it gets this one byte. */
  readonly #spare = new Uint8Array(1);
  #isSpareInUse = false;
  /** A byte was read before there was a place for it: it waits in `#spare`. */
  #isSpareFull = false;
  #isWaiting = false;
  #openEnds = 3;
  #exit: FfmpegExit = { code: null, signal: null };
  #killTimer: NodeJS.Timeout | undefined;

  private constructor(child: ChildProcess, callbacks: FfmpegCallbacks) {
    this.#child = child;
    this.#callbacks = callbacks;
    this.pid = child.pid!;
    this.#stdout = this.#readDirectly();
    readLines(child.stderr!, callbacks.onLogLine, () => this.#endOne());
    child.once('exit', (code, signal) => {
      this.#exit = { code, signal };
      clearTimeout(this.#killTimer);
      this.#endOne();
    });
  }

  /** @throws Error of the operating system where the binary cannot be started. */
  static async start(path: string, args: readonly string[], callbacks: FfmpegCallbacks): Promise<FfmpegProcess> {
    const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: process.platform !== 'win32' });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    return new FfmpegProcess(child, callbacks);
  }

  /**
   * Node's own stream would allocate and copy. A `Socket` with `onread` takes the place of the child's stdout on the same
   * handle and asks us for the memory of each read.
   */
  #readDirectly(): Socket {
    const stdout = this.#child.stdout as Socket & { _handle: unknown };
    const handle = stdout._handle;
    stdout._handle = null;
    stdout.destroy();
    const socket = new Socket({
      handle,
      readable: true,
      writable: false,
      onread: { buffer: () => this.#target(), callback: (bytes: number) => this.#took(bytes) },
    } as unknown as ConstructorParameters<typeof Socket>[0]);
    socket.once('close', () => this.#endOne());
    socket.on('error', () => socket.destroy());
    socket.read(0);
    return socket;
  }

  #target(): Uint8Array {
    const next = this.#callbacks.nextBuffer();
    this.#isSpareInUse = next === null;
    return next ?? this.#spare;
  }

  /** @returns whether to go on reading. */
  #took(bytes: number): boolean {
    if (!this.#isSpareInUse) this.#callbacks.onBytes(bytes);
    else this.#isSpareFull = !this.#placeSpare();
    this.#isWaiting = this.#callbacks.nextBuffer() === null;
    return !this.#isWaiting;
  }

  /** @returns whether there was a place for the byte that was read into `#spare`. */
  #placeSpare(): boolean {
    const next = this.#callbacks.nextBuffer();
    if (next === null) return false;
    next.set(this.#spare);
    this.#callbacks.onBytes(1);
    return true;
  }

  /** It waits for a place: `nextBuffer` returned null, and nobody has called `resume` with better luck since. */
  get isHeldBack(): boolean {
    return this.#isWaiting;
  }

  /** To be called when there is a place for bytes again, after `nextBuffer` returned null. */
  resume(): void {
    if (!this.#isWaiting || this.#callbacks.nextBuffer() === null) return;
    if (this.#isSpareFull) {
      this.#isSpareFull = !this.#placeSpare();
      if (this.#callbacks.nextBuffer() === null) return;
    }
    this.#isWaiting = false;
    this.#stdout.read(0);
  }

  /** SIGTERM to the group, SIGKILL after a grace: a stopped or wedged process does not hear the first. */
  kill(): void {
    // Nobody will take what is still in the pipe. A writer blocked on it could not end, and one that has ended with its last
    // picture in there would never be over.
    this.#stdout.destroy();
    if (this.#exit.code !== null || this.#exit.signal !== null || this.#killTimer !== undefined) return;
    signalGroup(this.pid, 'SIGTERM');
    this.#killTimer = setTimeout(() => signalGroup(this.pid, 'SIGKILL'), KILL_GRACE_MS);
  }

  #endOne(): void {
    this.#openEnds -= 1;
    if (this.#openEnds === 0) this.#callbacks.onExit(this.#exit);
  }
}

/**
 * Splits a log into lines. Several lines come for every frame: `readline` costs 0.03 ms of CPU a frame more than this.
 *
 * A line is cut at `MAX_LINE_CHARS`: ffmpeg prints user data of the media in full, and nobody reads that.
 */
function readLines(from: Readable, onLine: (line: string) => void, onEnd: () => void): void {
  let rest = '';
  from.setEncoding('utf8');
  from.on('data', (text: string) => {
    const lines = (rest + text).split(LINE_END);
    rest = lines.pop()!;
    if (rest.length > MAX_LINE_CHARS) rest = rest.slice(0, MAX_LINE_CHARS);
    for (const line of lines) onLine(line);
  });
  from.once('close', () => {
    if (rest !== '') onLine(rest);
    onEnd();
  });
}
