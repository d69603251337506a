import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { type ClientOptions, SightlineClient, type SocketConstructor } from '../../src/wire/client/index.ts';

/** The global one where Node.js has it. */
const socketConstructor: SocketConstructor =
  (globalThis as { readonly WebSocket?: SocketConstructor }).WebSocket ?? WebSocket;

/** Makes a client that comes back quickly after a loss; it is closed after the test. */
export function openClient(url: string, options: Partial<ClientOptions> = {}): SightlineClient {
  const client = new SightlineClient({ url, WebSocket: socketConstructor, retryMs: [10, 100], ...options });
  onTestFinished(() => client.close());
  return client;
}

/** Takes so many messages and leaves the loop. */
export async function take<T>(messages: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const message of messages) {
    taken.push(message);
    if (taken.length === count) break;
  }
  return taken;
}
