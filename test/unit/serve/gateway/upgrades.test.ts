import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { FeedSocket, upgradeStatus } from '../../../support/feed-socket.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';

const HANDSHAKE = [
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

interface Refusal {
  readonly status: number;
  readonly body: string;
}

/** Sends an upgrade and waits until the gateway closes the socket; this side never does. */
function refusalOf(port: number, requestLine: string, headers: readonly string[] = HANDSHAKE): Promise<Refusal> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${[requestLine, ...headers].join('\r\n')}\r\n\r\n`));
    let reply = '';
    socket.setEncoding('utf8').on('data', (text) => {
      reply += text;
    });
    socket.on('close', () => {
      resolve({ status: Number(reply.split(' ', 2)[1]), body: reply.split('\r\n\r\n').slice(1).join('') });
    });
    socket.on('error', reject);
  });
}

describe('an upgrade that is not for the feed', () => {
  it.each([
    ['GET /nowhere HTTP/1.1', 404, 'ROUTE_NOT_FOUND', 'WebSocket /nowhere: no such feed. The feed is at /ws.'],
    ['GET /api/streams HTTP/1.1', 404, 'ROUTE_NOT_FOUND', 'WebSocket /api/streams: no such feed. The feed is at /ws.'],
    ['GET /%77s HTTP/1.1', 404, 'ROUTE_NOT_FOUND', 'WebSocket /%77s: no such feed. The feed is at /ws.'],
    ['POST /ws HTTP/1.1', 404, 'ROUTE_NOT_FOUND', 'POST /ws: no such route.'],
    ['GET /ws%zz HTTP/1.1', 400, 'PROTOCOL_INVALID', "GET URL: '/ws%zz' is not a valid url component"],
    [`GET /api/streams/${'a'.repeat(500)} HTTP/1.1`, 414, 'PROTOCOL_INVALID', 'exceeding the max param length'],
  ])('%s is answered with %i and JSON, and the socket is closed', async (line, status, code, message) => {
    const { port } = await openGateway(new RuntimeDouble());
    const refusal = await refusalOf(port, line);
    expect(refusal.status).toBe(status);
    const { error } = JSON.parse(refusal.body) as { error: { code: string; message: string } };
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
  });

  it('closes the socket if the handshake is incomplete', async () => {
    const { port } = await openGateway(new RuntimeDouble());
    const withoutKey = HANDSHAKE.slice(0, -1);
    expect((await refusalOf(port, 'GET /ws HTTP/1.1', withoutKey)).status).toBe(400);
  });

  it('does not keep the gateway from stopping', async () => {
    const gateway = await openGateway(new RuntimeDouble());
    await Promise.all(['/%zz', '/nowhere'].map((path) => refusalOf(gateway.port, `GET ${path} HTTP/1.1`)));
    await gateway.close();
  });
});

it('an unknown path is answered with the nearest route that answers on this gateway', async () => {
  const { url } = await openGateway(new RuntimeDouble());
  const suggested = async (path: string): Promise<string | undefined> => {
    const { error } = (await (await fetch(`${url}${path}`)).json()) as { error: { message: string } };
    return /Did you mean (.*?)\?/.exec(error.message)?.[1];
  };
  expect(await suggested('/api/stream')).toBe('GET /api/streams');
  // Without a fleet and roll-outs their routes only say so.
  for (const path of ['/api/nope', '/api/job', '/api/scal', '/api/fleets', '/api/rolluots']) {
    const route = await suggested(path);
    if (route === undefined) continue;
    const [method, nearest] = route.split(' ') as [string, string];
    const reply = await fetch(`${url}${nearest}`, { method });
    expect(await reply.text(), `${path}: ${route}`).not.toContain('ROUTE_NOT_FOUND');
  }
});

describe('the feed', () => {
  it('accepts no more clients than allowed, and a new one once another has left', async () => {
    const { url, port } = await openGateway(new RuntimeDouble(), { maxClients: 2 });
    const clients = await Promise.all([FeedSocket.open(url), FeedSocket.open(url)]);

    const refusal = await refusalOf(port, 'GET /ws HTTP/1.1');
    expect(refusal.status).toBe(503);
    expect(JSON.parse(refusal.body)).toMatchObject({
      error: { code: 'PROTOCOL_INVALID', message: expect.stringContaining('expected at most 2 clients at once') },
    });

    clients[0]!.socket.terminate();
    await clients[0]!.closed();
    await expect.poll(() => upgradeStatus(`${url}/ws`)).toBe(101);
  });

  it('accepts exactly the allowed number of clients that arrive together', async () => {
    const { url } = await openGateway(new RuntimeDouble(), { maxClients: 3 });
    const sockets = Array.from({ length: 12 }, () => new FeedSocket(`${url}/ws`));
    await Promise.all(
      sockets.map((socket) => socket.until(() => socket.messages.length > 0 || socket.closeCode !== null)),
    );
    expect(sockets.filter(({ messages }) => messages.length > 0)).toHaveLength(3);
    for (const { socket } of sockets) socket.terminate();
  });

  it('answers a plain request to its path with 404', async () => {
    const { url } = await openGateway(new RuntimeDouble());
    const reply = await fetch(`${url}/ws`);
    expect(reply.status).toBe(404);
    expect(await reply.json()).toMatchObject({ error: { code: 'ROUTE_NOT_FOUND' } });
  });
});
