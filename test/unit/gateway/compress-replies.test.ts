import { request } from 'node:http';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { HAS_ZSTD } from '../../../src/disk/compression.ts';
import { chooseCoding } from '../../../src/gateway/compress-replies.ts';
import { FeedSocket } from '../../support/feed-socket.ts';
import { openGateway } from '../../support/open-gateways.ts';
import { RuntimeDouble } from '../../support/runtime-double.ts';

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
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** `fetch` would decompress. */
function get(url: string, encodings: string, method = 'GET'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = encodings === '' ? {} : { 'accept-encoding': encodings };
    request(url, { headers, method }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks) }));
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

  it('keep the security headers, and files of the dashboard are left alone', async () => {
    const { url } = await openGateway(port);
    const { headers } = await get(`${url}/api/streams`, 'gzip');
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['x-content-type-options']).toBe('nosniff');
    const page = await get(`${url}/app.js`, 'gzip');
    expect(page.headers['content-encoding']).toBeUndefined();
    expect(page.body.toString()).toContain('import');
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
