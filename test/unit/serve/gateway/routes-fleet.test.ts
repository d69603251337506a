import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../../../src/serve/gateway/gateway-options.ts';
import { FeedSocket } from '../../../support/feed-socket.ts';
import { jobReport } from '../../../support/fleet-plane.ts';
import { FleetRig } from '../../../support/fleet-rig.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';
import { scaleReport } from '../../../support/sample-reports.ts';

interface Reply {
  readonly status: number;
  readonly body: { readonly error: { code: string; message: string } } & Record<string, unknown>;
}

async function ask(url: string, method = 'GET', body?: unknown): Promise<Reply> {
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
}

const gate = { id: 'gate', source: 'rtsp://camera.example/gate' };
const job = { id: 'nightly', inputs: ['/videos/a.mp4'], outDir: '/results' };

describe('REST of a fleet', () => {
  let rig: FleetRig;
  let gateway: Gateway;
  let api: string;

  beforeEach(async () => {
    rig = await FleetRig.open();
    gateway = await openGateway(rig.view, { fleet: rig.view });
    api = `${gateway.url}/api`;
  });
  afterEach(() => rig.view.close());

  it('lists hosts, drains one and undrains it', async () => {
    const { status, body } = await ask(`${api}/hosts`);
    expect(status).toBe(200);
    expect(body.hosts).toMatchObject([
      { id: 'host-1', state: 'ready', capacityFps: 200, lastSeenMs: expect.any(Number) },
      { id: 'host-2' },
    ]);
    expect((await ask(`${api}/hosts/host-2/drain`, 'POST')).body).toMatchObject({ id: 'host-2', state: 'draining' });
    expect([...(await rig.plane.snapshot()).draining]).toEqual(['host-2']);
    expect((await ask(`${api}/hosts/host-2/undrain`, 'POST')).body.state).toBe('ready');
  });

  it('adds a stream for any host and moves it', async () => {
    const added = await ask(`${api}/streams`, 'POST', { ...gate, pipeline: 'dock' });
    expect([added.status, added.body.state]).toEqual([201, 'starting']);
    expect((await rig.plane.snapshot()).orders[0]).toMatchObject({ pipeline: 'dock', wantedHost: null });

    await ask(`${api}/streams`, 'POST', { ...gate, id: 'yard' });
    const moved = await ask(`${api}/streams/yard/move`, 'POST', { host: 'host-2' });
    expect([moved.status, moved.body.id]).toEqual([200, 'yard']);
    expect((await rig.plane.snapshot()).orders.find(({ id }) => id === 'yard')?.wantedHost).toBe('host-2');
    await ask(`${api}/streams/yard/move`, 'POST', { host: null });
    expect((await rig.plane.snapshot()).orders.find(({ id }) => id === 'yard')?.wantedHost).toBeNull();
  });

  it('accepts a job, shows it with its dead letters, retries and cancels it', async () => {
    const added = await ask(`${api}/jobs`, 'POST', job);
    expect([added.status, added.body.id]).toEqual([201, 'nightly']);
    rig.plane.tasks.put(jobReport('nightly', { state: 'failed', deadLetters: 1 }));
    rig.plane.tasks.letters.push({
      taskId: 't',
      jobId: 'nightly',
      kind: 'segment',
      input: '/videos/a.mp4',
      reason: 'DECODE_EXITED: it ended early',
      attempts: 3,
      failedMs: 5,
    });
    expect((await ask(`${api}/jobs`)).body.jobs).toMatchObject([{ id: 'nightly', state: 'failed' }]);
    expect((await ask(`${api}/jobs/nightly`)).body).toMatchObject({
      report: { id: 'nightly' },
      order: { priority: 0 },
      deadLetters: [{ reason: 'DECODE_EXITED: it ended early' }],
    });
    expect((await ask(`${api}/jobs/nightly/retry`, 'POST')).body).toEqual({ retried: 1 });
    expect((await ask(`${api}/jobs/nightly/cancel`, 'POST')).body.state).toBe('cancelled');
  });

  it('returns the recommended number of hosts', async () => {
    rig.plane.tasks.waiting = { waiting: 4, active: 1, oldestWaitingMs: 3000 };
    await rig.second();
    expect((await ask(`${api}/scale`)).body).toEqual({
      scale: scaleReport(3),
      hosts: 2,
      queue: { waiting: 4, active: 1, oldestWaitingMs: 3000 },
    });
  });

  it.each<[string, string, unknown, number, string, RegExp]>([
    ['POST', 'hosts/host-9/drain', undefined, 404, 'HOST_NOT_FOUND', /hosts of the fleet: host-1, host-2/],
    ['POST', 'hosts/host-1/drain', { now: true }, 400, 'CONFIG_INVALID', /body: now: unknown key/],
    ['POST', 'streams/gate/move', undefined, 400, 'CONFIG_INVALID', /body/],
    ['POST', 'streams/gate/move', {}, 400, 'CONFIG_INVALID', /body: host: expected text, or null, received nothing/],
    ['POST', 'streams/gate/move', { host: 7 }, 400, 'CONFIG_INVALID', /body: host: expected text, or null, received 7/],
    ['POST', 'streams/gate/move', { hots: 'host-2' }, 400, 'CONFIG_INVALID', /hots: unknown key; did you mean "host"/],
    ['POST', 'streams/gate/move', { host: 'host-9' }, 404, 'HOST_NOT_FOUND', /host-9/],
    ['POST', 'streams/nobody/move', { host: null }, 404, 'STREAM_NOT_FOUND', /streams of the fleet: gate/],
    ['POST', 'jobs', undefined, 400, 'CONFIG_INVALID', /body/],
    ['POST', 'jobs', [job], 400, 'CONFIG_INVALID', /body/],
    ['POST', 'jobs', { ...job, inputs: 'a.mp4' }, 400, 'CONFIG_INVALID', /inputs: expected a list of text/],
    ['POST', 'jobs', { ...job, inputs: [] }, 400, 'CONFIG_INVALID', /inputs: expected at least 1 entry/],
    ['POST', 'jobs', { ...job, inputs: ['a.mp4'] }, 400, 'CONFIG_INVALID', /inputs\[0\]: expected an absolute path/],
    ['POST', 'jobs', { ...job, outDir: 'out' }, 400, 'CONFIG_INVALID', /outDir: expected an absolute path/],
    ['POST', 'jobs', { ...job, id: '../x' }, 400, 'CONFIG_INVALID', /id: expected/],
    ['POST', 'jobs', { ...job, every: 0 }, 400, 'CONFIG_INVALID', /every: expected a whole number from 1 to 1000/],
    ['POST', 'jobs', { ...job, priorty: 1 }, 400, 'CONFIG_INVALID', /did you mean "priority"/],
    ['POST', 'jobs', { ...job, id: 'taken' }, 409, 'JOB_EXISTS', /taken/],
    ['POST', 'streams', { id: 'x', source: 'file:/etc/passwd' }, 422, 'SOURCE_FORBIDDEN', /refused/],
    ['GET', 'jobs/nobody', undefined, 404, 'JOB_NOT_FOUND', /nobody/],
    ['POST', 'jobs/nobody/cancel', undefined, 404, 'JOB_NOT_FOUND', /nobody/],
    ['POST', 'jobs/nobody/retry', undefined, 404, 'JOB_NOT_FOUND', /nobody/],
    ['POST', 'jobs/taken/retry', { all: true }, 400, 'CONFIG_INVALID', /all: unknown key/],
    ['DELETE', 'hosts/host-1', undefined, 404, 'ROUTE_NOT_FOUND', /no such route/],
  ])('%s %s with %j is %i %s', async (method, path, body, status, code, message) => {
    await rig.view.addStream(gate);
    await rig.view.submitJob({ ...job, id: 'taken' });
    const reply = await ask(`${api}/${path}`, method, body);
    expect(reply.body.error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(reply.status).toBe(status);
  });

  it('answers 503 while the control plane does not answer', async () => {
    rig.plane.isDown = true;
    const reply = await ask(`${api}/jobs`);
    expect([reply.status, reply.body.error.code]).toEqual([503, 'CONTROL_UNREACHABLE']);
  });

  it('includes the fleet in the stats of the feed and in /api/streams', async () => {
    const client = await FeedSocket.open(gateway.url);
    client.say({ type: 'subscribe', topics: ['stats'] });
    await client.until(() => client.of('stats').length > 0);
    await rig.second();
    await client.until(() => client.of('stats').some(({ fleet }) => fleet?.hosts.length === 2));
    expect((await ask(`${api}/streams`)).body.fleet).toMatchObject({ placement: { waiting: 0 } });
  });

  it('subscribes to results only while one of its own clients wants them', async () => {
    await rig.view.addStream(gate);
    const audience = (): Promise<ReadonlySet<string>> => rig.plane.bus.audience('detections', ['gate', 'yard']);
    const client = await FeedSocket.open(gateway.url);
    expect([...(await audience())]).toEqual([]);
    client.say({ type: 'subscribe', topics: ['detections'] });
    await client.settle();
    expect([...(await audience())]).toEqual(['gate']);
    client.say({ type: 'unsubscribe', topics: ['detections'] });
    await client.settle();
    expect([...(await audience())]).toEqual([]);
  });

  it('exports the figures of the fleet to Prometheus', async () => {
    await rig.view.addStream(gate);
    await rig.view.addStream({ ...gate, id: 'yard' });
    await rig.takeOver('host-1', 'gate', 4, 24);
    await rig.report('host-2', 'gate', 3, 24);
    rig.plane.tasks.put(jobReport('a', { state: 'running' }));
    rig.plane.tasks.waiting = { waiting: 4, active: 1, oldestWaitingMs: 3000 };
    await rig.second();
    const lines = (await (await fetch(`${gateway.url}/metrics`)).text()).split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'sightline_fleet_hosts{state="ready"} 2',
        'sightline_fleet_hosts{state="silent"} 0',
        'sightline_fleet_capacity_fps 400',
        'sightline_fleet_load_ratio 0.5',
        'sightline_fleet_host_capacity_fps{host="host-1",pipeline="street"} 200',
        'sightline_fleet_host_load_fps{host="host-2",pipeline="street",kind="bulk"} 20',
        'sightline_fleet_host_streams{host="host-1",pipeline="street"} 4',
        'sightline_fleet_streams{state="placed"} 1',
        'sightline_fleet_streams{state="waiting"} 1',
        'sightline_fleet_stream_fence{stream="gate",host="host-1"} 4',
        'sightline_fleet_jobs{state="running"} 1',
        'sightline_fleet_jobs{state="failed"} 0',
        'sightline_fleet_tasks{state="waiting"} 4',
        'sightline_fleet_oldest_waiting_task_seconds 3',
        'sightline_fleet_recommended_hosts 3',
        'sightline_fleet_stale_messages_total 1',
        'sightline_fleet_bus_dropped_total 0',
      ]),
    );
  });
});

describe('REST of one machine', () => {
  it.each([
    ['GET', 'hosts'],
    ['POST', 'hosts/host-1/drain'],
    ['POST', 'streams/gate/move'],
    ['GET', 'jobs'],
    ['POST', 'jobs'],
    ['GET', 'jobs/nightly'],
    ['POST', 'jobs/nightly/cancel'],
    ['POST', 'jobs/nightly/retry'],
    ['GET', 'scale'],
  ])('%s /api/%s answers that there is no fleet', async (method, path) => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    const reply = await ask(`${url}/api/${path}`, method, method === 'POST' ? {} : undefined);
    expect(reply.status).toBe(404);
    expect(reply.body.error).toMatchObject({
      code: 'ROUTE_NOT_FOUND',
      message: expect.stringContaining('shows one machine'),
    });
  });

  it('has no fleet in its stats and metrics', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    expect((await ask(`${url}/api/streams`)).body).not.toHaveProperty('fleet');
    expect(await (await fetch(`${url}/metrics`)).text()).not.toContain('sightline_fleet');
  });
});
