import { AsyncLocalStorage } from 'node:async_hooks';
import { Socket } from 'node:net';
import { type Clock, systemClock } from '../../base/core/clock.ts';

const KILOBYTE = 1000;
/** Less is no reason why an attempt fails. */
const NOTED_BYTES = 32_768;
/** What a receiver says without being asked, such as pings, is forgotten after this time. */
const FORGET_MS = 60_000;

const current = new AsyncLocalStorage<ReplyBounds>();

/**
 * Bounds what one receiver may send, whatever client reads it: each connection that is begun within `run` is cut when more bytes have come
 * than the replies to a batch can have.
 */
export class ReplyBounds {
  readonly #mostBytes: number;
  readonly #onExceeded: (error: Error) => void;
  readonly #clock: Clock;
  readonly #sockets = new Set<Socket>();
  #bytes = 0;
  #sinceMs: number;

  /** @param onExceeded - called before the connections are cut, with the reason. */
  constructor(mostBytes: number, onExceeded: (error: Error) => void, clock: Clock = systemClock) {
    this.#mostBytes = mostBytes;
    this.#onExceeded = onExceeded;
    this.#clock = clock;
    this.#sinceMs = clock.now();
  }

  /** The bounds of the receiver that the code which runs works for. */
  static get current(): ReplyBounds | undefined {
    return current.getStore();
  }

  /**
   * Watches every connection of this thread from now on. The clients have no common way to bound what they read, and some none at all; what
   * they share is the socket.
   */
  static watchSockets(): void {
    const { connect, push } = Socket.prototype;
    Socket.prototype.connect = function (this: Socket, ...target: unknown[]) {
      const bounds = ReplyBounds.current;
      if (bounds !== undefined) bounds.#add(this);
      return (connect as (...given: unknown[]) => Socket).apply(this, target);
    } as typeof connect;
    // Also of a connection that TLS began on later, which is another object.
    Socket.prototype.push = function (this: Socket, chunk: Uint8Array | null, encoding?: BufferEncoding) {
      const bounds = ReplyBounds.current;
      if (bounds !== undefined && !bounds.#permits(this, chunk?.length ?? 0)) return false;
      return push.call(this, chunk, encoding);
    };
  }

  run<T>(work: () => T): T {
    return current.run(this, work);
  }

  /** The receiver has stored what it was sent, so what it said was a reply. */
  delivered(): void {
    this.#bytes = 0;
  }

  /** What came that was no reply, if it is much; null if not. */
  get note(): string | null {
    return this.#bytes < NOTED_BYTES ? null : `it sent ${Math.floor(this.#bytes / KILOBYTE)} kB that is no reply`;
  }

  /** Cuts all connections, also those that are still being made. */
  cut(error: Error): void {
    for (const socket of this.#sockets) socket.destroy(error);
  }

  /** Cuts all connections because of what came over them. */
  exceed(error: Error): void {
    this.#onExceeded(error);
    this.cut(error);
    this.#bytes = 0;
  }

  #add(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // A client may have stopped listening when it is cut.
    socket.on('error', () => undefined);
  }

  #permits(socket: Socket, bytes: number): boolean {
    if (socket.destroyed) return false;
    const nowMs = this.#clock.now();
    if (nowMs - this.#sinceMs > FORGET_MS) {
      this.#sinceMs = nowMs;
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    if (this.#bytes <= this.#mostBytes) return true;
    const error = new Error(this.note ?? 'it sent too much');
    this.exceed(error);
    socket.destroy(error);
    return false;
  }
}
