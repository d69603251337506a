import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { HAS_ZSTD } from '../../../../src/base/disk/compression.ts';
import { chooseCoding } from '../../../../src/serve/gateway/compress-replies.ts';
import { FeedSocket } from '../../../support/feed-socket.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';

describe('the coding', () => {
  const known = ['zstd', 'br', 'gzip'];

  it.each<[string, string | null]>([
    ['', null],
    ['gzip', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['gzip, deflate, br, zstd', 'zstd'],
    ['GZIP', 'gzip'],
    ['gzip;q=1.0, br;q=0.5', 'gzip'],
    ['br;q=0, gzip;q=0.1', 'gzip'],
    ['*', 'zstd'],
    ['*;q=0', null],
    ['zstd;q=0, *', 'br'],
    ['deflate', null],
    ['identity', null],
    ['identity;q=1, gzip;q=0.5', null],
    ['identity;q=0.5, gzip;q=1', 'gzip'],
    ['gzip;q=x', null],
    [',,;q=1', null],
  ])('for "%s" is %s', (header, coding) => {
    expect(chooseCoding(header, known)).toBe(coding);
  });
});

interface Reply {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** `fetch` would decompress. */
function get(url: string, encodings: string, method = 'GET', etag?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(encodings === '' ? {} : { 'accept-encoding': encodings }),
      ...(etag === undefined ? {} : { 'if-none-match': etag }),
    };
    request(url, { headers, method }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    })
      .on('error', reject)
      .end();
  });
}

const DECODERS: Readonly<Record<string, (body: Buffer) => Buffer>> = {
  gzip: zlib.gunzipSync,
  br: zlib.brotliDecompressSync,
  ...(HAS_ZSTD
    ? { zstd: (zlib as unknown as { zstdDecompressSync: (body: Buffer) => Buffer }).zstdDecompressSync }
    : {}),
};

describe('answers of REST', () => {
  const port = new RuntimeDouble(Array.from({ length: 20 }, (_, index) => `camera-${index}`));

  it.each(Object.keys(DECODERS))('have the same content in %s, and are smaller', async (coding) => {
    const { url } = await openGateway(port);
    const { headers, body } = await get(`${url}/api/streams`, coding);
    expect(headers['content-encoding']).toBe(coding);
    expect(headers.vary).toBe('accept-encoding');
    expect(headers['content-length']).toBe(String(body.length));
    const text = DECODERS[coding]!(body);
    expect(JSON.parse(text.toString())).toEqual(port.report());
    expect(body.length).toBeLessThan(text.length / 4);
  });

  it('are as they are for a client that accepts nothing else', async () => {
    const { url } = await openGateway(port);
    for (const encodings of ['', 'identity', 'gzip;q=0']) {
      const { headers, body } = await get(`${url}/api/streams`, encodings);
      expect(headers['content-encoding']).toBeUndefined();
      expect(headers.vary).toBe('accept-encoding');
      expect(JSON.parse(body.toString())).toEqual(port.report());
    }
  });

  it('below 1 KiB are never compressed', async () => {
    const { url } = await openGateway(port);
    for (const path of ['/healthz', '/api/streams/gone']) {
      const { headers, body } = await get(url + path, 'gzip, br, zstd');
      expect(headers['content-encoding']).toBeUndefined();
      expect(typeof JSON.parse(body.toString())).toBe('object');
    }
  });

  it('include metrics, and a HEAD request gets the headers of GET', async () => {
    const { url } = await openGateway(port);
    const { headers, body } = await get(`${url}/metrics`, 'gzip');
    expect(headers['content-encoding']).toBe('gzip');
    expect(zlib.gunzipSync(body).toString()).toContain('sightline_ready 1');
    const head = await get(`${url}/api/streams`, 'gzip', 'HEAD');
    expect([head.headers['content-encoding'], head.body.length]).toEqual(['gzip', 0]);
  });

  it('keep the security headers', async () => {
    const { url } = await openGateway(port);
    const { headers } = await get(`${url}/api/streams`, 'gzip');
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['x-content-type-options']).toBe('nosniff');
  });
});

describe('files of the dashboard', () => {
  const app = readFileSync(new URL('../../../../web/app.js', import.meta.url));
  const port = new RuntimeDouble(['gate']);

  it.each<[string, string, (bytes: Uint8Array) => Buffer]>([
    ['gzip', 'gzip', zlib.gunzipSync],
    ['gzip, deflate, br, zstd', 'br', zlib.brotliDecompressSync],
  ])('are sent compressed for "%s", again and again', async (accepted, coding, decompress) => {
    const { url } = await openGateway(port);
    for (let i = 0; i < 3; i++) {
      const { headers, body } = await get(`${url}/app.js?v=${i}`, accepted);
      expect(headers).toMatchObject({
        'content-encoding': coding,
        vary: 'accept-encoding',
        'cache-control': 'no-cache',
      });
      expect(headers['content-length']).toBe(String(body.length));
      expect(body.length).toBeLessThan(app.length / 2);
      expect(decompress(body)).toEqual(app);
    }
  });

  it('are validated by one ETag, whatever their coding', async () => {
    const { url } = await openGateway(port);
    const plain = await get(`${url}/app.js`, 'identity');
    expect([plain.headers['content-encoding'], plain.headers.vary]).toEqual([undefined, 'accept-encoding']);
    expect(plain.body).toEqual(app);
    const etag = String((await get(`${url}/app.js`, 'br')).headers.etag);
    expect(etag).toBe(plain.headers.etag);
    expect(etag).toMatch(/^W\//);
    const again = await get(`${url}/app.js`, 'br', 'GET', etag);
    expect([again.status, again.body.length, again.headers['content-encoding']]).toEqual([304, 0, undefined]);
  });

  it('that have changed are compressed anew', async () => {
    const webDir = mkdtempSync(join(tmpdir(), 'sightline-web-'));
    try {
      const path = join(webDir, 'index.html');
      writeFileSync(path, 'before '.repeat(500));
      const { url } = await openGateway(port, { webDir });
      const shown = async () => zlib.brotliDecompressSync((await get(`${url}/`, 'br')).body).toString();
      expect(await shown()).toMatch(/^before /);
      writeFileSync(path, 'afterwards '.repeat(500));
      expect(await shown()).toMatch(/^afterwards /);
    } finally {
      rmSync(webDir, { recursive: true });
    }
  });

  it('of less than 1 KiB, parts of files, and HEAD are as they are', async () => {
    const { url } = await openGateway(port);
    expect((await get(`${url}/gateway.js`, 'br')).headers['content-encoding']).toBeUndefined();
    const part = await fetch(`${url}/app.js`, { headers: { range: 'bytes=0-1999' } });
    expect([part.status, part.headers.get('content-encoding')]).toEqual([206, null]);
    expect(await part.text()).toBe(app.toString('latin1', 0, 2000));
    expect((await get(`${url}/app.js`, 'br', 'HEAD')).headers['content-encoding']).toBeUndefined();
  });
});

describe('the WebSocket', () => {
  it('is not compressed, even if the client offers it', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    const client = await FeedSocket.open(url, {
      'sec-websocket-extensions': 'permessage-deflate',
      'accept-encoding': 'gzip',
    });
    expect(client.socket.extensions).toBe('');
    client.socket.close();
  });
});
