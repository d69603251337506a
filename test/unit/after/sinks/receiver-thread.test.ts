import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import type { ReceiverKind, ReceiverPlan } from '../../../../src/after/sinks/receiver-kind.ts';
import { ReceiverThread } from '../../../../src/after/sinks/receiver-thread.ts';
import { redisReceiver } from '../../../../src/after/sinks/redis-streams-sink.ts';
import type { Attempt, Batch, Transport } from '../../../../src/after/sinks/transport.ts';
import { within } from '../../../support/wait-for.ts';

const batch: Batch = { number: 1, lost: 0, texts: ['{"stream":"door","run":"r","frame":0}'] };
const STUCK = new URL('../../../support/stuck-receivers.mjs', import.meta.url);

function stuckThread() {
  const thread = new ReceiverThread(STUCK);
  onTestFinished(() => thread.close());
  const open = (name: string): Transport =>
    thread.connect({ name } as ReceiverKind<ReceiverPlan>, { shownUrl: `${name}://` });
  return { thread, open };
}

function send(transport: Transport, signal = new AbortController().signal): Promise<Attempt> {
  return within('an attempt', 20_000, transport.send(batch, signal));
}

const failed = (reason: unknown): object => ({ kind: 'failed', reason, isFinal: false, retryAfterMs: null });

it('a receiver that keeps the thread busy fails its attempt, and others go on in another thread', async () => {
  const { open } = stuckThread();
  const [good, bad] = [open('delivers'), open('spins')];
  expect(await send(good)).toEqual({ kind: 'delivered' });
  const limit = new AbortController();
  const stuck = send(bad, limit.signal);
  const waiting = send(good);
  limit.abort(new Error('no answer within 10 ms'));
  expect(await stuck).toEqual(failed('no answer within 10 ms'));
  expect(await waiting).toEqual(failed('a receiver kept the thread of all of them busy'));
  expect(await send(good)).toEqual({ kind: 'delivered' });
});

it('a thread that ends fails what is under way, says why, and is replaced', async () => {
  const { open } = stuckThread();
  const [good, bad] = [open('delivers'), open('throws')];
  expect(await send(bad)).toEqual(failed('the thread of the receivers ended: a client is broken'));
  expect(await send(good)).toEqual({ kind: 'delivered' });
});

it('a thread that does nothing any more is ended by closing', async () => {
  const { thread, open } = stuckThread();
  const bad = open('spins');
  const stuck = send(bad);
  await within('the end of the sink', 20_000, bad.close!());
  await within('the end of the thread', 20_000, thread.close());
  expect(await stuck).toEqual(failed('the sinks are closed'));
  expect(await send(bad)).toEqual(failed('the sinks are closed'));
});

it('a receiver that answers without end is cut, its warning says so, and each attempt has a connection of its own', async () => {
  const sockets: Socket[] = [];
  const chunk = Buffer.alloc(65_536, 'x');
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    const flood = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', flood);
    socket.once('data', () => {
      socket.write('$536870912\r\n');
      flood();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const thread = new ReceiverThread();
  onTestFinished(async () => {
    await thread.close();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const transport = thread.connect(redisReceiver, {
    host: '127.0.0.1',
    port,
    path: '0',
    tls: null,
    isTls: false,
    shownUrl: 'redis://bad',
    key: 'k',
    maxLength: 1,
  });
  for (const attempt of [1, 2]) {
    expect(await send(transport)).toEqual({
      ...failed(expect.stringMatching(/^it sent 1\d\d\d kB that is no reply$/)),
      delivered: 0,
    });
    expect(sockets).toHaveLength(attempt);
    const socket = sockets.at(-1)!;
    await within('the end of its connection', 20_000, socket.closed ? Promise.resolve([]) : once(socket, 'close'));
    // Besides what was read, only what the system keeps for both ends of a connection.
    expect(socket.bytesWritten - socket.writableLength).toBeLessThan(32_000_000);
  }
  await transport.close!();
});
