import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../src/base/flow/incidents.ts';
import type { ControlPlane } from '../../src/fleet/control/control-plane.ts';
import { HostAgent } from '../../src/fleet/control/hosting/host-agent.ts';
import { LeasedEvents } from '../../src/fleet/control/hosting/leased-events.ts';
import { PLAN_DEFAULTS } from '../../src/fleet/control/planning/plan-options.ts';
import { openRedisControlPlane } from '../../src/fleet/control/redis/redis-control-plane.ts';
import { fleetRunner } from '../../src/serve/host/fleet-runner.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import type { CloudEvent, RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import { CutEvents, CutState } from '../support/agent-rig.ts';
import { hostCard, streamOrder } from '../support/fleet-world.ts';
import { HostProcess } from '../support/host-process.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { waitFor } from '../support/wait-for.ts';

const LEASE_MS = 2_000;
const BEAT_MS = 250;
const FLEET_KEY = 'e7'.repeat(32);
const CAMERA = {
  source: 'synthetic:testsrc2=size=64x64:rate=10',
  policy: 'live',
  // True from the first frame on, and for as long as the stream runs.
  events: [{ id: 'few', kind: 'count', below: 1000, for: '200ms' }],
};
const FILE = {
  name: 'street',
  description: 'A camera and a rule.',
  model: { engine: 'fake', inputSize: '64x64', threads: 1 },
  lanes: 1,
  fleet: { leaseMs: LEASE_MS, beatMs: BEAT_MS, capacityFps: 60, bulkConcurrency: 0 },
};

describe.skipIf(redisMissing !== null)('events of rules in a fleet over a real Redis', () => {
  let redis: RedisServer;
  let control: ControlPlane;
  let folder: string;
  const close: (() => unknown)[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-fleet-events-'));
    redis = await RedisServer.open();
    control = await openRedisControlPlane({ url: redis.url, leaseMs: LEASE_MS, fleetKeys: FLEET_KEY });
  });
  afterEach(async () => {
    redis.resume();
    for (const each of close.splice(0).reverse()) await each();
    await control.close();
    await redis.close();
    rmSync(folder, { recursive: true });
  });

  const holder = async (): Promise<string | undefined> => (await control.state.leases(['cam'])).get('cam')?.hostId;
  const brief = ({ id, seq, phase, endReason }: RuleEvent): string => `${id}.${seq} ${endReason ?? phase}`;

  /** Whether the fleet knows of one open event that all of it was handed out. */
  const isSettled = async (): Promise<boolean> => {
    const kept = [...(await control.events.kept('cam')).values()];
    return kept.length === 1 && kept[0]?.isSent === true;
  };

  it('of a host that was killed end as moved, once, and a suspended host that comes back is silent', async () => {
    process.env.SIGHTLINE_FLEET_KEYS = FLEET_KEY;
    close.push(() => delete process.env.SIGHTLINE_FLEET_KEYS);
    const hosts = new Map<string, HostProcess>();
    close.push(async () => {
      for (const host of hosts.values()) await host.kill();
    });
    const files: { readonly host: string; readonly path: string }[] = [];
    const start = async (id: string): Promise<void> => {
      const path = join(folder, `${files.length}-${id}.jsonl`);
      files.push({ host: id, path });
      const sinks = [{ type: 'jsonl', path, send: ['events'] }];
      const pipeline = join(folder, `${id}.json`);
      writeFileSync(pipeline, JSON.stringify({ ...FILE, sinks, streams: [{ id: 'cam', ...CAMERA }] }));
      hosts.set(id, await HostProcess.start(id, [pipeline, '--redis', redis.url]));
    };
    /** What sinks of a host have got. */
    const got = (host: string): RuleEvent[] =>
      files
        .filter((file) => file.host === host)
        .flatMap(({ path }) => (existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []))
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as CloudEvent).data);
    await start('a');
    await start('b');
    await waitFor('an event that the fleet knows to be out', isSettled, { deadlineMs: 30_000 });
    const [first, second] = (await holder()) === 'a' ? ['a', 'b'] : ['b', 'a'];
    const [opened] = got(first!);
    expect(got(first!).map(brief)).toEqual([`${opened!.id}.0 new`]);
    // Its own gateway also gets it from the bus, and has it once, whole.
    const found = async (): Promise<unknown[]> => {
      const response = await fetch(`${hosts.get(first!)!.url}/api/events?type=rule`);
      return ((await response.json()) as { events: { rule?: RuleEvent }[] }).events.map(({ rule }) => rule);
    };
    await waitFor('the event in the history', async () => (await found()).length > 0);
    expect(await found()).toEqual([opened]);
    await hosts.get(first!)!.kill();
    await waitFor('the end from the other host, and its own event', () => got(second!).length >= 2);
    const [end, own] = got(second!);
    expect([end, own].map((event) => brief(event!))).toEqual([`${opened!.id}.1 moved`, `${own!.id}.0 new`]);
    expect(end!.fence).toBeGreaterThan(opened!.fence!);
    expect(end).toMatchObject({ began: opened!.began, raised: opened!.raised, reason: opened!.reason });

    await waitFor('that the fleet knows it', isSettled);
    await start(first!);
    hosts.get(second!)!.signal('SIGSTOP');
    await waitFor('an event of the first host', () => got(first!).length >= 3, { deadlineMs: 30_000 });
    hosts.get(second!)!.signal('SIGCONT');
    await waitFor('a heartbeat of the host that was suspended', async () =>
      (await control.state.snapshot()).hosts.some((host) => host.id === second),
    );
    await hosts.get(second!)!.stop();
    expect(got(second!).map(brief)).toEqual([`${opened!.id}.1 moved`, `${own!.id}.0 new`]);
    await hosts.get(first!)!.stop();
    const last = got(first!)[2]!;
    expect(got(first!).slice(1).map(brief)).toEqual([`${own!.id}.1 moved`, `${last.id}.0 new`, `${last.id}.1 moved`]);
    expect((await control.events.kept('cam')).size).toBe(0);
  }, 240_000);

  it('of a host that is cut off from Redis end on the other one, and what happens on it meanwhile is withheld', async () => {
    const handedOut: { host: string; event: RuleEvent }[] = [];
    const a = await joined('a', handedOut);
    const b = await joined('b', handedOut);
    await control.state.addOrder(streamOrder('cam', CAMERA));
    await waitFor('an event that the fleet knows to be out', isSettled);
    const [cut, other] = (await holder()) === 'a' ? [a, b] : [b, a];
    cut.line.isCut = true;
    cut.eventLine.isCut = true;
    await waitFor(
      'an event of the other host',
      () => handedOut.filter(({ event }) => event.phase === 'new').length > 1,
    );
    const [first] = handedOut;
    expect(handedOut.map(({ host, event }) => `${host} ${brief(event)}`)).toEqual([
      `${cut.id} ${first!.event.id}.0 new`,
      `${other.id} ${first!.event.id}.1 moved`,
      `${other.id} ${handedOut[2]!.event.id}.0 new`,
    ]);
    await waitFor('that its end is withheld', () => cut.events.withheldCount > 0);
    expect(handedOut.filter(({ host }) => host === cut.id)).toHaveLength(1);
    cut.line.isCut = false;
    cut.eventLine.isCut = false;
    await waitFor('a heartbeat', async () => (await control.state.snapshot()).hosts.length === 2);
    await waitFor('that the fleet knows its event to be out', isSettled);
    // The fleet keeps what this host reports from now on, but the host does not get to know it.
    other.eventLine.losesAnswers = true;
    await control.state.setDraining(other.id, true);
    await waitFor('the stream on the first host', () =>
      handedOut.some(({ host, event }) => host === cut.id && event.fence! > handedOut[2]!.event.fence!),
    );
    await waitFor('its own event', () => handedOut.at(-1)!.event.phase === 'new' && handedOut.at(-1)!.host === cut.id);
    const phases = (id: string): string[] => handedOut.flatMap(({ event }) => (event.id === id ? [event.phase] : []));
    for (const event of [first!.event, handedOut[2]!.event]) expect(phases(event.id)).toEqual(['new', 'end']);
  }, 120_000);

  interface Joined {
    readonly id: string;
    readonly host: PipelineHost;
    readonly events: LeasedEvents;
    readonly line: CutState;
    readonly eventLine: CutEvents;
  }

  async function joined(id: string, handedOut: { host: string; event: RuleEvent }[]): Promise<Joined> {
    const own = await openRedisControlPlane({ url: redis.url, leaseMs: LEASE_MS, fleetKeys: FLEET_KEY });
    const line = new CutState(own.state);
    const eventLine = new CutEvents(own.events);
    const events = new LeasedEvents({
      events: eventLine,
      hostId: id,
      incidents: new Incidents(),
      onNotice: () => undefined,
      deliver: (event, mayHandOut) => host.deliverEvent(event, mayHandOut),
    });
    const host = await PipelineHost.open(parsePipeline(JSON.stringify(FILE), 'test'), {
      environment: { ffmpegPath: testFfmpeg.path, searchPath: '', modelPath: [], cacheDir: folder, token: undefined },
      stdout: process.stdout,
      onNotice: () => undefined,
      admit: () => Promise.resolve(),
      ownSources: () => undefined,
      lendEvent: (event) => events.record(event),
    });
    host.onRuleEvent((event) => handedOut.push({ host: id, event }));
    const { liveFps: _, bulkFps: __, streams: ___, segments: ____, ...card } = hostCard(id, 60);
    const agent = new HostAgent({
      control: { state: line, bus: own.bus },
      runner: fleetRunner(host),
      events,
      card: { ...card, startedMs: Date.now() },
      beatMs: BEAT_MS,
      leaseMs: LEASE_MS,
      plan: { ...PLAN_DEFAULTS, fillRatio: 0.8, movesPerSecond: 100 },
      onDraining: () => undefined,
      onNotice: () => undefined,
    });
    await agent.start();
    close.push(async () => {
      Object.assign(line, { isCut: false });
      Object.assign(eventLine, { isCut: false, losesAnswers: false });
      await agent.stop();
      await host.stop();
      await own.close();
    });
    return { id, host, events, line, eventLine };
  }
});
