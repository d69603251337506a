import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ROUTE_ACCESS } from '../../../../src/serve/gateway/access/route-access.ts';
import { GatewayApi, type GatewayRequest } from '../../../../src/wire/client/index.ts';
import { FleetRig } from '../../../support/fleet-rig.ts';
import { openClient } from '../../../support/open-clients.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RolloutPortDouble } from '../../../support/rollout-port-double.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';
import { TokensFolder, tokenOf } from '../../../support/tokens-folder.ts';

/** Calls every method with ids that must be escaped; lists the routes that were asked for. */
async function askEverything(): Promise<string[]> {
  const routes: string[] = [];
  const api = new GatewayApi(async ({ method, path }: GatewayRequest) => {
    routes.push(`${method} ${path.replace('a%2Fb', ':id').replace(/\?.*/, '')}`);
    return { hosts: [], jobs: [], rollout: null, decisions: [], versions: [], models: [], pipelines: [], events: [] };
  });
  const seen = { rollout: 'r', step: 1 };
  const { streams, hosts, jobs, rollouts, versions } = api;
  await Promise.all([
    ...[streams.list(), streams.get('a/b'), streams.add({ id: 'a', source: 'demo' }), streams.update('a/b', {})],
    ...[streams.replace('a/b', { source: 'demo' }), api.pipeline.get(), api.pipeline.reset(null)],
    ...[api.testSource({ source: 'demo' })],
    ...[
      streams.pause('a/b'),
      streams.resume('a/b'),
      streams.remove('a/b'),
      streams.history('a/b'),
      streams.move('a/b', null),
      streams.tryRules('a/b', {}),
    ],
    ...[hosts.list(), hosts.drain('a/b'), hosts.undrain('a/b')],
    ...[
      jobs.list(),
      jobs.get('a/b'),
      jobs.submit({ inputs: ['/a'], outDir: '/b' }),
      jobs.cancel('a/b'),
      jobs.retry('a/b'),
    ],
    ...[rollouts.newest(), rollouts.start({ model: 'm' }), rollouts.promote(seen), rollouts.hold(), rollouts.resume()],
    ...[rollouts.abort(), rollouts.undo(), rollouts.history(), versions.list(), versions.get('a/b')],
    ...[api.counts(), api.occupancy(), api.seen(), api.heat('gate'), api.similar({ event: 'e' }), api.alertsOf('a/b')],
    ...[
      api.models(),
      api.pipelines(),
      api.recentEvents(),
      api.scale(),
      api.health(),
      api.readiness(),
      api.signOut(),
      api.discover(),
    ],
  ]);
  return routes.sort();
}

describe('requests to a gateway', () => {
  it('there is a method for every route, except for pages, forms, metrics, the feed, video and pictures, and what others have clients for', async () => {
    const others = /^\S+ \/(?:base\.css|metrics|ws|sign-in|api\/detect|api\/openapi\.json|v2(?:\/.*)?)$/;
    const media = /\/api\/recordings|\.mp4$|\.jpg$|\/mjpeg$|\/clip\.json$|\/live[./]/;
    const routes = Object.keys(ROUTE_ACCESS).filter((route) => !others.test(route) && !media.test(route));
    expect(await askEverything()).toEqual(routes.sort());
  });

  it('change streams, and return what the gateway reports', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const { streams } = openClient(url);

    expect(await streams.list()).toEqual(JSON.parse(JSON.stringify(port.report())));
    expect(await streams.add({ id: 'yard', source: 'a.mp4' })).toMatchObject({ id: 'yard', state: 'starting' });
    expect(await streams.update('yard', { priority: 2 })).toMatchObject({ id: 'yard', priority: 2 });
    expect(await streams.pause('yard')).toMatchObject({ state: 'paused' });
    expect(await streams.resume('yard')).toMatchObject({ state: 'running' });
    expect(await streams.get('yard')).toMatchObject(JSON.parse(JSON.stringify(port.report().streams[1])));
    expect(await streams.remove('yard')).toBeNull();
    expect(port.calls).toEqual([
      'add yard a.mp4',
      'change yard {"priority":2}',
      'pause yard',
      'resume yard',
      'remove yard',
    ]);
  });

  it('act on roll-outs with the step that was seen, and a name only where there are no tokens', async () => {
    const rollouts = new RolloutPortDouble();
    const { url } = await openGateway(new RuntimeDouble(), { rollouts });
    const client = openClient(url);
    expect(await client.rollouts.newest()).toEqual(rollouts.report);
    await client.rollouts.hold();
    await client.rollouts.promote({ rollout: 'r-1', step: 2, full: true }, { by: 'anna' });
    expect(rollouts.calls).toEqual([
      expect.stringMatching(/^hold by a client at /),
      'promote step 2 of r-1 fully by anna (unverified)',
    ]);
    expect(await client.versions.list()).toEqual([]);
    expect(await client.rollouts.history()).toEqual([]);
  });

  it('read and steer a fleet', async () => {
    const rig = await FleetRig.open();
    const { url } = await openGateway(rig.view, { fleet: rig.view });
    const client = openClient(url);
    expect((await client.hosts.list()).map(({ id }) => id)).toEqual(['host-1', 'host-2']);
    expect(await client.hosts.drain('host-2')).toMatchObject({ id: 'host-2', state: 'draining' });
    const job = await client.jobs.submit({ id: 'night', inputs: ['/videos/a.mp4'], outDir: '/results' });
    expect(job).toMatchObject({ id: 'night', state: 'waiting' });
    expect(await client.jobs.get('night')).toMatchObject({ report: { id: 'night' }, deadLetters: [] });
    expect(await client.jobs.retry('night')).toBe(0);
    expect(await client.jobs.cancel('night')).toMatchObject({ state: 'cancelled' });
    expect(await client.scale()).toMatchObject({ hosts: 2 });
    rig.view.close();
  });

  it('report whether the pipeline can work, also if it cannot', async () => {
    const port = new RuntimeDouble();
    const client = openClient((await openGateway(port)).url);
    expect(await client.readiness()).toEqual({ status: 'ready', reason: 'the engine is loaded' });
    port.ready = { isReady: false, reason: 'the engine loads' };
    expect(await client.readiness()).toEqual({ status: 'not-ready', reason: 'the engine loads' });
    expect(await client.health()).toMatchObject({ status: 'alive' });
  });
});

describe('a request that fails', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function serve(answer: (path: string) => { status: number; text: string } | null): Promise<string> {
    const server = createServer((request, response) => {
      const reply = answer(request.url ?? '');
      if (reply !== null) response.writeHead(reply.status).end(reply.text);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it("throws the gateway's error with its code, details and whether to try again", async () => {
    const client = openClient((await openGateway(new RuntimeDouble(['gate']))).url);
    await expect(client.streams.get('gat')).rejects.toMatchObject({
      name: 'SightlineError',
      code: 'STREAM_NOT_FOUND',
      details: { stream: 'gat' },
      isRetryable: false,
      message: expect.stringContaining('gate'),
    });
    await expect(client.jobs.list()).rejects.toMatchObject({ code: 'ROUTE_NOT_FOUND' });
  });

  it('throws UNAUTHORIZED or FORBIDDEN for a token that may not do it', async () => {
    const files = new TokensFolder();
    files.writeRoles();
    const tokensFile = { path: files.path, mustExist: true };
    const { url } = await openGateway(new RuntimeDouble(['gate']), { tokensFile });
    const as = (token: string) => openClient(url, { token }).streams;
    await expect(as('').list()).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await expect(as('wrong').list()).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await expect(as(tokenOf('viewer')).pause('gate')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await as(tokenOf('operator')).pause('gate')).toMatchObject({ state: 'paused' });
    files.remove();
  });

  it('throws GATEWAY_UNREACHABLE where no gateway answers, or something else does', async () => {
    const gateway = await openGateway(new RuntimeDouble());
    await gateway.close();
    const code = 'GATEWAY_UNREACHABLE';
    await expect(openClient(gateway.url).health()).rejects.toMatchObject({ code, isRetryable: true });
    for (const [status, text] of [
      [200, '<html>'],
      [502, 'Bad gateway'],
      [404, '{}'],
      [500, 'null'],
    ] as const) {
      const url = await serve(() => ({ status, text }));
      await expect(openClient(url).health()).rejects.toMatchObject({ code, details: { url, status } });
    }
  });

  it('throws INTERNAL_ERROR for a code of a newer gateway, with its message', async () => {
    const url = await serve(() => ({ status: 418, text: '{"error":{"code":"TEA_ONLY","message":"No coffee."}}' }));
    await expect(openClient(url).health()).rejects.toMatchObject({ code: 'INTERNAL_ERROR', message: 'No coffee.' });
  });

  it('throws the reason of its signal, and GATEWAY_UNREACHABLE after the longest time', async () => {
    const url = await serve(() => null);
    const controller = new AbortController();
    const asked = openClient(url).health({ signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
    await expect(openClient(url, { timeoutMs: 20 }).health()).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE' });
  });

  it('asks below the path of a proxy', async () => {
    const url = await serve((path) => ({ status: 200, text: JSON.stringify({ status: 'alive', version: path }) }));
    expect((await openClient(`${url}/video`).health()).version).toBe('/video/healthz');
  });

  it('is refused without a request if the address is not a URL', () => {
    for (const url of ['gate', 'ftp://gate', '']) expect(() => openClient(url)).toThrow(TypeError);
  });
});
