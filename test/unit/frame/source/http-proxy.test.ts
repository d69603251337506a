import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { openSource } from '../../../../src/frame/source/open/open-source.ts';
import type { OpenedSource } from '../../../../src/frame/source/open/opened-source.ts';
import { parseSource } from '../../../../src/frame/source/parse-source.ts';

const OPTIONS = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 } as const;

describe('HttpProxy', () => {
  let server: Server;
  let opened: OpenedSource;
  afterEach(() => {
    opened.close();
    server.close();
    server.closeAllConnections();
  });

  async function open(answer: Parameters<typeof createServer>[1]): Promise<void> {
    server = createServer(answer);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    opened = await openSource(parseSource(`http://127.0.0.1:${port}/live.ts`, OPTIONS));
  }

  /** Asks the proxy as ffmpeg does. */
  async function ask(url = opened.source.url): Promise<IncomingMessage> {
    const { port } = new URL(opened.source.proxyUrl!);
    const request = get({ host: '127.0.0.1', port, path: url, agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return response;
  }

  it('slows a server down whose reader is slow', async () => {
    let sentBytes = 0;
    const chunk = Buffer.alloc(64 * 1024);
    await open((_, response) => {
      const send = (): void => {
        do sentBytes += chunk.length;
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', send);
      send();
    });
    const response = await ask();
    response.pause();
    let before = -1;
    // The system holds some megabytes for two connections; this process adds no more than its two buffers.
    await expect
      .poll(
        () => {
          const isSteady = sentBytes === before;
          before = sentBytes;
          return isSteady;
        },
        { interval: 300, timeout: 10_000 },
      )
      .toBe(true);
    expect(sentBytes).toBeLessThan(64 * 1024 * 1024);
    response.resume();
    await expect.poll(() => sentBytes).toBeGreaterThan(before);
  });

  it('passes on each part of a live picture as it comes', async () => {
    let more: ((text: string) => void) | undefined;
    await open((_, response) => {
      response.write('first part');
      more = (text) => response.write(text);
    });
    const response = await ask();
    const [first] = (await once(response, 'data')) as [Buffer];
    expect(first.toString()).toBe('first part');
    more!('second');
    const [second] = (await once(response, 'data')) as [Buffer];
    expect(second.toString()).toBe('second');
  });

  it.each(['', 'a', '#EXTM3', '#EXTM3U', 'x'.repeat(300_000)])('passes on a body whole, however long', async (body) => {
    await open((_, response) => response.end(body));
    const response = await ask();
    let text = '';
    for await (const part of response) text += String(part);
    expect(text).toBe(body);
  });

  it.each(['000', '099'])('refuses the status %s of a server, which HTTP does not have', async (status) => {
    const hostile = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(`HTTP/1.1 ${status} Odd\r\nContent-Length: 20\r\n\r\n${'x'.repeat(20)}`));
    });
    await open(() => undefined);
    opened.close();
    hostile.listen(0, '127.0.0.1');
    await once(hostile, 'listening');
    opened = await openSource(
      parseSource(`http://127.0.0.1:${(hostile.address() as AddressInfo).port}/live.ts`, OPTIONS),
    );
    expect((await ask()).statusCode).toBe(502);
    expect(opened.failure).toMatchObject({ code: 'SOURCE_UNREACHABLE', message: expect.stringContaining('status') });
    hostile.close();
  });

  it('ends the request to the server when its reader goes away', async () => {
    let isClosed = false;
    await open((_, response) => {
      response.write('the first part');
      response.on('close', () => {
        isClosed = true;
      });
    });
    (await ask()).destroy();
    await expect.poll(() => isClosed).toBe(true);
  });

  it('ends what it passes on when it is closed', async () => {
    await open((_, response) => response.write('the first part'));
    const response = (await ask()).resume();
    const failed = once(response, 'error');
    opened.close();
    const [error] = (await failed) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
  });

  it('does not call it a failure that it was closed', async () => {
    let isAsked = false;
    await open(() => {
      isAsked = true;
    });
    const failed = ask().catch((error: NodeJS.ErrnoException) => error.code);
    await expect.poll(() => isAsked).toBe(true);
    opened.close();
    expect(await failed).toBe('ECONNRESET');
    expect(opened.failure).toBeNull();
  });

  it('keeps a connection to the server for the next request', async () => {
    const ports = new Set<number | undefined>();
    await open((request, response) => {
      ports.add(request.socket.remotePort);
      response.end('x');
    });
    for (let i = 0; i < 3; i++) await once((await ask()).resume(), 'end');
    expect(ports.size).toBe(1);
  });

  it('answers a redirect with a masked address that leads to the same place', async () => {
    await open((request, response) => {
      if (request.url === '/live.ts') response.writeHead(302, { location: '/other.ts' }).end('moved');
      else response.end('the other');
    });
    const moved = (await ask()).resume();
    expect([moved.statusCode, moved.headers['content-length']]).toEqual([302, '0']);
    expect(moved.headers.location).toMatch(/^http:\/\/[^/]+\.invalid:\d+\/other\.ts$/);
    const other = await ask(moved.headers.location!);
    expect((await other.setEncoding('utf8').toArray()).join('')).toBe('the other');
  });

  it('hides the host that a redirect to https leads to as well, and asks it by TLS', async () => {
    await open((_, response) => response.writeHead(307, { location: 'https://127.0.0.1:1/a b?c' }).end());
    const moved = (await ask()).resume();
    expect(moved.headers.location).toMatch(/^http:\/\/s[^/]+\.invalid:1\/a%20b\?c$/);
    expect((await ask(moved.headers.location!)).statusCode).toBe(502);
    expect(opened.failure).toMatchObject({ message: expect.stringContaining('127.0.0.1:1: connection refused') });
  });

  it('gives ffmpeg the user and the rest of the address as they were written', async () => {
    await open(() => undefined);
    opened.close();
    opened = await openSource(parseSource('http://user:pa%40ss@camera.example:81/a b?c=http://x/#d', OPTIONS));
    expect(opened.source.url).toMatch(
      /^http:\/\/user:pa%40ss@h[0-9a-f]+\.[0-9a-f]+\.invalid:81\/a b\?c=http:\/\/x\/#d$/,
    );
  });

  it('leaves out headers that cannot be passed on, and the domains of cookies: hosts are masked', async () => {
    const odd = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      const headers = [
        'X-Odd: a\x01b',
        'X-Even: ab',
        'Set-Cookie: a=1; Domain=camera.example; Path=/',
        'Connection: close',
      ];
      socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\n${headers.join('\r\n')}\r\n\r\nbody`));
    });
    await open(() => undefined);
    opened.close();
    odd.listen(0, '127.0.0.1');
    await once(odd, 'listening');
    opened = await openSource(parseSource(`http://127.0.0.1:${(odd.address() as AddressInfo).port}/live.ts`, OPTIONS));
    const { headers } = (await ask()).resume();
    expect([headers['x-odd'], headers['x-even'], headers['set-cookie']]).toEqual([undefined, 'ab', ['a=1; Path=/']]);
    odd.close();
  });

  it('passes on the cookies of a redirect, and none of its other headers', async () => {
    await open((_, response) =>
      response.writeHead(302, { location: '/b', 'set-cookie': ['a=1', 'b=2'], 'x-other': 'c' }).end(),
    );
    const { headers } = (await ask()).resume();
    expect([headers['set-cookie'], headers['x-other']]).toEqual([['a=1', 'b=2'], undefined]);
  });

  it('refuses a redirect that leads to a file', async () => {
    await open((_, response) => response.writeHead(301, { location: 'file:///etc/passwd' }).end());
    expect((await ask()).statusCode).toBe(502);
    expect(opened.failure).toMatchObject({ code: 'SOURCE_FORBIDDEN', message: expect.stringContaining('redirects') });
  });

  it.each([
    ['an address that it did not mask', 'http://127.0.0.1:1/'],
    ['an address masked by another', 'http://h3132372e302e302e31.0123456789abcdef.invalid:1/'],
    ['no address', '/live.ts'],
  ])('opens nothing for %s', async (_, url) => {
    await open((_request, response) => response.end('x'));
    expect((await ask(url)).statusCode).toBe(502);
    expect(opened.failure).toMatchObject({ code: 'SOURCE_FORBIDDEN' });
  });

  it('opens nothing for a masked address inside of another', async () => {
    await open((_, response) => response.end('x'));
    expect((await ask(`ftp://x/${opened.source.url}`)).statusCode).toBe(502);
    expect(opened.failure).toMatchObject({ code: 'SOURCE_FORBIDDEN' });
  });

  it('says why a server cannot be reached, until it can', async () => {
    await open((_, response) => response.end('x'));
    const { port } = server.address() as AddressInfo;
    server.close();
    server.closeAllConnections();
    expect((await ask()).statusCode).toBe(502);
    expect(opened.failure).toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      message: `http://127.0.0.1:${port}/live.ts: 127.0.0.1:${port}: connection refused`,
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    expect((await ask()).statusCode).toBe(200);
    expect(opened.failure).toBeNull();
  });
});
