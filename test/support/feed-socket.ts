import { decode } from '@msgpack/msgpack';
import { WebSocket } from 'ws';
import type { ServerMessage } from '../../src/wire/protocol/feed.ts';

/** A WebSocket client that keeps what it is told and lets a test wait for it. */
export class FeedSocket {
  /** What came as JSON. */
  readonly messages: ServerMessage[] = [];
  /** What came as MessagePack. */
  readonly binary: ServerMessage<Uint8Array>[] = [];
  readonly socket: WebSocket;
  closeCode: number | null = null;
  readonly #waiting = new Set<() => void>();

  constructor(url: string, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(url.replace(/^http/, 'ws'), { headers, perMessageDeflate: false });
    this.socket.on('message', (data, isBinary) => {
      if (isBinary) this.binary.push(decode(data as Buffer) as ServerMessage<Uint8Array>);
      else this.messages.push(JSON.parse(data.toString()) as ServerMessage);
      for (const check of this.#waiting) check();
    });
    this.socket.on('close', (code) => {
      this.closeCode = code;
      for (const check of this.#waiting) check();
    });
    this.socket.on('error', () => {});
  }

  /** Opens a socket and waits for `hello`. */
  static async open(url: string, headers?: Record<string, string>): Promise<FeedSocket> {
    const socket = new FeedSocket(`${url}/ws`, headers);
    await socket.until(() => socket.messages.length > 0);
    return socket;
  }

  /** Resolves when `claim` holds; it is asked again after every message and at the close. */
  until(claim: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!claim()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  say(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** Messages are answered in order, so a refused one that comes back proves that the earlier ones were read. */
  async settle(): Promise<void> {
    const before = this.of('error').length;
    this.say({ type: 'settle' });
    await this.until(() => this.of('error').length > before);
  }

  of<T extends ServerMessage['type']>(type: T): Extract<ServerMessage, { type: T }>[] {
    return this.messages.filter((message): message is Extract<ServerMessage, { type: T }> => message.type === type);
  }

  binaryOf<T extends ServerMessage['type']>(type: T): Extract<ServerMessage<Uint8Array>, { type: T }>[] {
    return this.binary.filter(
      (message): message is Extract<ServerMessage<Uint8Array>, { type: T }> => message.type === type,
    );
  }

  async closed(): Promise<number> {
    await this.until(() => this.closeCode !== null);
    return this.closeCode!;
  }
}

/** The HTTP status that a refused upgrade got. */
export function upgradeStatus(url: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers });
    socket.on('unexpected-response', (_request, response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    socket.on('open', () => {
      socket.terminate();
      resolve(101);
    });
    socket.on('error', reject);
  });
}
