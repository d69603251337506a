import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { startGateway } from '../../../../src/serve/gateway/server.ts';
import { FeedSocket, upgradeStatus } from '../../../support/feed-socket.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';

const TOKEN = 'correct horse battery staple';

/** Needed because `fetch` does not allow setting the Host header. */
function statusFor(url: string, headers: Record<string, string>, method = 'GET'): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers, method }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** Sends a path unchanged. HTTP clients normalise paths, but an attacker does not. */
function rawStatusLine(port: number, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    let reply = '';
    socket.setEncoding('utf8').on('data', (text) => {
      reply += text;
    });
    socket.on('end', () => resolve(reply.split('\r\n', 1)[0]!));
    socket.on('error', reject);
  });
}

describe('token', () => {
  it('is required to listen beyond loopback', async () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.7']) {
      const start = startGateway(new RuntimeDouble(), { host, port: 0, token: '' });
      await expect(start).rejects.toMatchObject({ code: 'TOKEN_REQUIRED' });
    }
  });

  it('is accepted everywhere in a header, and in the query only for the page and the feed', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']), { token: TOKEN });
    const bearer = { authorization: `Bearer ${TOKEN}` };
    const query = `?token=${encodeURIComponent(TOKEN)}`;

    const statuses = async (paths: string[], headers: Record<string, string>): Promise<number[]> =>
      Promise.all(paths.map((path) => statusFor(url + path, headers)));
    const paths = ['/', '/app.js', '/api/streams', '/metrics', '/api/models'];
    expect(await statuses(paths, {})).toEqual([401, 401, 401, 401, 401]);
    expect(await statuses(paths, { authorization: 'Bearer wrong' })).toEqual([401, 401, 401, 401, 401]);
    expect(await statuses(paths, bearer)).toEqual([200, 200, 200, 200, 200]);
    expect(await statuses([`/${query}`, `/api/streams${query}`, '/healthz'], {})).toEqual([200, 401, 200]);

    expect(await upgradeStatus(`${url}/ws`)).toBe(401);
    expect(await upgradeStatus(`${url}/ws?token=wrong`)).toBe(401);
    expect(await upgradeStatus(`${url}/ws${query}`)).toBe(101);
    expect(await upgradeStatus(`${url}/ws`, bearer)).toBe(101);
  });

  it('is not needed to learn if it is ready, but to learn why', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port, { token: TOKEN });
    const ready = async (headers: Record<string, string> = {}): Promise<unknown> => {
      const reply = await fetch(`${url}/readyz`, { headers });
      return [reply.status, reply.status === 401 ? null : await reply.json()];
    };
    const bearer = { authorization: `Bearer ${TOKEN}` };
    port.ready = { isReady: true, isDegraded: true, reason: 'sink /srv/a.jsonl cannot write' };
    expect(await ready()).toEqual([200, { status: 'ready' }]);
    expect(await ready(bearer)).toEqual([200, { status: 'degraded', reason: 'sink /srv/a.jsonl cannot write' }]);
    expect(await ready({ authorization: 'Bearer wrong' })).toEqual([401, null]);
    port.ready = { isReady: false, reason: 'the disk does not answer' };
    expect(await ready()).toEqual([503, { status: 'not-ready' }]);
    expect(await ready(bearer)).toEqual([503, { status: 'not-ready', reason: 'the disk does not answer' }]);
  });

  it('cannot be bypassed with a path that resembles an open one', async () => {
    const { port } = await openGateway(new RuntimeDouble(['gate']), { token: TOKEN });
    for (const path of [
      '/api/streams/..\\..\\healthz',
      '//x/healthz',
      '/api/../healthz',
      '//',
      '/healthz/../metrics',
    ]) {
      const head = await rawStatusLine(port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      expect([path, head]).toEqual([path, 'HTTP/1.1 401 Unauthorized']);
    }
  });

  it('is requested with a page from browsers and with JSON from other clients', async () => {
    const { url } = await openGateway(new RuntimeDouble(), { token: TOKEN });
    const browser = await fetch(url, { headers: { accept: 'text/html' } });
    const service = await fetch(`${url}/api/streams`);

    expect(browser.status).toBe(401);
    expect(await browser.text()).toContain('name="token"');
    expect(await service.json()).toMatchObject({ error: { code: 'UNAUTHORIZED' } });
    expect(service.headers.get('www-authenticate')).toContain('Bearer');
  });

  it('sets a cookie that opens the page, is hidden from scripts and is not the token itself', async () => {
    const { url } = await openGateway(new RuntimeDouble(), { token: TOKEN });
    const page = await fetch(`${url}/?token=${encodeURIComponent(TOKEN)}`);
    const cookie = page.headers.get('set-cookie') ?? '';

    expect(cookie).toMatch(/HttpOnly; SameSite=Strict/);
    expect(decodeURIComponent(cookie)).not.toContain(TOKEN);
    const pair = cookie.split(';')[0]!;
    expect(await statusFor(`${url}/app.js`, { cookie: pair })).toBe(200);
    expect(await upgradeStatus(`${url}/ws`, { cookie: pair })).toBe(101);
    expect(await statusFor(`${url}/app.js`, { cookie: `${pair}x` })).toBe(401);
  });
});

describe('foreign pages', () => {
  it('can neither open the feed nor change anything', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1']) {
      expect(await upgradeStatus(`${url}/ws`, { origin })).toBe(403);
      expect(await statusFor(`${url}/api/streams/gate/pause`, { origin }, 'POST')).toBe(403);
      expect(await statusFor(`${url}/api/streams/gate`, { origin }, 'DELETE')).toBe(403);
    }
    expect(port.calls).toEqual([]);

    expect(await upgradeStatus(`${url}/ws`, { origin: url })).toBe(101);
    expect(await statusFor(`${url}/api/streams/gate/pause`, { origin: url }, 'POST')).toBe(200);
  });

  it('cannot reach a loopback gateway under their own host name', async () => {
    const { url, port } = await openGateway(new RuntimeDouble());
    for (const host of ['rebound.example', `rebound.example:${port}`, 'localhost.evil.example']) {
      expect(await statusFor(`${url}/api/streams`, { host })).toBe(403);
    }
    for (const host of ['localhost', `localhost:${port}`, '127.0.0.1', '[::1]:9']) {
      expect(await statusFor(`${url}/api/streams`, { host })).toBe(200);
    }
  });

  it('are allowed if the operator lists them, as needed for a reverse proxy', async () => {
    const { url } = await openGateway(new RuntimeDouble(), { allowedOrigins: ['https://video.example'] });
    const headers = { host: 'video.example', origin: 'https://video.example' };
    expect(await upgradeStatus(`${url}/ws`, headers)).toBe(101);
  });
});

describe('listening', () => {
  it('names a port in use and how to fix it', async () => {
    const squatter = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => squatter.once('listening', resolve));
    const { port } = squatter.address() as { port: number };
    const runtime = new RuntimeDouble();

    const start = startGateway(runtime, { port });

    await expect(start).rejects.toMatchObject({ code: 'PORT_IN_USE', details: { port } });
    await expect(start).rejects.toThrow(new RegExp(`port ${port}.*choose another port`));
    expect(runtime.listenerCount).toBe(0);
    squatter.close();
  });

  it('refuses an address that this machine does not have', async () => {
    const start = startGateway(new RuntimeDouble(), { host: '192.0.2.7', port: 0, token: TOKEN });
    await expect(start).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('closes connected clients with a close code, and closing is idempotent', async () => {
    const runtime = new RuntimeDouble(['gate']);
    const gateway = await openGateway(runtime);
    const clients = await Promise.all([FeedSocket.open(gateway.url), FeedSocket.open(gateway.url)]);
    clients[0]!.say({ type: 'subscribe', topics: ['preview'] });
    await clients[0]!.settle();

    await Promise.all([gateway.close(), gateway.close()]);
    await gateway.close();

    expect(await Promise.all(clients.map((client) => client.closed()))).toEqual([1001, 1001]);
    expect(runtime.listenerCount).toBe(0);
    expect([...runtime.watched]).toEqual([]);
    const again = await openGateway(runtime, { port: gateway.port });
    expect(again.port).toBe(gateway.port);
  });

  it('does not wait for a client that never answers the closing handshake', async () => {
    const gateway = await openGateway(new RuntimeDouble());
    const client = await FeedSocket.open(gateway.url);
    client.socket.pause();
    await gateway.close();
    client.socket.terminate();
  });
});
