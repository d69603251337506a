import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BusMessage, FleetBus } from '../../../../../src/fleet/control/control-plane.ts';
import { FleetPublisher, type HeldLeases } from '../../../../../src/fleet/control/hosting/fleet-publisher.ts';
import { MemoryBus } from '../../../../../src/fleet/control/memory/memory-bus.ts';
import type { EventMessage } from '../../../../../src/wire/protocol/feed.ts';
import type { BusTopic } from '../../../../../src/wire/protocol/fleet.ts';
import type { PreviewBody, StatsBody } from '../../../../../src/wire/protocol/fleet-bus.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';
import { publishedFrame, RuntimeDouble } from '../../../../support/runtime-double.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('fleet publisher', () => {
  const fences = new Map<string, number>();
  const lost = new Set<string>();
  let kept: ReturnType<HeldLeases['streams']> = [];
  let clock: ManualClock;
  let port: RuntimeDouble;
  let bus: MemoryBus;
  let heard: BusMessage[];
  let publisher: FleetPublisher;

  beforeEach(() => {
    fences.clear();
    lost.clear();
    kept = [];
    fences.set('gate', 7).set('yard', 8);
    clock = new ManualClock();
    port = new RuntimeDouble(['gate', 'yard', 'segment-of-a-job']);
    bus = new MemoryBus();
    heard = [];
    publisher = open(bus);
  });
  afterEach(() => publisher.close());

  function open(on: FleetBus): FleetPublisher {
    const leases = {
      fence: (id: string) => fences.get(id) ?? null,
      mayPublish: (id: string) => !lost.has(id),
      streams: () => kept,
    };
    return new FleetPublisher({ bus: on, hostId: 'host-1', port, leases, clock });
  }

  function listen(topic: BusTopic, stream: string | null): () => void {
    return bus.subscribe(topic, stream, (message) => heard.push(message));
  }

  /** Publishes the next report and waits a second, until the audience has been queried. */
  async function second(): Promise<void> {
    port.tick();
    clock.advance(1000);
    await settled();
  }

  it('publishes statistics every second, only of leased streams, each with its fence', async () => {
    listen('stats', null);
    port.tick();
    await settled();
    expect(heard).toMatchObject([{ topic: 'stats', hostId: 'host-1', stream: null, fence: null }]);
    const { streams, host } = heard[0]!.body as StatsBody;
    expect(streams.map(({ id, fence }) => [id, fence])).toEqual([
      ['gate', 7],
      ['yard', 8],
    ]);
    expect(host).toEqual(port.host);
  });

  it('publishes no statistics while nobody follows them, within a second of the last', async () => {
    const stop = listen('stats', null);
    await second();
    await second();
    expect(heard).toHaveLength(2);
    stop();
    await second();
    listen('detections', null);
    const sent: BusMessage[] = [];
    const { publish } = bus;
    bus.publish = (message) => {
      sent.push(message);
      publish.call(bus, message);
    };
    await second();
    expect(sent.filter(({ topic }) => topic === 'stats')).toEqual([]);
    listen('stats', null);
    await second();
    await second();
    expect(heard.filter(({ topic }) => topic === 'stats')).toHaveLength(3);
  });

  it('reports which streams it holds but cannot run, and why', async () => {
    kept = [
      { id: 'gate', fence: 7, failure: null },
      { id: 'dock', fence: 9, failure: { message: '/videos/a.mp4: no such file' } },
      { id: 'hall', fence: null, failure: { message: 'not its concern any more' } },
    ];
    listen('stats', null);
    port.tick();
    await settled();
    const { failures } = heard[0]!.body as StatsBody;
    expect(failures).toEqual([{ id: 'dock', fence: 9, message: '/videos/a.mp4: no such file' }]);
  });

  it('publishes results only while that stream has subscribers', async () => {
    const stop = listen('detections', 'gate');
    await second();
    const box = [10.123_456_789, 20, 30, 40] as const;
    port.publish(publishedFrame('gate', 1, [{ classId: 0, label: 'person', score: 0.912_345, box }]));
    port.publish(publishedFrame('yard', 1));
    await settled();
    expect(heard).toMatchObject([
      { topic: 'detections', stream: 'gate', fence: 7, body: { frame: 1, times: { captured: 1040 } } },
    ]);
    expect(heard[0]!.body).toMatchObject({ detections: [{ score: 0.9123, box: [10.1, 20, 30, 40] }] });

    stop();
    await second();
    const later = listen('detections', null);
    port.publish(publishedFrame('gate', 2));
    await settled();
    later();
    expect(heard).toHaveLength(1);
  });

  it('requests pictures only of watched streams, and publishes them as base64', async () => {
    listen('preview', 'yard');
    await second();
    expect([...port.watched]).toEqual(['yard']);
    port.preview(publishedFrame('yard', 3), Uint8Array.of(1, 2, 3).subarray(1));
    port.preview(publishedFrame('gate', 3), Uint8Array.of(9));
    await settled();
    expect(heard.map(({ stream, fence }) => [stream, fence])).toEqual([['yard', 8]]);
    expect((heard[0]!.body as PreviewBody).jpeg).toBe(Buffer.of(2, 3).toString('base64'));
  });

  it('publishes nothing for a stream whose lease may have expired, or without a lease', async () => {
    for (const topic of ['detections', 'preview', 'events', 'stats'] as const) listen(topic, null);
    await second();
    heard.length = 0;
    lost.add('gate');
    port.publish(publishedFrame('gate', 1));
    port.preview(publishedFrame('gate', 1), Uint8Array.of(1));
    for (const stream of ['gate', 'segment-of-a-job']) {
      port.emitEvent({ type: 'event', timeMs: 1, kind: 'stream-state', stream, message: 'It runs.' });
    }
    await settled();
    expect(heard).toEqual([]);
    expect(publisher.withheldCount).toBe(3);
    port.tick();
    await settled();
    expect((heard[0]!.body as StatsBody).streams.map(({ id }) => id)).toEqual(['yard']);
  });

  it('publishes events of the host and of its streams', async () => {
    listen('events', null);
    port.emitEvent({ type: 'event', timeMs: 1, kind: 'engine-restarted', message: 'The engine is back.' });
    port.emitEvent({ type: 'event', timeMs: 2, kind: 'target-missed', stream: 'yard', message: 'Too slow.' });
    await settled();
    expect(heard.map(({ stream, fence }) => [stream, fence])).toEqual([
      [null, null],
      ['yard', 8],
    ]);
    expect(heard.map(({ body }) => (body as EventMessage).host)).toEqual(['host-1', 'host-1']);
  });

  it('publishes no results while the audience query fails, and resumes when it succeeds', async () => {
    let isDown = false;
    const flaky: FleetBus = {
      publish: (message) => heard.push(message),
      subscribe: () => () => {},
      audience: async (_, streams) => {
        if (isDown) throw new Error('no answer');
        return new Set(streams);
      },
      droppedCount: 0,
    };
    publisher.close();
    publisher = open(flaky);
    await second();
    expect(port.watched.size).toBe(2);
    isDown = true;
    await second();
    expect(port.watched.size).toBe(0);
    isDown = false;
    await second();
    expect(port.watched.size).toBe(2);
  });

  it('unsubscribes from the runtime when closed', async () => {
    listen('preview', 'yard');
    await second();
    publisher.close();
    expect(port.listenerCount).toBe(0);
    expect(port.watched.size).toBe(0);
    clock.advance(5000);
    await settled();
    expect(port.watched.size).toBe(0);
  });
});
