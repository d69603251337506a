import { WebSocket } from 'ws';

/**
 * `feed-clients.process.js URL COUNT SUBSCRIBE`: opens clients of a feed, sends `ready` to its parent once all have
 * subscribed, and then, after each message of the parent, what they have received since the last one.
 */
export interface Received {
  readonly messages: number;
  /** WebSocket frames with their headers; TCP is not included. */
  readonly bytes: number;
}

const [url, count, subscribe] = process.argv.slice(2) as [string, string, string];
let messages = 0;
let bytes = 0;

await Promise.all(Array.from({ length: Number(count) }, openClient));
process.on('message', () => {
  process.send!({ messages, bytes } satisfies Received);
  messages = 0;
  bytes = 0;
});
process.send!('ready');

/** Messages are answered in order, so the error for a refused one proves that the subscription was read. */
function openClient(): Promise<void> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('open', () => {
      socket.send(subscribe);
      socket.send('{}');
    });
    let isReady = false;
    socket.on('message', (data: Buffer, isBinary) => {
      if (isReady) {
        messages += 1;
        bytes += headerBytes(data.length) + data.length;
      } else if (!isBinary && data.toString().startsWith('{"type":"error"')) {
        isReady = true;
        resolve();
      }
    });
  });
}

/** RFC 6455, 5.2: frames of a server carry no mask. */
function headerBytes(length: number): number {
  if (length < 126) return 2;
  return length < 65_536 ? 4 : 10;
}
