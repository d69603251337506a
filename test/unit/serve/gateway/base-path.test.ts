import { describe, expect, it } from 'vitest';
import { requestGateway } from '../../../../src/serve/gateway/request-gateway.ts';
import { gatewayConfig } from '../../../../src/settings/config/gateway.ts';
import { SightlineClient } from '../../../../src/wire/client/sightline-client.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { openProxy } from '../../../support/path-proxy.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';

const TOKEN = 'a-token-of-twenty-characters';

const PROXIES = [
  ['passes the path on', { basePath: '/cams' }, { path: '/cams' }],
  ['removes the path', {}, { path: '/cams', removesPath: true }],
  ['passes a path of two parts on', { basePath: '/video/cams' }, { path: '/video/cams' }],
] as const;

describe.each(PROXIES)('behind a proxy that %s', (_, options, proxy) => {
  const open = async (more = {}): Promise<string> => {
    const { url } = await openGateway(new RuntimeDouble(['gate']), { ...options, ...more });
    return `${await openProxy(url, proxy)}${proxy.path}`;
  };

  it('the page, its files, REST and the client are there', async () => {
    const url = await open();
    const page = await (await fetch(`${url}/`)).text();
    const links = [...page.matchAll(/(?:href|src)="([^"#]+)"/g)].map(([, link]) => link!);
    expect(links.length).toBeGreaterThan(5);
    const later = [
      'camera-page.js',
      'system-page.js',
      'vendor/lit/lit-html.js',
      'lib/client/index.js',
      'lib/wire/client/msgpack.js',
    ];
    for (const link of [...links, ...later])
      expect([link, (await fetch(new URL(link, `${url}/`))).status]).toEqual([link, 200]);
    const scripts = await (await fetch(`${url}/lib/wire/client/msgpack.js`)).text();
    const [, module] = /from '([^']+)'/.exec(scripts)!;
    expect((await fetch(new URL(module!, `${url}/lib/wire/client/msgpack.js`))).status).toBe(200);
  });

  it('the client follows the feed and changes streams', async () => {
    const url = await open();
    await using client = new SightlineClient({ url });
    for await (const { streams } of client.stats()) {
      expect(streams.map(({ id }) => id)).toEqual(['gate']);
      break;
    }
    expect(await client.streams.pause('gate')).toMatchObject({ state: 'paused' });
    const listed = await requestGateway({ url, token: null, ca: null }, { method: 'GET', path: '/api/streams' });
    expect(listed).toMatchObject({ streams: [{ id: 'gate' }] });
  });

  it('a new stream is where the reply says', async () => {
    const url = await open();
    const headers = { 'content-type': 'application/json' };
    const added = await fetch(`${url}/api/streams`, {
      method: 'POST',
      headers,
      body: '{"id":"yard","source":"a.mp4"}',
    });
    const location = new URL(added.headers.get('location')!, added.url);
    expect((await fetch(location)).status).toBe(200);
  });

  it('signing in leads to the page, with a cookie for it', async () => {
    const url = await open({ token: TOKEN });
    const refused = await fetch(`${url}/`, { headers: { accept: 'text/html' } });
    const [, action] = /action="([^"]+)"/.exec(await refused.text())!;
    const signedIn = await fetch(new URL(action!, `${url}/`), {
      method: 'POST',
      body: new URLSearchParams({ token: TOKEN }),
      redirect: 'manual',
    });
    expect(new URL(signedIn.headers.get('location')!, signedIn.url).href).toBe(`${url}/`);
    const [cookie, ...attributes] = signedIn.headers.get('set-cookie')!.split('; ');
    const path = attributes.find((each) => each.startsWith('Path='))!.slice('Path='.length);
    expect(`${proxy.path}/`.startsWith(path)).toBe(true);
    const page = await fetch(`${url}/`, { headers: { accept: 'text/html', cookie: cookie! } });
    expect(page.status).toBe(200);
  });
});

describe('a base path', () => {
  it('without the slash at its end leads to the page, with its query', async () => {
    const { url } = await openGateway(new RuntimeDouble(), { basePath: '/cams' });
    expect(url).toMatch(/\/cams$/);
    const reply = await fetch(`${url}?token=x`, { redirect: 'manual' });
    expect([reply.status, reply.headers.get('location')]).toEqual([308, '/cams/?token=x']);
  });

  it('is not needed for a probe of the process itself', async () => {
    const { url } = await openGateway(new RuntimeDouble(), { basePath: '/cams' });
    expect((await fetch(new URL('/healthz', url))).status).toBe(200);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(new URL('/camshealthz', url))).status).toBe(404);
  });

  it('bounds the cookie, so that other applications of the host do not get it', async () => {
    const { url } = await openGateway(new RuntimeDouble(), { basePath: '/cams', token: TOKEN });
    const reply = await fetch(`${url}/?token=${TOKEN}`);
    expect(reply.headers.get('set-cookie')).toMatch(/; Path=\/cams\/;/);
  });

  it.each(['cams', '/cams/', '/', '/../cams', '/a b', '/api', '/ws', '/lib/x', '//cams'])(
    '"%s" is refused',
    (basePath) => {
      expect(gatewayConfig.safeParse({ basePath }).success).toBe(false);
    },
  );
});

describe('a frame of another page', () => {
  const policyOf = async (url: string): Promise<string> =>
    (await fetch(url)).headers.get('content-security-policy') ?? '';

  it('is refused unless its origin is listed', async () => {
    const closed = await openGateway(new RuntimeDouble());
    expect(await policyOf(closed.url)).toMatch(/frame-ancestors 'none'$/);
    const shown = await openGateway(new RuntimeDouble(), {
      frameAncestors: ['https://home.example', 'http://tv:8123'],
    });
    expect(await policyOf(shown.url)).toMatch(/frame-ancestors https:\/\/home\.example http:\/\/tv:8123$/);
  });
});

describe('a page whose origin the gateway refuses', () => {
  it('learns why from OPTIONS /ws, which its own origin and a program may ask, too', async () => {
    const { url } = await openGateway(new RuntimeDouble());
    const ask = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${url}/ws`, { method: 'OPTIONS', headers });
    const refused = await ask({ origin: 'https://video.example' });
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({
      error: {
        code: 'ORIGIN_REFUSED',
        message: expect.stringContaining('List "https://video.example" in gateway.allowedOrigins'),
      },
    });
    expect((await ask({ origin: url })).status).toBe(204);
    expect((await ask({})).status).toBe(204);
  });
});
