import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { SightlineClient } from '../../../../src/wire/client/index.ts';
import { openClient } from '../../../support/open-clients.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A server that takes requests and never answers. */
async function openSilent(): Promise<{ url: string; asked: Promise<void>; ended: Promise<void> }> {
  const server = createServer();
  servers.push(server);
  const taken = new Promise<{ ended: Promise<void> }>((resolve) =>
    server.once('request', (request) =>
      resolve({ ended: new Promise<void>((done) => request.socket.once('close', () => done())) }),
    ),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, asked: taken.then(() => undefined), ended: taken.then(({ ended }) => ended) };
}

describe('a client that is closed', () => {
  it('ends its requests in flight, and refuses later ones before they are sent', async () => {
    const { url, asked, ended } = await openSilent();
    let sent = 0;
    const count: typeof fetch = (...call) => {
      sent += 1;
      return fetch(...call);
    };
    const client = openClient(url, { fetch: count });
    const told = client.health().catch((error: unknown) => error);
    await asked;
    client.close();
    const closed = expect.objectContaining({ name: 'TypeError', message: 'the client was closed' });
    expect(await told).toEqual(closed);
    await ended;
    expect(await client.models().catch((error: unknown) => error)).toEqual(closed);
    expect(sent).toBe(1);
  });
});

describe('options of a wrong kind are refused, with what was expected and what came', () => {
  it.each([
    [undefined, /^url: expected an address such as .*, received nothing$/],
    [null, /^url: .*received nothing$/],
    [{}, /^url: .*received nothing$/],
    [{ url: 'nope' }, /^url: .*received "nope"$/],
    [{ url: 'ftp://gate' }, /^url: .*received "ftp:\/\/gate"$/],
    [{ url: 7 }, /^url: .*received 7$/],
    [{ url: 'http://gate', format: 'xml' }, /^format: expected "msgpack" or "json", received "xml"$/],
  ])('of a client: %j', (options, text) => {
    const make = (): SightlineClient => new SightlineClient(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(text);
  });

  it.each([
    [{ queueSize: 0 }, /^queueSize: expected a whole number from 1, received 0$/],
    [{ queueSize: -1 }, /^queueSize: .*received -1$/],
    [{ queueSize: 'x' }, /^queueSize: .*received "x"$/],
    [{ streams: 'door' }, /^streams: expected a list of ids, received "door"$/],
    [{ signal: {} }, /^signal: expected an AbortSignal$/],
  ])('of a subscription: %j', (options, text) => {
    const client = openClient('http://127.0.0.1:9');
    for (const subscribe of ['results', 'stats', 'previews'] as const) {
      const call = (): unknown => client[subscribe](options as never);
      expect(call).toThrow(TypeError);
      expect(call).toThrow(text);
    }
  });

  it('of a request', async () => {
    const client = openClient('http://127.0.0.1:9');
    await expect(client.health({ signal: {} } as never)).rejects.toThrow(/^signal: expected an AbortSignal$/);
  });
});
