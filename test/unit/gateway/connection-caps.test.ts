import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../../src/flow/incidents.ts';
import type { Gateway } from '../../../src/gateway/gateway-options.ts';
import { startGateway } from '../../../src/gateway/server.ts';
import { FeedSocket } from '../../support/feed-socket.ts';
import { RuntimeDouble } from '../../support/runtime-double.ts';
import { waitFor } from '../../support/wait-for.ts';

describe('connections of strangers', () => {
  const sockets: Socket[] = [];
  let gateway: Gateway | null = null;
  const incidents = new Incidents();

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await gateway?.close();
  });

  const start = async (maxConnections: number, maxConnectionsPerAddress: number): Promise<Gateway> => {
    gateway = await startGateway(new RuntimeDouble([]), {
      port: 0,
      incidents,
      maxConnections,
      maxConnectionsPerAddress,
    });
    return gateway;
  };
  /** Opens a connection and sends a text that may be the beginning of a request. */
  const open = async (port: number, text = ''): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => {});
    await once(socket, 'connect');
    if (text !== '') socket.write(text);
    return socket;
  };
  const closed = (): number => incidents.refusals.find(({ channel }) => channel === 'connection')!.count;
  const isHealthy = async ({ url }: Gateway): Promise<boolean> => (await fetch(`${url}/healthz`)).status === 200;

  it('that send nothing, or half a request, displace each other; others are answered', async () => {
    const { port, ...rest } = await start(40, 1_000);
    const before = closed();
    for (let i = 0; i < 60; i++) {
      await open(port, i % 2 === 0 ? '' : 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ');
      if (i % 20 === 0) expect(await isHealthy({ port, ...rest })).toBe(true);
    }
    expect(await isHealthy({ port, ...rest })).toBe(true);
    await waitFor('the closed ones', () => sockets.filter((socket) => socket.readyState === 'closed').length >= 50);
    expect(closed() - before).toBeGreaterThanOrEqual(50);
  });

  it('from one address are limited on their own', async () => {
    const { port } = await start(1_000, 5);
    for (let i = 0; i < 12; i++) await open(port);
    await waitFor('seven closed ones', () => sockets.filter((socket) => socket.readyState === 'closed').length === 7);
    expect(
      sockets.slice(0, 7).every((socket) => socket.readyState === 'closed'),
      'the oldest ones',
    ).toBe(true);
  });

  it('never displace one on which a request was accepted', async () => {
    const { port } = await start(40, 1_000);
    const feed = await FeedSocket.open(`http://127.0.0.1:${port}`);
    for (let i = 0; i < 60; i++) await open(port);
    await waitFor('the closed ones', () => sockets.filter((socket) => socket.readyState === 'closed').length >= 50);
    expect(feed.closeCode).toBe(null);
    feed.socket.terminate();
  });
});
