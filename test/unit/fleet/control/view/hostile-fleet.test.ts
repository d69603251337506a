import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../../../../src/base/flow/incidents.ts';
import type { EventMessage } from '../../../../../src/wire/protocol/feed.ts';
import { BUS_TOPICS } from '../../../../../src/wire/protocol/fleet.ts';
import { busSample } from '../../../../support/bus-samples.ts';
import { FleetRig, settled } from '../../../../support/fleet-rig.ts';
import { mutationsOf } from '../../../../support/mutations.ts';
import { openGateway } from '../../../../support/open-gateways.ts';
import { publishedFrame } from '../../../../support/runtime-double.ts';
import { hostReport, streamReport } from '../../../../support/sample-reports.ts';

const gate = { id: 'gate', source: 'rtsp://camera.example/gate' };
const FORGED = 9e15;

describe('a gateway that receives arbitrary messages', () => {
  let rig: FleetRig;
  let incidents: Incidents;

  beforeEach(async () => {
    incidents = new Incidents();
    rig = await FleetRig.open({ incidents });
    await rig.view.addStream(gate);
    await rig.takeOver('host-1', 'gate', 7, 24);
    rig.view.watchDetections(new Set(['gate']));
    rig.view.watchPreviews(new Set(['gate']));
  });
  afterEach(() => rig.view.close());

  const refused = (channel: string, reason: string): number =>
    incidents.refusals.find((one) => one.channel === channel && one.reason === reason)?.count ?? 0;

  it.each(BUS_TOPICS)('survives any body of topic %s', async (topic) => {
    const { url } = await openGateway(rig.view, { fleet: rig.view, incidents });
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutationsOf(busSample(topic)), fc.jsonValue()), async (body) => {
        const stream = topic === 'stats' || topic === 'wake' ? null : 'gate';
        rig.plane.bus.publish({ topic, hostId: 'host-1', stream, fence: stream === null ? null : 7, body });
        await settled();
        expect(rig.view.report().streams).toHaveLength(1);
      }),
      { numRuns: 200 },
    );
    expect(incidents.caught.size).toBe(0);
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    await rig.report('host-1', 'gate', 7, 23);
    expect(rig.view.report().streams[0]).toMatchObject({ host: 'host-1', fps: { published: 23 } });
  });

  it('accepts a higher fence only when the lease record has it, and counts refused messages', async () => {
    const seen: number[] = [];
    rig.view.onPublished(({ frame }) => seen.push(frame));
    const say = async (hostId: string, fence: number, frame: number): Promise<void> => {
      const body = publishedFrame('gate', frame);
      rig.plane.bus.publish({ topic: 'detections', hostId, stream: 'gate', fence, body });
      await settled();
    };
    await say('host-2', FORGED, 1);
    await say('host-1', 7, 2);
    await say('host-2', 7, 3);
    expect(seen, 'the holder counts as before').toEqual([2]);
    expect(refused('bus-detections', 'fence')).toBe(2);

    rig.plane.hold('gate', 'host-2', 8);
    rig.clock.advance(250);
    await say('host-2', 8, 4);
    await say('host-2', 8, 5);
    await say('host-1', 7, 6);
    expect(seen, 'the first message of the new holder only causes a lookup').toEqual([2, 5]);
    expect(refused('bus-detections', 'stale')).toBe(1);
  });

  it('shows a new holder’s report as soon as the record confirms it, and never a forged one', async () => {
    await rig.report('host-2', 'gate', FORGED, 99);
    await rig.second();
    expect(rig.view.report().streams[0]).toMatchObject({ host: 'host-1', fence: 7, fps: { published: 24 } });
    rig.plane.hold('gate', 'host-2', 9);
    await rig.report('host-2', 'gate', 9, 11);
    expect(rig.view.report().streams[0]).toMatchObject({ host: 'host-2', fence: 9, fps: { published: 11 } });
  });

  it('holds a new holder’s first events until its lease is confirmed, and drops forged ones', async () => {
    const told: string[] = [];
    rig.view.onEvent(({ message }) => told.push(message));
    const say = async (hostId: string, fence: number, message: string): Promise<void> => {
      const body: EventMessage = { type: 'event', timeMs: 1, kind: 'stream-state', stream: 'gate', message };
      rig.plane.bus.publish({ topic: 'events', hostId, stream: 'gate', fence, body });
      await settled();
    };
    rig.plane.hold('gate', 'host-2', 8);
    await say('host-2', 8, 'it runs here');
    rig.clock.advance(250);
    await say('host-2', FORGED, 'forged');
    rig.clock.advance(250);
    await settled();
    expect(told).toEqual(['it runs here']);
    expect(refused('bus-events', 'fence')).toBe(1);
  });

  it('reads lease records at most a few times a second, whatever messages claim', async () => {
    let asked = 0;
    const { leases } = rig.plane.memory;
    rig.plane.memory.leases = (streamIds) => {
      asked += 1;
      return leases.call(rig.plane.memory, streamIds);
    };
    rig.clock.advance(250);
    for (let i = 0; i < 1000; i++) {
      const body = publishedFrame('gate', i);
      rig.plane.bus.publish({ topic: 'detections', hostId: 'h9', stream: 'gate', fence: FORGED + i, body });
      if (i % 100 === 0) await settled();
    }
    await settled();
    expect(asked).toBe(1);
    rig.clock.advance(250);
    await settled();
    expect(asked).toBe(2);
  });

  it('keeps a bounded number of unknown hosts', async () => {
    for (let i = 0; i < 1000; i++) {
      const streams = [{ ...streamReport('gate'), fence: FORGED }];
      const body = { timeMs: 1, streams, failures: [], host: hostReport() };
      rig.plane.bus.publish({ topic: 'stats', hostId: `h${i}`, stream: null, fence: null, body });
    }
    await settled();
    expect(refused('bus-stats', 'envelope')).toBeGreaterThan(800);
    await rig.report('host-1', 'gate', 7, 22);
    expect(rig.view.report().streams[0]).toMatchObject({ host: 'host-1', fps: { published: 22 } });
  });
});
