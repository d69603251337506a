import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FleetView, MOST_FOLLOWED } from '../../../../../src/fleet/control/view/fleet-view.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import type { EventMessage } from '../../../../../src/wire/protocol/feed.ts';
import type { BusTopic } from '../../../../../src/wire/protocol/fleet.ts';
import type { StreamReport } from '../../../../../src/wire/protocol/report.ts';
import type { StreamsReply } from '../../../../../src/wire/protocol/rest.ts';
import { type FleetPlane, hostCard, jobReport } from '../../../../support/fleet-plane.ts';
import { FleetRig, settled } from '../../../../support/fleet-rig.ts';
import { publishedFrame } from '../../../../support/runtime-double.ts';
import { hostReport, streamReport } from '../../../../support/sample-reports.ts';
import { waitFor } from '../../../../support/wait-for.ts';

const orderOf = (id: string): Parameters<FleetPlane['memory']['addOrder']>[0] => {
  const config = parseStream({ id, source: `rtsp://camera.example/${id}` }, {});
  return { id, pipeline: 'street', config, isPaused: false, wantedHost: null, createdMs: 0, revision: 0 };
};
const gate = { id: 'gate', source: 'rtsp://user:secret@camera.example/gate' };

describe('fleet view', () => {
  let rig: FleetRig;
  let plane: FleetPlane;
  let view: FleetView;

  beforeEach(async () => {
    rig = await FleetRig.open();
    ({ plane, view } = rig);
  });
  afterEach(() => view.close());

  function say(hostId: string, fence: number | null, body: unknown, topic: BusTopic = 'stats', stream = 'gate'): void {
    plane.bus.publish({ topic, hostId, stream: topic === 'stats' ? null : stream, fence, body });
  }

  function stream(id: string): StreamReport | undefined {
    return view.report().streams.find((each) => each.id === id);
  }

  /** Until the view has read the orders of a large fleet, and a second more. */
  async function allKnown(): Promise<void> {
    await expect
      .poll(async () => {
        await rig.second();
        return view.streams().length;
      })
      .toBe(MOST_FOLLOWED + 1);
    await rig.second();
  }

  it('of a large fleet has its own streams until somebody looks, and for half a minute after', async () => {
    const { own, clock } = rig;
    for (let i = 0; i <= MOST_FOLLOWED; i++) await plane.memory.addOrder(orderOf(`s${i}`));
    own.put(streamReport('s0'));
    plane.hold('s0', 'host-1', 1);
    plane.hold('s1', 'host-2', 2);
    await allKnown();
    const ids = (): string[] => view.report().streams.map(({ id }) => id);
    const follows = async (): Promise<boolean> => (await plane.bus.audience('stats', [''])).size > 0;
    expect([await follows(), ids()]).toEqual([false, ['s0']]);
    expect(view.report().streams[0]!.host).toBe('host-1');
    expect(view.fleet().placement).toEqual({ placed: 2, waiting: MOST_FOLLOWED - 1, paused: 0 });
    expect(view.streams()).toHaveLength(MOST_FOLLOWED + 1);
    // Without statistics no host is silent while it is listed.
    for (let i = 0; i < 8; i++) await rig.second();
    expect(view.fleet().hosts.map(({ state }) => state)).toEqual(['ready', 'ready']);
    const reports: StreamsReply[] = [];
    const stop = view.onReport((report) => void reports.push(report));
    const looking = view.look();
    expect(await follows()).toBe(true);
    await rig.report('host-1', 's0', 1, 10);
    await rig.report('host-2', 's1', 2, 20);
    clock.advance(50);
    await looking;
    await settled();
    expect(reports.at(-1)!.streams).toHaveLength(MOST_FOLLOWED + 1);
    expect(stream('s1')).toMatchObject({ host: 'host-2', state: 'running', fps: { published: 20 } });
    // Metrics of a large fleet are scraped at each host.
    expect(view.scraped().streams.map(({ id }) => id)).toEqual(['s0']);
    for (let i = 0; i < 20; i++) await rig.second();
    await view.look();
    for (let i = 0; i < 20; i++) await rig.second();
    expect(await follows()).toBe(true);
    for (let i = 0; i < 15; i++) await rig.second();
    expect([await follows(), ids()]).toEqual([false, ['s0']]);
    stop();
  });

  it('resolves a look also if a host does not report', async () => {
    for (let i = 0; i <= MOST_FOLLOWED; i++) await plane.memory.addOrder(orderOf(`s${i}`));
    await allKnown();
    const looking = view.look();
    for (let i = 0; i < 80; i++) {
      rig.clock.advance(50);
      await settled();
    }
    await looking;
    expect(stream('s1')?.state).toBe('starting');
  });

  it('shows an order without a host as starting, with the reason, and without the password', async () => {
    const added = await view.addStream(gate);
    expect(added).toMatchObject({ id: 'gate', state: 'starting', source: 'rtsp://***@camera.example/gate' });
    expect(added.host).toBeUndefined();
    expect(added.lastError).toBe('It waits for capacity on 2 hosts, where live streams take 160 of 400 inferences/s.');
    expect(view.fleet().placement).toEqual({ placed: 0, waiting: 1, paused: 0 });
  });

  it.each<[string, (() => Promise<void>) | null, object, RegExp]>([
    ['no host of the pipeline', null, { pipeline: 'dock' }, /No host runs pipeline "dock": hosts run street\./],
    [
      'an assignment',
      async () => {
        await plane.memory.assign('host-1', new Map([['gate', { hostId: 'host-2', maxFps: null, sinceMs: 0 }]]));
      },
      {},
      /Host host-2 is assigned to it and has not taken it yet/,
    ],
    [
      'an assignment to a host that is gone',
      async () => {
        await plane.memory.assign('host-1', new Map([['gate', { hostId: 'host-9', maxFps: null, sinceMs: 0 }]]));
      },
      {},
      /Host host-9 does not respond; the stream moves to another host/,
    ],
    [
      'a wanted host that is gone',
      async () => {
        await view.moveStream('gate', 'host-2');
        await plane.memory.leave('host-2', 1);
        rig.beating = ['host-1'];
      },
      {},
      /Host host-2, which was chosen for it, is not in the fleet/,
    ],
    [
      'draining',
      async () => {
        for (const id of rig.beating) await view.drainHost(id, true);
      },
      {},
      /All hosts of its pipeline are being drained/,
    ],
    [
      'a lease',
      async () => {
        await plane.memory.claim('gate', 'host-2');
      },
      {},
      /Host host-2 has taken it and has not reported yet/,
    ],
  ])('explains why no host runs a stream: %s', async (_, prepare, extra, reason) => {
    await view.addStream({ ...gate, ...extra });
    await prepare?.();
    // It reads the state of the fleet again, which may take more than one turn.
    const told = async (): Promise<boolean> => {
      await rig.second();
      return reason.test(stream('gate')?.lastError ?? '');
    };
    await waitFor(`the reason ${reason}`, told, {}, () => String(stream('gate')?.lastError));
  });

  it('merges the hosts’ reports, with the host and the fence of each stream', async () => {
    await view.addStream(gate);
    await view.addStream({ ...gate, id: 'yard' });
    await rig.takeOver('host-1', 'gate', 3, 24);
    await rig.second();
    await rig.takeOver('host-2', 'yard', 4, 11);
    expect(stream('gate')).toMatchObject({ host: 'host-1', fence: 3, fps: { published: 24 } });
    expect(stream('yard')).toMatchObject({ host: 'host-2', fence: 4, fps: { published: 11 } });
    expect(view.fleet().placement).toEqual({ placed: 2, waiting: 0, paused: 0 });
    expect(view.report().host).toEqual(rig.own.host);
  });

  it('shows a stream that its host cannot run as failed, with the reason, until a newer holder runs it', async () => {
    await view.addStream(gate);
    plane.hold('gate', 'host-1', 4);
    await rig.second();
    const failures = [{ id: 'gate', fence: 4, message: '/videos/a.mp4: no such file' }];
    say('host-1', null, { timeMs: 1, streams: [], failures, host: hostReport() });
    await settled();
    expect(stream('gate')).toMatchObject({ state: 'failed', host: 'host-1', lastError: '/videos/a.mp4: no such file' });
    expect(view.fleet().placement).toEqual({ placed: 0, waiting: 1, paused: 0 });
    await rig.takeOver('host-2', 'gate', 5, 24);
    expect(stream('gate')).toMatchObject({ state: 'running', host: 'host-2', lastError: null });
  });

  it('shows no stream that is not ordered', async () => {
    await rig.takeOver('host-1', 'unknown', 3, 24);
    expect(view.report().streams).toEqual([]);
  });

  it('shows the report of the newest lease holder, whichever host reports last, and counts the rest', async () => {
    await view.addStream(gate);
    await rig.takeOver('host-1', 'gate', 3, 24);
    await rig.second();
    await rig.takeOver('host-2', 'gate', 5, 11);
    await rig.report('host-1', 'gate', 3, 25);
    expect(stream('gate')).toMatchObject({ host: 'host-2', fence: 5, fps: { published: 11 } });
    expect(view.figures().staleMessages).toBe(1);
  });

  it('drops results, pictures and events of an older lease, or without a lease', async () => {
    const got: string[] = [];
    view.onPublished(({ frame }) => got.push(`frame ${frame}`));
    view.onPreview(({ frame, jpeg }) => got.push(`picture ${frame.frame} of ${jpeg.length} bytes`));
    view.onEvent(({ message }) => got.push(message));
    plane.hold('gate', 'host-2', 6);
    await view.addStream(gate);
    view.watchDetections(new Set(['gate']));
    view.watchPreviews(new Set(['gate']));
    const event = (message: string): EventMessage => ({
      type: 'event',
      timeMs: 1,
      kind: 'stream-state',
      stream: 'gate',
      message,
    });
    for (const [host, fence, frame] of [
      ['host-2', 6, 1],
      ['host-1', 5, 2],
      ['host-1', null, 3],
    ] as const) {
      say(host, fence, publishedFrame('gate', frame), 'detections');
      say(host, fence, { frame: publishedFrame('gate', frame), jpeg: 'AAEC' }, 'preview');
      say(host, fence, event(`event ${frame}`), 'events');
    }
    await settled();
    expect(got).toEqual(['frame 1', 'picture 1 of 3 bytes', 'event 1']);
    expect(view.figures().staleMessages).toBe(6);
  });

  it('shows the planner’s events about a stream without a lease', async () => {
    const got: EventMessage[] = [];
    view.onEvent((event) => got.push(event));
    const body = { type: 'event', timeMs: 1, kind: 'stream-placed', stream: 'gate', message: 'gate goes to host-2' };
    plane.bus.publish({ topic: 'events', hostId: 'host-1', stream: null, fence: null, body });
    await settled();
    expect(got).toEqual([body]);
  });

  it('applies a fence only to the stream of the envelope', async () => {
    const got: string[] = [];
    view.onPublished(({ streamId }) => got.push(streamId));
    view.watchDetections(new Set(['gate']));
    say('host-1', 99, publishedFrame('yard', 1), 'detections', 'gate');
    await settled();
    expect(got).toEqual([]);
  });

  it('subscribes to results and pictures of watched streams only', async () => {
    const audience = async (topic: BusTopic): Promise<string[]> => [
      ...(await plane.bus.audience(topic, ['gate', 'yard'])),
    ];
    expect([await audience('detections'), await audience('preview')]).toEqual([[], []]);
    view.watchDetections(new Set(['gate']));
    view.watchPreviews(new Set(['yard']));
    expect([await audience('detections'), await audience('preview')]).toEqual([['gate'], ['yard']]);
    view.watchDetections(new Set(['yard']));
    view.watchPreviews(new Set());
    expect([await audience('detections'), await audience('preview')]).toEqual([['yard'], []]);
    view.close();
    expect([await audience('detections'), await audience('stats')]).toEqual([[], []]);
  });

  it('counts malformed messages and continues', async () => {
    say('host-1', null, { streams: 'many' });
    say('host-1', null, null, 'events');
    await settled();
    expect(view.figures().malformedMessages).toBe(2);
    await view.addStream(gate);
    await rig.takeOver('host-1', 'gate', 1, 24);
    expect(stream('gate')?.host).toBe('host-1');
  });

  it('shows a silent host as silent and its streams as waiting, and later removes it', async () => {
    const states = (): string[] => view.fleet().hosts.map(({ id, state }) => `${id} ${state}`);
    await view.addStream(gate);
    await rig.report('host-2', 'gate', (await plane.memory.claim('gate', 'host-2'))!, 24);
    expect(states()).toEqual(['host-1 ready', 'host-2 ready']);

    // It stays listed until its lease expires, but sends no reports.
    const seconds = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 1) {
        await rig.report('host-1', 'yard', 3, 24);
        await rig.second();
      }
    };
    await seconds(6);
    expect(states()).toEqual(['host-1 ready', 'host-2 silent']);
    rig.beating = ['host-1'];
    await seconds(6);
    expect(stream('gate')).toMatchObject({ state: 'starting', lastError: expect.stringMatching(/waits for capacity/) });

    await seconds(25);
    expect(states()).toEqual(['host-1 ready']);
  });

  it('removes a host that leaves cleanly at once', async () => {
    await rig.report('host-2', 'gate', 1, 24);
    rig.beating = ['host-1'];
    await plane.memory.leave('host-2', 1);
    await rig.second();
    expect(view.fleet().hosts.map(({ id }) => id)).toEqual(['host-1']);
  });

  it('shows a pause or resume before the host has carried it out', async () => {
    await view.addStream(gate);
    await rig.takeOver('host-1', 'gate', 1, 24);
    expect((await view.pauseStream('gate')).state).toBe('pausing');
    expect(view.fleet().placement).toEqual({ placed: 0, waiting: 0, paused: 1 });
    say('host-1', null, {
      timeMs: 1,
      streams: [{ ...streamReport('gate'), state: 'paused', fence: 1 }],
      failures: [],
      host: hostReport(),
    });
    await settled();
    expect(stream('gate')?.state).toBe('paused');
    expect((await view.resumeStream('gate')).state).toBe('starting');
  });

  it('writes orders, with the defaults of its pipeline, and wakes the hosts', async () => {
    const woken: (string | null)[] = [];
    plane.bus.subscribe('wake', null, ({ stream: id }) => woken.push(id));
    await view.addStream(gate);
    await view.changeStream('gate', { priority: 5 });
    await view.moveStream('gate', 'host-2');
    await view.drainHost('host-2', true);
    const { orders, draining } = await plane.snapshot();
    expect(orders).toMatchObject([
      { id: 'gate', pipeline: 'street', wantedHost: 'host-2', config: { priority: 5, maxFps: 12, ...gate } },
    ]);
    expect([...draining]).toEqual(['host-2']);
    await view.removeStream('gate');
    expect(view.report().streams).toEqual([]);
    await settled();
    expect(woken).toEqual(['gate', 'gate', 'gate', null, 'gate']);
  });

  it.each<[string, (view: FleetView) => Promise<unknown>, string, RegExp]>([
    ['a malformed stream', (v) => v.addStream(7), 'CONFIG_INVALID', /stream: document: expected a section, received 7/],
    ['a stream without a source', (v) => v.addStream({ id: 'x' }), 'CONFIG_INVALID', /source: expected text/],
    ['an unknown key', (v) => v.addStream({ ...gate, prioritty: 2 }), 'CONFIG_INVALID', /did you mean "priority"/],
    [
      'a source that is not admitted',
      (v) => v.addStream({ id: 'x', source: 'file:/a' }),
      'SOURCE_FORBIDDEN',
      /refused/,
    ],
    ['a second stream with an id', (v) => v.addStream({ ...gate, id: 'known' }), 'STREAM_EXISTS', /known/],
    [
      'a patch of an unknown stream',
      (v) => v.changeStream('no', {}),
      'STREAM_NOT_FOUND',
      /streams of the fleet: known/,
    ],
    ['a malformed patch', (v) => v.changeStream('known', [1]), 'CONFIG_INVALID', /expected/],
    ['another id', (v) => v.changeStream('known', { id: 'x' }), 'CONFIG_INVALID', /expected the same id, received "x"/],
    [
      'a patch to a refused source',
      (v) => v.changeStream('known', { source: 'file:/a' }),
      'SOURCE_FORBIDDEN',
      /refused/,
    ],
    ['a pause of an unknown stream', (v) => v.pauseStream('no'), 'STREAM_NOT_FOUND', /not found/],
    ['a removal of an unknown stream', (v) => v.removeStream('no'), 'STREAM_NOT_FOUND', /not found/],
    [
      'a move to an unknown host',
      (v) => v.moveStream('known', 'host-9'),
      'HOST_NOT_FOUND',
      /hosts of the fleet: host-1, host-2/,
    ],
    [
      'a drain of an unknown host',
      (v) => v.drainHost('host-9', true),
      'HOST_NOT_FOUND',
      /hosts of the fleet: host-1, host-2/,
    ],
    [
      'a relative input',
      (v) => v.submitJob({ inputs: ['a.mp4'], outDir: '/r' }),
      'CONFIG_INVALID',
      /inputs\[0\]: expected an absolute path/,
    ],
    [
      'a job without inputs',
      (v) => v.submitJob({ inputs: [], outDir: '/r' }),
      'CONFIG_INVALID',
      /inputs: expected at least 1/,
    ],
    ['an unknown job', (v) => v.job('no'), 'JOB_NOT_FOUND', /not found/],
  ])('refuses %s', async (_, act, code, message) => {
    await view.addStream({ ...gate, id: 'known' });
    await expect(act(view)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('refuses to move a stream to a host of another pipeline, and names the suitable hosts', async () => {
    await plane.beat(hostCard('host-3', { pipeline: 'dock' }));
    await view.addStream(gate);
    await expect(view.moveStream('gate', 'host-3')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('expected a host of pipeline "street" (host-1, host-2), received "host-3"'),
    });
    expect((await view.moveStream('gate', null)).id).toBe('gate');
  });

  it('tries rules on the host that runs the stream, and says which one that is', async () => {
    await view.addStream(gate);
    await expect(view.tryRules('gate', {})).rejects.toMatchObject({
      code: 'STREAM_STATE',
      message: expect.stringContaining('stream "gate" runs on no host now'),
    });
    rig.own.put(streamReport('gate'));
    await rig.takeOver('host-1', 'gate', 1, 10);
    expect((await view.tryRules('gate', { events: [] })).results).toBe(54_000);
    expect(rig.own.calls).toEqual(['try gate {"events":[]}']);
    await rig.takeOver('host-2', 'gate', 2, 10);
    await rig.second();
    await expect(view.tryRules('gate', {})).rejects.toMatchObject({
      code: 'STREAM_STATE',
      message: expect.stringContaining('runs on host "host-2"; rules can be tried at the gateway of its own host'),
    });
    await expect(view.tryRules('yard', {})).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
  });

  it('emits a report every second, with hosts, jobs, queue and recommendation', async () => {
    const reports: StreamsReply[] = [];
    view.onReport((each) => reports.push(each));
    plane.tasks.put(jobReport('nightly', { state: 'running', progressRatio: 0.4 }));
    plane.tasks.waiting = { waiting: 7, active: 2, oldestWaitingMs: 4000 };
    await rig.second();
    expect(reports).toHaveLength(1);
    expect(reports[0]!.fleet).toMatchObject({
      hosts: [{ id: 'host-1', state: 'ready' }, { id: 'host-2' }],
      jobs: [{ id: 'nightly', progressRatio: 0.4 }],
      queue: { waiting: 7, active: 2, oldestWaitingMs: 4000 },
      scale: { recommendedHosts: 3 },
    });
  });

  it('shows every unfinished job and the newest twenty of the others', async () => {
    plane.tasks.put(jobReport('oldest', { state: 'running' }));
    for (let i = 0; i < 30; i += 1) plane.tasks.put(jobReport(`done-${i}`, { state: 'done' }));
    await rig.second();
    const { jobs } = view.fleet();
    expect(jobs).toHaveLength(21);
    expect(jobs.at(0)?.id).toBe('done-29');
    expect(jobs.at(-1)?.id).toBe('oldest');
    expect(await view.jobs()).toHaveLength(31);
  });

  it('submits, shows, cancels and retries jobs', async () => {
    const report = await view.submitJob({ inputs: ['/v/a.mp4', '/v/b.mp4'], outDir: '/r', track: true });
    expect(report).toMatchObject({ inputs: 2, outDir: '/r', pipeline: 'street' });
    expect(report.id).toMatch(/^job-\d{8}-\d{6}-[0-9a-f]{4}$/);
    const { order } = await view.job(report.id);
    expect(order).toMatchObject({ track: true, every: 1, segmentSeconds: 60, priority: 0 });
    expect(order).not.toHaveProperty('inputs');
    plane.tasks.put(jobReport('bad', { state: 'failed', deadLetters: 2 }));
    expect(await view.retryJob('bad')).toBe(2);
    expect((await view.cancelJob('bad')).state).toBe('cancelled');
  });

  it('keeps showing the hosts’ reports while the control plane is down, reports it, and recovers', async () => {
    plane.hold('gate', 'host-1', 1);
    await view.addStream(gate);
    plane.isDown = true;
    const reports: StreamsReply[] = [];
    view.onReport((each) => reports.push(each));
    await rig.second();
    await rig.report('host-1', 'gate', 1, 24);
    await rig.second();
    expect(reports.at(-1)?.streams[0]).toMatchObject({ host: 'host-1', fps: { published: 24 } });
    expect(view.readiness()).toEqual({ isReady: false, reason: expect.stringContaining('no answer') });
    await expect(view.addStream({ ...gate, id: 'yard' })).rejects.toMatchObject({ code: 'CONTROL_UNREACHABLE' });
    plane.isDown = false;
    await rig.second();
    expect(view.readiness()).toEqual(rig.own.ready);
    plane.trouble = 'the state of the fleet was lost';
    expect(view.readiness()).toEqual({ isReady: false, reason: 'the state of the fleet was lost' });
  });
});
