import { EventEmitter, once } from 'node:events';
import { connect, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../../../src/base/flow/incidents.ts';
import { ConnectionCaps } from '../../../../src/serve/gateway/connection-caps.ts';
import type { Gateway } from '../../../../src/serve/gateway/gateway-options.ts';
import { startGateway } from '../../../../src/serve/gateway/server.ts';
import { FeedSocket } from '../../../support/feed-socket.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';
import { waitFor } from '../../../support/wait-for.ts';

describe('connections of strangers', () => {
  const sockets: Socket[] = [];
  let gateway: Gateway | null = null;
  const incidents = new Incidents();

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await gateway?.close();
  });

  const start = async (maxConnections: number, maxConnectionsPerAddress: number, token = ''): Promise<Gateway> => {
    gateway = await startGateway(new RuntimeDouble([]), {
      port: 0,
      token,
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

  it('that ask only what needs no token, again and again, displace each other; who has a token is answered', async () => {
    const token = 'k2J8sQ0xVb7nR4tW1yZ5';
    const { port, url } = await start(40, 20, token);
    for (let i = 0; i < 60; i++) {
      const socket = await open(port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      socket.on('data', () => socket.write('GET /sign-in HTTP/1.1\r\nHost: localhost\r\n\r\n'));
    }
    const headers = { authorization: `Bearer ${token}`, connection: 'close' };
    for (let i = 0; i < 10; i++) expect((await fetch(`${url}/api/streams`, { headers })).status).toBe(200);
    await waitFor('the closed ones', () => sockets.filter((socket) => socket.readyState === 'closed').length >= 40);
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

describe('the caps of connections', () => {
  const incidents = new Incidents();
  class Client extends EventEmitter {
    readonly remoteAddress: string;
    readonly remotePort: number;
    isOpen = true;
    constructor(remoteAddress: string, remotePort: number) {
      super();
      this.remoteAddress = remoteAddress;
      this.remotePort = remotePort;
    }
    destroy(): void {
      this.isOpen = false;
      queueMicrotask(() => this.emit('close'));
    }
  }
  let ports = 0;
  const rig = (total: number, perAddress: number) => {
    const server = new EventEmitter();
    const limits = { total, perAddress, unproven: Math.ceil(total / 4) };
    const caps = new ConnectionCaps(server as Server, limits, incidents);
    const add = (address: string, owner: string | null = null): Client => {
      const client = new Client(address, ++ports);
      server.emit('connection', client);
      if (owner !== null) caps.prove(client, owner);
      return client;
    };
    const many = (count: number, address: (i: number) => string, owner: string | null = null): Client[] =>
      Array.from({ length: count }, (_, i) => add(address(i), owner));
    return { caps, add, many };
  };
  const openOf = (clients: readonly Client[]): number => clients.filter(({ isOpen }) => isOpen).length;

  it('displace first the strangers of the address that has most, so a flood from one leaves those of others', () => {
    const { add, many } = rig(40, 1_000);
    const stranger = add('192.0.2.9');
    const flood = many(500, () => '192.0.2.1');
    expect([stranger.isOpen, openOf(flood)]).toEqual([true, 9]);
  });

  it('count the addresses of one IPv6 network as one', () => {
    const { many } = rig(1_000, 6);
    expect(openOf(many(50, (i) => `2001:db8:1:2::${i + 1}`))).toBe(6);
  });

  it('never displace a connection with a token for one without, however many come', () => {
    const { many, caps } = rig(20, 1_000);
    const users = many(20, (i) => `192.0.2.${i}`, 'token');
    const strangers = many(300, (i) => `198.51.100.${i % 250}`);
    expect([openOf(users), openOf(strangers), caps.count]).toEqual([20, 4, 24]);
  });

  it('let somebody with another token in behind the same proxy, when one token has used up all connections', () => {
    const { add, many } = rig(1_000, 128);
    const viewer = many(128, () => '192.0.2.1', 'viewer');
    const admin = add('192.0.2.1', 'admin');
    expect([admin.isOpen, openOf(viewer), viewer[0]!.isOpen]).toEqual([true, 127, false]);
    expect(() => add('192.0.2.1', 'viewer')).toThrow(/more than 128 from 192\.0\.2\.1/);
  });

  it('do not let tokens displace each other without end', () => {
    const { add, many } = rig(1_000, 10);
    const all = [...many(5, () => '192.0.2.1', 'a'), ...many(5, () => '192.0.2.1', 'b')];
    expect(() => add('192.0.2.1', 'a')).toThrow(/close one/);
    expect(openOf(all)).toBe(10);
  });

  it("count a connection as a stranger's again once its newest request has no token", () => {
    const { caps, many } = rig(40, 1_000);
    const [client] = many(1, () => '192.0.2.1', 'token') as [Client];
    caps.prove(client, null);
    many(20, () => '192.0.2.1');
    expect(client.isOpen).toBe(false);
  });

  it('forget what is closed', async () => {
    const { caps, many } = rig(40, 1_000);
    const clients = [...many(5, () => '192.0.2.1', 'token'), ...many(5, () => '192.0.2.1')];
    for (const client of clients) client.destroy();
    await Promise.resolve();
    expect(caps.count).toBe(0);
    expect(openOf(many(10, () => '192.0.2.1'))).toBe(10);
  });
});
