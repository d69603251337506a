import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { History } from '../../../../src/after/history/history.ts';
import { gatewayConfig } from '../../../../src/settings/config/gateway.ts';
import { FleetDouble } from '../../../support/fleet-double.ts';
import { openWholeGateway } from '../../../support/open-gateways.ts';
import { ruleEvent } from '../../../support/rule-events.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';
import { waitFor } from '../../../support/wait-for.ts';

interface Reply {
  readonly [key: string]: unknown;
  readonly error: { readonly code: string; readonly message: string; readonly details: unknown };
}

const NOW_MS = Date.parse('2026-01-31T12:00:00Z');
const SPAN = 'from=2026-01-31T10:00:00Z&to=2026-01-31T11:00:00Z';
const PLAIN = 'There is no clip of this event.';
const AT = { host: 'edge-2', url: 'http://10.0.0.2:8080' };
const { proxyUsers } = gatewayConfig.parse({
  trustedProxies: ['127.0.0.1'],
  proxyUsers: {
    groups: [
      { name: 'all', role: 'viewer' },
      { name: 'door', role: 'viewer', streams: ['door'] },
    ],
  },
});

describe('clips and recordings of another host of the fleet', () => {
  let history: History;
  let fleet: FleetDouble;
  let url: string;
  beforeEach(async () => {
    history = await History.open({
      path: null,
      maxBytes: 2 ** 24,
      days: 90,
      onNotice: () => undefined,
      wallMs: () => NOW_MS,
    });
    const runtime = new RuntimeDouble(['door', 'yard']);
    // door runs on edge-1, whose gateway this is, and yard on edge-2.
    fleet = new FleetDouble(runtime);
    ({ url } = await openWholeGateway(runtime, {
      history,
      fleet,
      proxyUsers: proxyUsers!,
      trustedProxies: ['127.0.0.1'],
    }));
    runtime.emitEvent({
      type: 'event',
      timeMs: NOW_MS,
      kind: 'rule',
      stream: 'door',
      message: 'new',
      rule: ruleEvent('a1', 0, 'new', { stream: 'door' }),
    });
    await waitFor('the event', async () => (await history.page({ event: 'a1', limit: 1 })).events.length === 1);
  });
  afterEach(() => history.close());

  const get = async (path: string, group = 'all') => {
    const reply = await fetch(`${url}/api/${path}`, { headers: { 'remote-user': 'anna', 'remote-groups': group } });
    return { status: reply.status, body: (await reply.json()) as Reply };
  };

  it.each(['clip.mp4', 'clip.json', 'snapshot.jpg'])(
    '%s of an event of another host names the others',
    async (file) => {
      const rack = fleet.hosts.get('rack-7')!;
      for (const url of ['http://localhost:8080', 'http://127.0.0.1:8080/cams', 'http://[::1]:8080', 'none', null]) {
        fleet.hosts.set('rack-7', { ...rack, url });
        const { status, body } = await get(`events/b2/${file}`);
        expect([status, body.error.code]).toEqual([404, 'RECORDING_NOT_FOUND']);
        expect(body.error.message).toMatch(
          /keeps its clip: "edge-2" at http:\/\/10\.0\.0\.2:8080, "rack-7" \(.*publicUrl\)\.$/,
        );
      }
      for (let i = 0; i < 10; i++) fleet.hosts.set(`more-${i}`, { ...rack, id: `more-${i}` });
      expect((await get(`events/b2/${file}`)).body.error.message).toMatch(/"more-5" at [^ ]+ and 4 more\.$/);
    },
  );

  it('of an event of this host are answered without another', async () => {
    const { status, body } = await get('events/a1/clip.mp4');
    expect([status, body.error.message]).toEqual([404, PLAIN]);
  });

  it.each(['playlist.m3u8', 'export.mp4', 'files/1.mp4'])('%s names the host that runs the stream', async (name) => {
    const span = name.startsWith('files') ? '' : `&${SPAN}`;
    const other = await get(`recordings/${name}?stream=yard${span}`);
    expect([other.status, other.body.error.details]).toEqual([404, AT]);
    expect(other.body.error.message).toMatch(/ It runs on host "edge-2" at http:\/\/10\.0\.0\.2:8080, which keeps/);
    const own = await get(`recordings/${name}?stream=door${span}`);
    expect([own.status, own.body.error.message]).toEqual([404, expect.not.stringContaining('host')]);
  });

  it('are named in the list of what is recorded', async () => {
    const list = async (query: string) => (await get(`recordings${query}`)).body;
    expect(await list('?stream=yard')).toMatchObject({
      spans: [],
      elsewhere: AT,
      noLive: expect.stringMatching(/edge-2/),
    });
    for (const query of ['', '?stream=door', '?stream=door&event=a1'])
      expect(await list(query)).not.toHaveProperty('elsewhere');
  });

  it('of an event name no host to those who may see some streams', async () => {
    for (const id of ['a1', 'b2']) expect((await get(`events/${id}/clip.mp4`, 'door')).body.error.message).toBe(PLAIN);
  });
});
