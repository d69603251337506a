import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayOptions } from '../../../../../src/serve/gateway/gateway-options.ts';
import { startGateway } from '../../../../../src/serve/gateway/server.ts';
import { gatewayConfig } from '../../../../../src/settings/config/gateway.ts';
import { FeedSocket } from '../../../../support/feed-socket.ts';
import { openGateway } from '../../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../../support/runtime-double.ts';
import { bearer, TokensFolder } from '../../../../support/tokens-folder.ts';

const { proxyUsers } = gatewayConfig.parse({
  trustedProxies: ['127.0.0.1'],
  proxyUsers: {
    groups: [
      { name: 'everybody', role: 'viewer' },
      { name: 'door-watchers', role: 'viewer', streams: ['door'] },
      { name: 'yard-watchers', role: 'viewer', streams: ['yard'] },
      { name: 'door-keepers', role: 'operator', streams: ['door'] },
      { name: 'admins', role: 'admin' },
    ],
  },
});

describe('a user whom a proxy has signed in', () => {
  const files = new TokensFolder();
  beforeAll(() => files.writeRoles());
  afterAll(() => files.remove());

  const open = async (more: Partial<GatewayOptions> = {}) => {
    const runtime = new RuntimeDouble(['door', 'yard']);
    const { url } = await openGateway(runtime, { proxyUsers, trustedProxies: ['127.0.0.1'], ...more });
    const get = (headers: Record<string, string>, path = '/api/streams', method = 'GET'): Promise<Response> =>
      fetch(url + path, { method, headers });
    const seen = async (groups: string): Promise<string[]> => {
      const reply = await get({ 'remote-user': 'anna', 'remote-groups': groups });
      return ((await reply.json()) as { streams: { id: string }[] }).streams.map(({ id }) => id);
    };
    return { runtime, url, get, seen };
  };

  it('sees the streams of all groups, or of the only one', async () => {
    const { seen } = await open();
    expect(await seen('everybody')).toEqual(['door', 'yard']);
    expect(await seen('door-watchers')).toEqual(['door']);
    expect(await seen('others, door-watchers ,yard-watchers')).toEqual(['door', 'yard']);
  });

  it('has the highest role, for the streams of its groups only', async () => {
    const { runtime, get, seen } = await open();
    const both = 'everybody,door-keepers';
    expect(await seen(both)).toEqual(['door']);
    const pause = (id: string) =>
      get({ 'remote-user': 'anna', 'remote-groups': both }, `/api/streams/${id}/pause`, 'POST');
    expect((await pause('door')).status).toBe(200);
    expect((await pause('yard')).status).toBe(404);
    expect(runtime.calls).toEqual(['pause door']);
  });

  it('may do what the role allows', async () => {
    const { get } = await open();
    const as = async (groups: string, path: string, method: string) =>
      (await get({ 'remote-user': 'anna', 'remote-groups': groups }, path, method)).status;
    expect(await as('everybody', '/api/streams/door/pause', 'POST')).toBe(403);
    expect(await as('admins', '/api/streams/door/pause', 'POST')).toBe(200);
  });

  it('is refused without a known group', async () => {
    const { get } = await open();
    for (const groups of ['', 'others,__proto__']) {
      const reply = await get({ 'remote-user': 'anna', 'remote-groups': groups });
      expect([reply.status, await reply.text()]).toEqual([403, expect.stringContaining('User \\"anna\\"')]);
    }
  });

  it.each([
    ['two names in one header', { 'remote-user': 'mallory, anna', 'remote-groups': 'admins' }],
    ['a name of control characters', { 'remote-user': 'an\tna', 'remote-groups': 'admins' }],
    ['a name without end', { 'remote-user': 'a'.repeat(200), 'remote-groups': 'admins' }],
  ])('is refused with %s', async (_, headers) => {
    const { get } = await open();
    expect((await get(headers as never)).status).toBe(401);
  });

  it('is refused if a header comes twice, once from the client', async () => {
    const { url } = await open();
    const { request } = await import('node:http');
    for (const twice of ['Remote-User', 'Remote-Groups']) {
      const headers = ['Host', 'localhost', 'Remote-User', 'anna', 'Remote-Groups', 'admins', twice, 'admins'];
      const status = await new Promise((resolve, reject) => {
        const sent = request(`${url}/api/streams`, { headers }, (reply) => {
          reply.resume();
          resolve(reply.statusCode);
        });
        sent.on('error', reject).end();
      });
      expect([twice, status]).toEqual([twice, 401]);
    }
  });

  it('is believed from trusted addresses only, whatever X-Forwarded-For says', async () => {
    const { get } = await open({ trustedProxies: ['192.0.2.7'] });
    const forged = { 'remote-user': 'anna', 'remote-groups': 'admins', 'x-forwarded-for': '192.0.2.7' };
    expect((await get(forged)).status).toBe(401);
  });

  it('needs a token where no proxy says who it is, also on the loopback', async () => {
    const { get } = await open();
    expect((await get({})).status).toBe(401);
    const both = await open({ tokensFile: { path: files.path, mustExist: true } });
    expect((await both.get(bearer('viewer'))).status).toBe(200);
    expect((await both.get({ 'remote-groups': 'admins' })).status).toBe(401);
  });

  it('is what its headers say, whatever token it has as well', async () => {
    const { get } = await open({ tokensFile: { path: files.path, mustExist: true } });
    const headers = { ...bearer('admin'), 'remote-user': 'anna', 'remote-groups': 'everybody' };
    expect((await get(headers, '/api/streams/door/pause', 'POST')).status).toBe(403);
  });

  it('keeps its feed while it is connected', async () => {
    const { url, runtime } = await open();
    const feed = await FeedSocket.open(url, { 'remote-user': 'anna', 'remote-groups': 'door-watchers' });
    expect(feed.messages[0]).toMatchObject({ streams: ['door'], access: { name: 'anna', role: 'viewer' } });
    feed.say({ type: 'subscribe', topics: ['stats'] });
    await feed.settle();
    runtime.tick();
    await feed.until(() => feed.of('stats').length > 1);
    expect(feed.closeCode).toBeNull();
    feed.socket.terminate();
  });

  it('may be the only one of a gateway that other machines can reach', async () => {
    const start = startGateway(new RuntimeDouble(), {
      host: '192.0.2.7',
      port: 0,
      proxyUsers,
      trustedProxies: ['192.0.2.8'],
    });
    await expect(start).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: /not an address of this machine/ });
    const without = startGateway(new RuntimeDouble(), { host: '192.0.2.7', port: 0 });
    await expect(without).rejects.toMatchObject({ code: 'TOKEN_REQUIRED' });
  });
});

describe('gateway.proxyUsers', () => {
  it('needs a proxy that is trusted', () => {
    const groups = [{ name: 'a', role: 'viewer' }];
    expect(() => gatewayConfig.parse({ proxyUsers: { groups } })).toThrow('trustedProxies');
    expect(gatewayConfig.parse({ proxyUsers: { groups }, trustedProxies: ['10.0.0.1'] }).proxyUsers).toMatchObject({
      userHeader: 'Remote-User',
      groupsHeader: 'Remote-Groups',
      groups,
    });
  });
});
