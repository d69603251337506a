import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { ChildExit, ChildGroup } from '../../base/process/child-group.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import type { Access } from '../../base/process/sandbox-view.ts';
import { startReader } from '../../base/process/start-reader.ts';
import { LOOK_PIPE } from './look-filters.ts';
import { PACKET_PIPE } from './packet-tap.ts';

export interface FfmpegCallbacks {
  /** Returns the memory for the next bytes of the picture; null pauses reading until `resume`. */
  nextBuffer(): Uint8Array | null;
  /** `bytes` more bytes have been written there. */
  onBytes(bytes: number): void;
  onLogLine(line: string): void;
  /** Bytes from `LOOK_PIPE`; absent if nothing is written there. */
  onLookBytes?(bytes: Uint8Array): void;
  /** Bytes from `PACKET_PIPE`; absent if nothing is written there. */
  onPacketBytes?(bytes: Uint8Array): void;
  /** The process has ended and its pipes are read to their ends. Called once. */
  onExit(exit: ChildExit): void;
}

/** Ten times the longest line that we parse. */
const MAX_LINE_CHARS = 16_384;

const LINE_END = /\r?\n|\r/;

/**
 * One ffmpeg child, leader of its own process group. Its standard output is read straight into memory of the caller, so
 * each picture is copied once, by the kernel into its slot. Measured on 640x360 rgb24: 0.14 ms of CPU per frame, against
 * 0.24 to 0.38 ms for `data` events and a copy.
 */
export class FfmpegProcess {
  #pid: number;
  readonly #group: ChildGroup;
  readonly #callbacks: FfmpegCallbacks;
  readonly #stdout: Socket;
  /** Node asks for the next read's memory right after each read, even while we pause; it then gets this one byte. */
  readonly #spare = new Uint8Array(1);
  #isSpareInUse = false;
  /** True while `#spare` holds a byte that was read during a pause. */
  #isSpareFull = false;
  #isWaiting = false;
  /** What has not ended yet: the process, its two pipes, and `start`. */
  #openEnds = 4;
  #exit: ChildExit = { code: null, signal: null };

  private constructor(group: ChildGroup, callbacks: FfmpegCallbacks) {
    const { child } = group;
    this.#group = group;
    this.#callbacks = callbacks;
    this.#pid = child.pid!;
    this.#stdout = this.#readDirectly();
    readLines(
      child.stderr!,
      (line) => callbacks.onLogLine(asLogLine(line)),
      () => this.#endOne(),
    );
    const looks = child.stdio[LOOK_PIPE] as Readable | undefined;
    looks?.on('data', (bytes: Uint8Array) => callbacks.onLookBytes?.(bytes));
    looks?.on('error', () => looks.destroy());
    const packets = (child.stdio as readonly unknown[])[PACKET_PIPE] as Readable | undefined | null;
    if (packets != null) {
      this.#openEnds += 1;
      packets.on('data', (bytes: Uint8Array) => callbacks.onPacketBytes?.(bytes));
      packets.on('error', () => packets.destroy());
      packets.once('close', () => this.#endOne());
    }
    // A child that has ended reads no command.
    child.stdin?.on('error', () => undefined);
    child.once('exit', (code, signal) => {
      this.#exit = { code, signal };
      this.#endOne();
    });
  }

  /**
   * Starts a confined ffmpeg. Callbacks may be called before this resolves, except for `onExit`.
   *
   * @param stdin - `pipe` if the arguments make it read commands.
   * @throws Error of the operating system if the binary cannot be started.
   */
  static async start(
    ffmpeg: Ffmpeg,
    args: readonly string[],
    access: Access,
    callbacks: FfmpegCallbacks,
    stdin: 'ignore' | 'pipe' = 'ignore',
  ): Promise<FfmpegProcess> {
    const pipes = [
      ...(callbacks.onLookBytes === undefined ? [] : [LOOK_PIPE]),
      ...(callbacks.onPacketBytes === undefined ? [] : [PACKET_PIPE]),
    ];
    const { group, pid } = await startReader(ffmpeg, args, access, stdin, pipes);
    const self = new FfmpegProcess(group, callbacks);
    self.#pid = await pid;
    setImmediate(() => self.#endOne());
    return self;
  }

  get pid(): number {
    return this.#pid;
  }

  /**
   * Replaces the child's stdout by a `Socket` with `onread` on the same handle, which asks us for the memory of each read.
   * Node's own stream would allocate and copy.
   */
  #readDirectly(): Socket {
    const stdout = this.#group.child.stdout as Socket & { _handle: unknown };
    const handle = stdout._handle;
    stdout._handle = null;
    stdout.destroy();
    const socket = new Socket({
      handle,
      readable: true,
      writable: false,
      onread: { buffer: () => this.#target(), callback: (bytes: number) => this.#onRead(bytes) },
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

  /** @returns whether to continue reading. */
  #onRead(bytes: number): boolean {
    if (!this.#isSpareInUse) this.#callbacks.onBytes(bytes);
    else this.#isSpareFull = !this.#placeSpare();
    this.#isWaiting = this.#callbacks.nextBuffer() === null;
    return !this.#isWaiting;
  }

  /** @returns whether the byte in `#spare` could be moved to a buffer. */
  #placeSpare(): boolean {
    const next = this.#callbacks.nextBuffer();
    if (next === null) return false;
    next.set(this.#spare);
    this.#callbacks.onBytes(1);
    return true;
  }

  /** True while reading is paused: `nextBuffer` returned null, and no `resume` has succeeded since. */
  get isHeldBack(): boolean {
    return this.#isWaiting;
  }

  /** Continues reading. Call it when `nextBuffer` has memory again after it returned null. */
  resume(): void {
    if (!this.#isWaiting || this.#callbacks.nextBuffer() === null) return;
    if (this.#isSpareFull) {
      this.#isSpareFull = !this.#placeSpare();
      if (this.#callbacks.nextBuffer() === null) return;
    }
    this.#isWaiting = false;
    this.#stdout.read(0);
  }

  /** Writes to the child's standard input, if it has one. ffmpeg reads at most one command in 100 ms. */
  command(line: string): void {
    const { stdin } = this.#group.child;
    if (stdin?.writable === true) stdin.write(line);
  }

  /** Ends the process, as `ChildGroup.end`. */
  kill(): void {
    // Discard what is still in the pipe: a writer blocked on it could not exit, and without this the pipe of a process that
    // has exited would never be read to its end.
    this.#stdout.destroy();
    for (const pipe of this.#group.child.stdio.slice(LOOK_PIPE)) pipe?.destroy();
    this.#group.end();
  }

  #endOne(): void {
    this.#openEnds -= 1;
    if (this.#openEnds === 0) this.#callbacks.onExit(this.#exit);
  }
}

/** Makes the error of an ffmpeg that `FfmpegProcess.start` could not start. */
export function startFailure({ path }: Ffmpeg, error: unknown): SightlineError {
  const message = `ffmpeg at ${path} cannot be started: ${(error as Error).message}`;
  return new SightlineError('FFMPEG_MISSING', message, { path });
}

/** Marks a message of a launcher or a sandbox as an error, so that it is read like one of ffmpeg. */
function asLogLine(line: string): string {
  return /^(?:bwrap|landlock|setpriv|sh): /.test(line) ? `[error] ${line}` : line;
}

/**
 * Splits a log into lines. There are several lines per frame: `readline` costs 0.03 ms of CPU per frame more than this.
 *
 * Lines are truncated at `MAX_LINE_CHARS`, because ffmpeg prints user data of the media in full and we do not need it.
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
