import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Gateway } from '../../../../src/serve/gateway/gateway-options.ts';
import { ROLES, type Role } from '../../../../src/wire/protocol/feed.ts';
import { FeedSocket, upgradeStatus } from '../../../support/feed-socket.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { registeredRoutes } from '../../../support/registered-routes.ts';
import { RequestPortDouble } from '../../../support/request-port-double.ts';
import { RolloutPortDouble } from '../../../support/rollout-port-double.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';
import { bearer, TokensFolder, tokenOf, tokenRecord } from '../../../support/tokens-folder.ts';
import { waitFor } from '../../../support/wait-for.ts';

/** What a route needs, said in another way than the table says it; null: nothing. */
function neededFor(route: string): Role | null {
  const [method, path] = route.split(' ') as [string, string];
  if (path.startsWith('/v2/health/')) return null;
  if (path === '/api/detect' || path.startsWith('/v2')) return 'viewer';
  if (path === '/healthz' || path === '/readyz' || path === '/base.css' || path === '/sign-in') return null;
  if (path === '/metrics') return 'metrics';
  if (method === 'GET' || method === 'OPTIONS' || path === '/sign-out') return 'viewer';
  return /^\/api\/(rollouts|hosts)/.test(path) ? 'admin' : 'operator';
}

async function statusOf(url: string, route: string, headers: Record<string, string>): Promise<number> {
  const [method, pattern] = route.split(' ') as [string, string];
  const path = pattern.replace(':id', 'gate');
  if (route === 'GET /ws') return upgradeStatus(`${url}${path}`, headers);
  const response = await fetch(url + path, { method, headers, redirect: 'manual' });
  // Pictures have no end.
  if (path.endsWith('/mjpeg')) await response.body?.cancel();
  else await response.arrayBuffer();
  return response.status;
}

describe('a role', () => {
  const files = new TokensFolder();
  let routes: readonly string[];
  beforeAll(async () => {
    routes = await registeredRoutes();
    files.writeRoles();
  });
  afterAll(() => files.remove());

  const open = (more = {}): Promise<Gateway> =>
    openGateway(new RuntimeDouble(['gate']), {
      rollouts: new RolloutPortDouble(),
      requests: new RequestPortDouble(),
      tokensFile: { path: files.path, mustExist: true },
      ...more,
    });

  it.each(ROLES)('%s may use exactly the routes that it needs', async (role) => {
    const { url } = await open();
    const wrong: string[] = [];
    for (const route of routes) {
      const needed = neededFor(route);
      const isAllowed = needed === null || ROLES.indexOf(role) >= ROLES.indexOf(needed);
      const status = await statusOf(url, route, bearer(role));
      // An allowed request may fail for other reasons, but not for its role.
      if ((status !== 403 && status !== 401) !== isAllowed && route !== 'POST /sign-in')
        wrong.push(`${route}: ${status}`);
    }
    expect(wrong).toEqual([]);
  });

  it('metrics learns if the host is ready, viewer why', async () => {
    const { url } = await open();
    const answer = async (role: Role): Promise<unknown> =>
      (await fetch(`${url}/readyz`, { headers: bearer(role) })).json();
    expect(await answer('metrics')).toEqual({ status: 'ready' });
    expect(await answer('viewer')).toEqual({ status: 'ready', reason: 'the engine is loaded' });
  });

  it('is not enough without a token: only what is open answers', async () => {
    const { url } = await open();
    const answered: string[] = [];
    for (const route of routes) if ((await statusOf(url, route, {})) !== 401) answered.push(route);
    expect(answered.sort()).toEqual([
      ...['GET /base.css', 'GET /healthz', 'GET /readyz'],
      ...['GET /v2/health/live', 'GET /v2/health/ready'],
    ]);
  });

  it('that is too low is named together with the one that is needed', async () => {
    const { url } = await open();
    const reply = await fetch(`${url}/api/streams/gate`, { method: 'DELETE', headers: bearer('viewer') });
    expect(reply.status).toBe(403);
    expect(await reply.json()).toMatchObject({
      error: {
        code: 'FORBIDDEN',
        message: expect.stringMatching(/"viewer".*operator or a higher one.*received viewer/),
      },
    });
  });

  it('changes nothing in a request that it refuses', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port, { tokensFile: { path: files.path, mustExist: true } });
    for (const name of ['viewer', 'metrics'])
      for (const verb of ['pause', 'resume'])
        await fetch(`${url}/api/streams/gate/${verb}`, { method: 'POST', headers: bearer(name) });
    expect(port.calls).toEqual([]);
    await fetch(`${url}/api/streams/gate/pause`, { method: 'POST', headers: bearer('operator') });
    expect(port.calls).toEqual(['pause gate']);
  });

  it('is part of the greeting of the feed', async () => {
    const { url } = await open();
    const client = await FeedSocket.open(url, bearer('viewer'));
    expect(client.of('hello')[0]!.access).toEqual({ name: 'viewer', role: 'viewer', expiresMs: null });
    const anybody = await FeedSocket.open((await openGateway(new RuntimeDouble())).url);
    expect(anybody.of('hello')[0]!.access).toEqual({ name: null, role: 'admin', expiresMs: null });
  });
});

describe('who acts', () => {
  const files = new TokensFolder();
  const folder = mkdtempSync(join(tmpdir(), 'sightline-audit-'));
  const path = join(folder, 'audit.jsonl');
  beforeAll(() => files.writeRoles());
  afterEach(() => rmSync(path, { force: true }));
  afterAll(() => {
    files.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const lines = (file = path): Record<string, unknown>[] =>
    readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));

  async function post(url: string, headers: Record<string, string>, body: object, verb = 'hold'): Promise<number> {
    const all = { ...headers, 'content-type': 'application/json' };
    const sent = { method: 'POST', headers: all, body: JSON.stringify(body) };
    return (await fetch(`${url}/api/rollouts/${verb}`, sent)).status;
  }

  it('is the name of the token, whatever the body says', async () => {
    const rollouts = new RolloutPortDouble();
    const tokensFile = { path: files.path, mustExist: true };
    const { url } = await openGateway(new RuntimeDouble(), { rollouts, tokensFile, token: 'sixteen characters' });
    await post(url, bearer('admin'), { by: 'root' });
    await post(url, { authorization: 'Bearer sixteen characters' }, { by: 'root' });
    await post(url, bearer('admin'), { by: 'root', rollout: 'rollout-3', step: 2 }, 'promote');
    expect(rollouts.calls).toEqual([
      'hold by admin',
      'hold by SIGHTLINE_TOKEN',
      'promote step 2 of rollout-3 by admin',
    ]);
  });

  it('is a claim, and marked as one, on a gateway without tokens', async () => {
    const rollouts = new RolloutPortDouble();
    const { url } = await openGateway(new RuntimeDouble(), { rollouts });
    await post(url, {}, { by: 'root' });
    await post(url, {}, {});
    expect(rollouts.calls).toEqual(['hold by root (unverified)', 'hold by a client at 127.0.0.1']);
    expect(await post(url, {}, { by: 'root (unverified)' }), 'a mark that is part of the claim').toBe(400);
  });

  it('is an address and no text of the client, also behind a proxy', async () => {
    const rollouts = new RolloutPortDouble();
    const { url } = await openGateway(new RuntimeDouble(), { rollouts, trustedProxies: ['127.0.0.1'] });
    for (const forwarded of ['192.0.2.7:4711', 'root, the admin', 'admin'])
      await post(url, { 'x-forwarded-for': forwarded }, {});
    expect(rollouts.calls.map((call) => call.slice('hold by a client at '.length))).toEqual([
      '192.0.2.7',
      '127.0.0.1',
      '127.0.0.1',
    ]);
  });

  it('is written to the audit log with what, when and the result, and without bodies and tokens', async () => {
    const gateway = await openGateway(new RuntimeDouble(['gate']), {
      tokensFile: { path: files.path, mustExist: true },
      audit: { pathOf: () => path, maxBytes: 1024 * 1024 },
    });
    const { url } = gateway;
    await fetch(`${url}/api/streams`, { headers: bearer('operator') });
    await fetch(`${url}/api/streams/gate/pause`, { method: 'POST', headers: bearer('operator') });
    await fetch(`${url}/api/streams/none/pause`, { method: 'POST', headers: bearer('operator') });
    await fetch(`${url}/api/streams`, {
      method: 'POST',
      headers: { ...bearer('operator'), 'content-type': 'application/json' },
      body: '{"id":"new","source":"rtsp://user:hunter2@camera/1"}',
    });
    // It changes nothing, however often a page asks.
    await fetch(`${url}/api/streams/gate/rules/try`, {
      method: 'POST',
      headers: { ...bearer('operator'), 'content-type': 'application/json' },
      body: '{}',
    });
    await fetch(`${url}/api/streams/gate`, { method: 'DELETE', headers: bearer('viewer') });
    const client = await FeedSocket.open(`${url}`, bearer('viewer'));
    client.socket.terminate();
    await gateway.close();
    const shown = (file: string): unknown[] =>
      lines(file).map(({ who, action, status, error }) => [who, action, status, error]);
    expect(shown(path)).toEqual([
      ['operator', 'POST /api/streams/:id/pause', 200, undefined],
      ['operator', 'POST /api/streams', 201, undefined],
    ]);
    const visits = path.replace('audit.jsonl', 'audit-visits.jsonl');
    expect(shown(visits)).toEqual([
      ['operator', 'POST /api/streams/:id/pause', 404, 'STREAM_NOT_FOUND'],
      ['operator', 'POST /api/streams/:id/rules/try', 200, undefined],
      ['viewer', 'DELETE /api/streams/:id', 403, 'FORBIDDEN'],
      ['viewer', 'GET /ws', 101, undefined],
    ]);
    expect(lines()[0]).toMatchObject({ role: 'operator', address: '127.0.0.1', path: '/api/streams/gate/pause' });
    const text = [path, visits].map((file) => readFileSync(file, 'utf8')).join('');
    expect(text).not.toContain('hunter2');
    expect(text).not.toContain('the token of');
  });
});

describe('tokens that change while the gateway runs', () => {
  const files = new TokensFolder();
  afterAll(() => files.remove());

  const open = (more = {}): Promise<Gateway> =>
    openGateway(new RuntimeDouble(['gate']), { tokensFile: { path: files.path, mustExist: false }, ...more });
  const allowed = async (url: string, name: string): Promise<boolean> =>
    (await fetch(`${url}/api/streams`, { headers: bearer(name) })).status === 200;

  it('count without a restart, and a removed one closes its connections but no others', async () => {
    files.write(tokenRecord('anna', 'viewer'), tokenRecord('ben', 'viewer'));
    const { url } = await open();
    const [anna, ben] = [await FeedSocket.open(url, bearer('anna')), await FeedSocket.open(url, bearer('ben'))];
    ben.say({ type: 'subscribe', topics: ['events'] });
    await ben.settle();

    files.write(tokenRecord('ben', 'viewer'), tokenRecord('carl', 'operator'));

    expect(await anna.closed()).toBe(4401);
    expect([await allowed(url, 'anna'), await allowed(url, 'ben'), await allowed(url, 'carl')]).toEqual([
      false,
      true,
      true,
    ]);
    expect(ben.closeCode).toBeNull();
    await ben.until(() => ben.of('event').length > 0);
    expect(ben.of('event')[0]).toMatchObject({
      kind: 'access-changed',
      message: expect.stringMatching(/carl.*anna/),
    });
  });

  it('close the connection of a token at its expiry, and refuse it from then on', async () => {
    let nowMs = Date.parse('2026-06-01T00:00:00Z');
    files.write(tokenRecord('anna', 'viewer', { expiresAt: '2026-06-01T01:00:00.000Z' }));
    const { url } = await open({ wallMs: () => nowMs });
    const client = await FeedSocket.open(url, bearer('anna'));
    expect(await allowed(url, 'anna')).toBe(true);
    nowMs += 3_600_000;
    expect(await client.closed()).toBe(4401);
    const reply = await fetch(`${url}/api/streams`, { headers: bearer('anna') });
    expect([reply.status, await reply.text()]).toEqual([401, expect.stringContaining('which has expired')]);
  });

  it('close connections whose role is another now, so that the client learns it', async () => {
    files.write(tokenRecord('anna', 'operator'));
    const { url } = await open();
    const client = await FeedSocket.open(url, bearer('anna'));
    files.write(tokenRecord('anna', 'viewer'));
    expect(await client.closed()).toBe(4401);
    const again = await FeedSocket.open(url, bearer('anna'));
    expect(again.of('hello')[0]!.access.role).toBe('viewer');
  });

  it('stay as they are while the file is broken, which is said once', async () => {
    files.write(tokenRecord('anna', 'viewer'));
    const warnings: string[] = [];
    const logger = { info() {}, error() {}, warn: (_: object, text: string) => warnings.push(text) };
    const { url } = await open({ logger });
    const client = await FeedSocket.open(url, bearer('anna'));
    client.say({ type: 'subscribe', topics: ['events'] });
    await client.settle();
    files.write({ ...tokenRecord('ben', 'viewer'), hash: 'short' });
    await client.until(() => client.of('event').length > 0);
    expect(client.of('event')[0]).toMatchObject({ kind: 'access-failed' });
    expect([await allowed(url, 'anna'), client.closeCode]).toEqual([true, null]);
    files.write(tokenRecord('ben', 'viewer'));
    expect(await client.closed()).toBe(4401);
    expect(warnings.filter((text) => text.includes('stay in use'))).toHaveLength(1);
  });

  it('lock a gateway that was open when the first one appears, and leave it locked when the file is gone', async () => {
    files.remove();
    const { url } = await open();
    const anybody = await FeedSocket.open(url);
    expect((await fetch(`${url}/api/streams`)).status).toBe(200);
    const later = new TokensFolder();
    const { url: other } = await openGateway(new RuntimeDouble(['gate']), {
      tokensFile: { path: later.path, mustExist: false },
    });
    const open1 = await FeedSocket.open(other);
    later.write(tokenRecord('anna', 'viewer'));
    expect(await open1.closed()).toBe(4401);
    expect((await fetch(`${other}/api/streams`)).status).toBe(401);
    later.remove();
    await waitFor('the token to be gone', async () => !(await allowed(other, 'anna')));
    expect((await fetch(`${other}/api/streams`)).status).toBe(401);
    expect(anybody.closeCode).toBeNull();
  });

  it('must be in the file that a setting names', async () => {
    const start = openGateway(new RuntimeDouble(), { tokensFile: { path: '/no/tokens.json', mustExist: true } });
    await expect(start).rejects.toMatchObject({ code: 'CONFIG_NOT_FOUND' });
  });

  it.each(['aaaaaaaaaaaaaaaa', '1234567812345678', 'aabbaacbbabaccab'])(
    'are not accepted if they are easily guessed, with words how to make one: %s',
    async (token) => {
      await expect(openGateway(new RuntimeDouble(), { token })).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(
          /^SIGHTLINE_TOKEN: expected .* random characters, received .*openssl rand -hex 32/,
        ),
      });
    },
  );

  it('have at least 16 characters, on the loopback as well', async () => {
    for (const host of ['127.0.0.1', '0.0.0.0']) {
      const start = openGateway(new RuntimeDouble(), { host, token: 'short' });
      await expect(start).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('SIGHTLINE_TOKEN: expected at least 16 random characters, received 5'),
      });
    }
  });
});

describe('wrong tokens', () => {
  const files = new TokensFolder();
  beforeAll(() => files.writeRoles());
  afterAll(() => files.remove());

  it('are slowed down after twenty, also a right one, but not a token that worked from there before', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']), {
      tokensFile: { path: files.path, mustExist: true },
      clock: new ManualClock(),
    });
    const ask = (headers: Record<string, string>): Promise<Response> => fetch(`${url}/api/streams`, { headers });
    expect((await ask(bearer('viewer'))).status).toBe(200);
    const statuses: number[] = [];
    for (let i = 0; i < 30; i += 1) statuses.push((await ask({ authorization: `Bearer guess ${i}` })).status);
    expect(statuses).toEqual([...Array(20).fill(401), ...Array(10).fill(429)]);

    const right = await ask(bearer('operator'));
    expect(right.status).toBe(429);
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await right.json()).toMatchObject({ error: { code: 'TOO_MANY_ATTEMPTS' } });
    expect((await ask(bearer('viewer'))).status).toBe(200);
    expect((await ask({})).status, 'no token is no guess').toBe(401);

    const metrics = await (await fetch(`${url}/metrics`, { headers: bearer('viewer') })).text();
    expect(metrics).toMatch(/messages_refused_total\{channel="access",reason="token"\} 21/);
    expect(metrics).toMatch(/messages_refused_total\{channel="access",reason="rate"\} 11/);
  });

  it('do not count if they have only expired', async () => {
    const expired = new TokensFolder();
    expired.write(tokenRecord('anna', 'viewer', { expiresAt: '2026-01-02T00:00:00.000Z' }));
    const { url } = await openGateway(new RuntimeDouble(), { tokensFile: { path: expired.path, mustExist: true } });
    const statuses = new Set<number>();
    for (let i = 0; i < 30; i += 1) statuses.add((await fetch(url, { headers: bearer('anna') })).status);
    expect([...statuses]).toEqual([401]);
    expired.remove();
  });
});

describe('the sign-in form', () => {
  const files = new TokensFolder();
  beforeAll(() => files.writeRoles());
  afterAll(() => files.remove());

  const signIn = (url: string, token: string, headers = {}): Promise<Response> =>
    fetch(`${url}/sign-in`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: new URLSearchParams({ token }).toString(),
      redirect: 'manual',
    });

  it('takes any token that may read, and gives a cookie that opens the page until /sign-out', async () => {
    const { url } = await openGateway(new RuntimeDouble(), { tokensFile: { path: files.path, mustExist: true } });
    for (const role of ['viewer', 'operator', 'admin']) {
      const reply = await signIn(url, tokenOf(role));
      expect([reply.status, reply.headers.get('location')]).toEqual([303, './']);
      const cookie = reply.headers.get('set-cookie')!;
      expect(cookie).toMatch(/HttpOnly; SameSite=Strict/);
      expect(cookie).not.toMatch(/Secure/);
      expect((await fetch(`${url}/app.js`, { headers: { cookie: cookie.split(';')[0]! } })).status).toBe(200);
      const out = await fetch(`${url}/sign-out`, { method: 'POST', headers: { cookie: cookie.split(';')[0]! } });
      expect([out.status, out.headers.get('set-cookie')]).toEqual([204, expect.stringMatching(/=; Max-Age=0/)]);
    }
  });

  it.each([
    ['a wrong token', 'wrong', 401, 'This token is not valid'],
    ['no token', '', 401, 'This token is not valid'],
    ['a token for metrics', tokenOf('metrics'), 403, 'This token is for metrics only'],
  ])('shows again after %s, with the reason and without what was typed', async (_, token, status, text) => {
    const { url } = await openGateway(new RuntimeDouble(), { tokensFile: { path: files.path, mustExist: true } });
    const reply = await signIn(url, token);
    const page = await reply.text();
    expect([reply.status, reply.headers.get('set-cookie')]).toEqual([status, null]);
    expect(page).toContain(text);
    if (token !== '') expect(page).not.toContain(`"${token}"`);
  });

  it('gives no cookie for a wrong token in the address, and keeps the one that is there', async () => {
    const { url } = await openGateway(new RuntimeDouble(), { tokensFile: { path: files.path, mustExist: true } });
    const cookie = (await signIn(url, tokenOf('viewer'))).headers.get('set-cookie')!.split(';')[0]!;
    const wrong = await fetch(`${url}/?token=wrong`, { headers: { cookie } });
    expect([wrong.status, wrong.headers.get('set-cookie')]).toEqual([200, null]);
    const other = await fetch(`${url}/?token=${encodeURIComponent(tokenOf('admin'))}`, { headers: { cookie } });
    expect(other.headers.get('set-cookie')).not.toContain(cookie);
    expect(other.headers.get('set-cookie')).toMatch(/^sightline_/);
  });

  it('is refused from a foreign page', async () => {
    const { url } = await openGateway(new RuntimeDouble(), { tokensFile: { path: files.path, mustExist: true } });
    expect((await signIn(url, tokenOf('viewer'), { origin: 'https://evil.example' })).status).toBe(403);
  });

  it('is the only route that takes a form', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const reply = await fetch(`${url}/api/streams/gate/pause`, { method: 'POST', headers, body: 'a=b' });
    expect(reply.status).toBe(415);
  });
});
