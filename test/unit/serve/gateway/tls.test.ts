import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Gateway, GatewayOptions } from '../../../../src/serve/gateway/gateway-options.ts';
import { requestGateway } from '../../../../src/serve/gateway/request-gateway.ts';
import type { ServerMessage } from '../../../../src/wire/protocol/feed.ts';
import { hasOpenssl, type MadeCertificate, TestAuthority } from '../../../support/certificates.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { openGateway, openWholeGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';
import { waitFor } from '../../../support/wait-for.ts';

const TOKEN = 'a token for these tests';

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly certificate: X509Certificate;
}

describe.skipIf(!hasOpenssl)('a gateway with a certificate', () => {
  let authority: TestAuthority;
  let first: MadeCertificate;
  let second: MadeCertificate;
  let tls: { cert: string; key: string };
  beforeAll(() => {
    authority = new TestAuthority();
    tls = { cert: join(authority.folder, 'live.pem'), key: join(authority.folder, 'live.key') };
    first = authority.make();
    second = authority.make();
  });
  afterAll(() => authority.remove());
  beforeEach(() => install(first));

  function install({ cert, key }: MadeCertificate): void {
    writeFileSync(tls.cert, cert);
    writeFileSync(tls.key, key);
  }

  const open = (more: Partial<GatewayOptions> = {}): Promise<Gateway> =>
    openGateway(new RuntimeDouble(['gate']), { tls, token: TOKEN, ...more });

  function ask(url: string, method = 'GET', headers = {}, body = ''): Promise<Answer> {
    return new Promise((resolve, reject) => {
      // A new connection each time: only a handshake shows the certificate.
      const sent = request(url, { method, headers, ca: authority.ca, agent: false }, (response) => {
        const certificate = new X509Certificate((response.socket as TLSSocket).getPeerCertificate().raw);
        response
          .resume()
          .on('end', () => resolve({ status: response.statusCode!, headers: response.headers, certificate }));
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  const serialOf = ({ cert }: MadeCertificate): string => new X509Certificate(cert).serialNumber;
  const servedSerial = async (url: string): Promise<string> => (await ask(`${url}/healthz`)).certificate.serialNumber;

  it('serves page, REST and feed over it, and nothing over plain HTTP', async () => {
    const { url, port } = await open();
    expect(url).toBe(`https://127.0.0.1:${port}`);
    expect(await servedSerial(url)).toBe(serialOf(first));
    const socket = new WebSocket(`wss://127.0.0.1:${port}/ws?token=${encodeURIComponent(TOKEN)}`, { ca: authority.ca });
    const hello = await new Promise<ServerMessage>((resolve) =>
      socket.once('message', (data) => resolve(JSON.parse(String(data)))),
    );
    socket.terminate();
    expect(hello).toMatchObject({ type: 'hello', streams: ['gate'] });
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow();
  });

  it('marks its cookie as Secure', async () => {
    const { url } = await open();
    const page = await ask(`${url}/?token=${encodeURIComponent(TOKEN)}`);
    expect(page.headers['set-cookie']![0]).toMatch(/; Secure/);
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const signedIn = await ask(`${url}/sign-in`, 'POST', form, new URLSearchParams({ token: TOKEN }).toString());
    expect([signedIn.status, signedIn.headers['set-cookie']![0]]).toEqual([303, expect.stringMatching(/; Secure/)]);
  });

  it('is trusted by the client of the commands only with the authority', async () => {
    const { url } = await open();
    const get = { method: 'GET', path: '/api/streams', signal: AbortSignal.timeout(10_000) } as const;
    expect(await requestGateway({ url, token: TOKEN, ca: authority.ca }, get)).toMatchObject({
      streams: [{ id: 'gate' }],
    });
    await expect(requestGateway({ url, token: TOKEN, ca: null }, get)).rejects.toMatchObject({
      code: 'GATEWAY_UNREACHABLE',
      message: expect.stringContaining('certificate'),
    });
    await expect(requestGateway({ url, token: 'wrong', ca: authority.ca }, get)).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    });
  });

  it('uses new files without a restart, and says so', async () => {
    const runtime = new RuntimeDouble();
    const { url } = await openWholeGateway(runtime, { tls, token: TOKEN });
    install(second);
    await waitFor('the new certificate', async () => (await servedSerial(url)) === serialOf(second));
    const { events } = (await requestGateway(
      { url, token: TOKEN, ca: authority.ca },
      { method: 'GET', path: '/api/events', signal: AbortSignal.timeout(10_000) },
    )) as { events: object[] };
    expect(events).toEqual([
      expect.objectContaining({ kind: 'access-changed', message: expect.stringMatching(/certificate was read again/) }),
    ]);
  });

  it.each([
    ['files that are no certificates', () => ({ cert: 'broken', key: 'broken' })],
    ['a key of another certificate', () => ({ cert: second.cert, key: first.key })],
    ['a certificate of another key', () => ({ cert: first.cert, key: second.key })],
  ])('goes on with the old files after %s, and takes good ones after that', async (_, make) => {
    const warnings: string[] = [];
    const logger = { info() {}, error() {}, warn: (__: object, text: string) => warnings.push(text) };
    const { url } = await open({ logger });
    install(make());
    await waitFor('a warning', () => warnings.length > 0);
    expect(warnings[0]).toMatch(/previous certificate stays in use/);
    expect(await servedSerial(url)).toBe(serialOf(first));
    install(second);
    await waitFor('the new certificate', async () => (await servedSerial(url)) === serialOf(second));
    expect(warnings).toHaveLength(1);
  });

  it('refuses new files that have expired', async () => {
    const warnings: string[] = [];
    const logger = { info() {}, error() {}, warn: (_: object, text: string) => warnings.push(text) };
    const { url } = await open({ logger, wallMs: () => Date.now() + 10 * 86_400_000 });
    install(second);
    await waitFor('a warning', () => warnings.some((text) => text.includes('has expired')));
    expect(await servedSerial(url)).toBe(serialOf(first));
  });

  it('does not start with files that do not fit together, or are missing', async () => {
    install({ cert: first.cert, key: second.key });
    await expect(open()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('gateway.tls'),
    });
    await expect(open({ tls: { cert: tls.cert, key: '/no/key.pem' } })).rejects.toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: expect.stringContaining('gateway.tls.key'),
    });
  });
});

describe('trusted proxies', () => {
  const forwarded = { 'x-forwarded-for': '198.51.100.7', 'x-forwarded-proto': 'https' };
  const cookieOf = async (url: string, headers: Record<string, string>): Promise<string> => {
    const page = await fetch(`${url}/?token=${encodeURIComponent(TOKEN)}`, { headers });
    return page.headers.get('set-cookie')!;
  };

  it('are believed about TLS and the address of the client, and nobody else is', async () => {
    const trusting = await openGateway(new RuntimeDouble(), { token: TOKEN, trustedProxies: ['127.0.0.0/8'] });
    const other = await openGateway(new RuntimeDouble(), { token: TOKEN, trustedProxies: ['10.0.0.0/8'] });
    const plain = await openGateway(new RuntimeDouble(), { token: TOKEN });
    expect(await cookieOf(trusting.url, forwarded)).toMatch(/Secure/);
    expect(await cookieOf(trusting.url, {})).not.toMatch(/Secure/);
    expect(await cookieOf(other.url, forwarded)).not.toMatch(/Secure/);
    expect(await cookieOf(plain.url, forwarded)).not.toMatch(/Secure/);
  });

  it('share no limit on wrong tokens between the clients behind them; others cannot invent addresses', async () => {
    const statusOf = async (url: string, client: string, token: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': client };
      return (await fetch(`${url}/api/streams`, { headers })).status;
    };
    const exhaust = async (url: string, client: string): Promise<void> => {
      while ((await statusOf(url, client, 'wrong')) !== 429);
    };
    const trusting = await openGateway(new RuntimeDouble(), {
      token: TOKEN,
      trustedProxies: ['127.0.0.1'],
      clock: new ManualClock(),
    });
    await exhaust(trusting.url, '198.51.100.7');
    expect(await statusOf(trusting.url, '198.51.100.8', TOKEN)).toBe(200);
    const plain = await openGateway(new RuntimeDouble(), { token: TOKEN, clock: new ManualClock() });
    await exhaust(plain.url, '198.51.100.7');
    expect(await statusOf(plain.url, '198.51.100.8', TOKEN)).toBe(429);
  });

  it('cannot be impersonated through a chain: only the last address that is not trusted counts', async () => {
    const { url } = await openGateway(new RuntimeDouble(), {
      token: TOKEN,
      trustedProxies: ['127.0.0.1'],
      clock: new ManualClock(),
    });
    const statusOf = async (chain: string, token: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': chain };
      return (await fetch(`${url}/api/streams`, { headers })).status;
    };
    for (let i = 0; (await statusOf(`192.0.2.${i % 250}, 198.51.100.7`, 'wrong')) !== 429; i += 1);
    expect(await statusOf('192.0.2.251, 198.51.100.7', TOKEN)).toBe(429);
    expect(await statusOf('198.51.100.7, 192.0.2.251', TOKEN)).toBe(200);
  });
});
