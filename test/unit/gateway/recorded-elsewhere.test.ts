import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { gatewayConfig } from '../../../src/config/gateway.ts';
import { History } from '../../../src/history/history.ts';
import { FleetDouble } from '../../support/fleet-double.ts';
import { openWholeGateway } from '../../support/open-gateways.ts';
import { ruleEvent } from '../../support/rule-events.ts';
import { RuntimeDouble } from '../../support/runtime-double.ts';
import { waitFor } from '../../support/wait-for.ts';

interface Reply {
  readonly [key: string]: unknown;
  readonly error: { readonly code: string; readonly message: string; readonly details: unknown };
}

const NOW_MS = Date.parse('2026-01-31T12:00:00Z');
const SPAN = 'from=2026-01-31T10:00:00Z&to=2026-01-31T11:00:00Z';
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
      ...{ path: null, maxBytes: 2 ** 24, days: 90, onNotice: () => undefined, wallMs: () => NOW_MS },
    });
    const runtime = new RuntimeDouble(['door', 'yard']);
    // door runs on edge-1, whose gateway this is, and yard on edge-2.
    fleet = new FleetDouble(runtime);
    ({ url } = await openWholeGateway(runtime, {
      ...{ history, fleet, proxyUsers: proxyUsers!, trustedProxies: ['127.0.0.1'] },
    }));
    const happened = (host: string, stream: string, id: string, phase: 'new' | 'end', seq: number): void =>
      runtime.emitEvent({
        ...{ type: 'event', timeMs: NOW_MS - 1000 + seq, kind: 'rule', stream, host, message: phase },
        rule: ruleEvent(id, seq, phase, { stream, ...(phase === 'end' ? { endReason: 'moved' } : {}) }),
      });
    happened('edge-2', 'yard', 'b2', 'new', 0);
    happened('rack-7', 'yard', 'b2', 'end', 1);
    happened('edge-1', 'door', 'a1', 'new', 0);
    happened('edge-9', 'yard', 'c3', 'new', 0);
    await waitFor('the events', async () => (await history.page({ event: 'c3', limit: 1 })).events.length === 1);
  });
  afterEach(() => history.close());

  const get = async (path: string, group = 'all') => {
    const reply = await fetch(`${url}/api/${path}`, { headers: { 'remote-user': 'anna', 'remote-groups': group } });
    return { status: reply.status, body: (await reply.json()) as Reply };
  };

  it.each(['clip.mp4', 'clip.json', 'snapshot.jpg'])(
    '%s is answered with the host that raised the event',
    async (file) => {
      const { status, body } = await get(`events/b2/${file}`);
      expect([status, body.error.code, body.error.details]).toEqual([404, 'RECORDING_NOT_FOUND', AT]);
      expect(body.error.message).toBe(
        'There is no clip of this event, or not yet. It happened on host "edge-2" at http://10.0.0.2:8080, which keeps what it records.',
      );
    },
  );

  it('of this host, or of no event, are answered without one', async () => {
    for (const id of ['a1', 'd4']) {
      const { status, body } = await get(`events/${id}/clip.mp4`);
      expect([status, body.error.message]).toEqual([404, 'There is no clip of this event, or not yet.']);
    }
  });

  it('have no address of a host that is gone, nor one that leads back to the machine of the reader', async () => {
    const { error } = (await get('events/c3/clip.mp4')).body;
    expect(error.details).toEqual({ host: 'edge-9', url: null });
    expect(error.message).toMatch(/on host "edge-9" \(an address is known if gateway\.publicUrl is set there\)/);
    for (const local of ['http://localhost:8080', 'http://127.0.0.1:8080/cams', 'http://[::1]:8080', 'none']) {
      fleet.hosts.set('edge-2', { ...fleet.hosts.get('edge-2')!, url: local });
      expect((await get('events/b2/clip.mp4')).body.error.details).toEqual({ host: 'edge-2', url: null });
    }
  });

  it.each(['playlist.m3u8', 'export.mp4', 'files/1.mp4'])('%s names the host that runs the stream', async (name) => {
    const span = name.startsWith('files') ? '' : `&${SPAN}`;
    const other = await get(`recordings/${name}?stream=yard${span}`);
    expect([other.status, other.body.error.details]).toEqual([404, AT]);
    expect(other.body.error.message).toMatch(/ It runs on host "edge-2" at http:\/\/10\.0\.0\.2:8080, which keeps/);
    const own = await get(`recordings/${name}?stream=door${span}`);
    expect([own.status, own.body.error.message]).toEqual([404, expect.not.stringContaining('host')]);
  });

  it('are named in the list of what is recorded, by the event or the stream that was asked for', async () => {
    const list = async (query: string) => (await get(`recordings${query}`)).body;
    expect(await list('?stream=yard')).toMatchObject({
      spans: [],
      elsewhere: AT,
      noLive: expect.stringMatching(/edge-2/),
    });
    expect(await list('?stream=yard&event=c3')).toMatchObject({ clip: null, elsewhere: { host: 'edge-9' } });
    for (const query of ['', '?stream=door', '?stream=door&event=a1', '?event=d4'])
      expect(await list(query)).not.toHaveProperty('elsewhere');
  });

  it('of a stream that somebody may not see are answered as if there were none', async () => {
    const plain = await get('events/d4/clip.mp4', 'door');
    expect(await get('events/b2/clip.mp4', 'door')).toEqual(plain);
    expect((await get('recordings?event=b2', 'door')).body).not.toHaveProperty('elsewhere');
  });
});
