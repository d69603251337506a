import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BusMessage } from '../../src/fleet/control/control-plane.ts';
import type { BusTopic } from '../../src/wire/protocol/fleet.ts';
import { waitFor } from '../support/wait-for.ts';
import { type FleetRig, rigMakers } from './control-plane-rigs.ts';

describe.each(rigMakers())('the bus of a fleet in $name', (maker) => {
  let rig: FleetRig;

  beforeEach(async ({ skip }) => {
    if (maker.isSkipped) skip();
    rig = await maker.open();
  });
  afterEach(async () => rig?.close());
  afterAll(() => maker.close());

  const message = (topic: BusTopic, stream: string | null, body: unknown = { n: 1 }): BusMessage => ({
    topic,
    hostId: 'a',
    stream,
    fence: stream === null ? null : 1_800_000_000_000_001,
    body,
  });

  /** Subscribes, and waits until `audience` reports the subscription. */
  async function listen(topic: BusTopic, stream: string | null) {
    const heard: BusMessage[] = [];
    const stop = rig.bus.subscribe(topic, stream, (message) => heard.push(message));
    await untilAudience(topic, stream ?? 'any', true);
    return { heard, stop };
  }

  async function untilAudience(topic: BusTopic, stream: string, isWanted: boolean): Promise<void> {
    let audience: ReadonlySet<string> = new Set();
    for (let i = 0; i < 500; i++) {
      audience = await rig.bus.audience(topic, [stream]);
      if (audience.has(stream) === isWanted) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`the audience of ${topic} of ${stream} stays ${[...audience]}`);
  }

  it('delivers a message unchanged to the subscribers of its stream only', async () => {
    const s = await listen('detections', 's');
    const t = await listen('detections', 't');
    const preview = await listen('preview', 's');
    const body = { list: [1.5, 'ü', null, { deep: true }] };
    rig.bus.publish(message('detections', 's', body));
    rig.bus.publish(message('detections', 't', 'last'));
    await waitFor('both messages', () => s.heard.length > 0 && t.heard.length > 0);
    expect(s.heard).toEqual([message('detections', 's', body)]);
    expect(t.heard).toEqual([message('detections', 't', 'last')]);
    expect(preview.heard).toEqual([]);
  });

  it('delivers messages of all streams and of hosts to subscribers to all', async () => {
    const all = await listen('events', null);
    rig.bus.publish(message('events', 's', 1));
    rig.bus.publish(message('events', null, 2));
    rig.bus.publish(message('stats', 's', 3));
    rig.bus.publish(message('events', 't', 4));
    await waitFor('three messages', () => all.heard.length === 3);
    expect(all.heard.map(({ body }) => body)).toEqual([1, 2, 4]);
  });

  it('calls each listener once, even if one subscribes to all and another to one stream', async () => {
    const all = await listen('detections', null);
    const one = await listen('detections', 's');
    const same = await listen('detections', 's');
    rig.bus.publish(message('detections', 's', 1));
    rig.bus.publish(message('detections', 's', 2));
    await waitFor('all of them', () => [all, one, same].every(({ heard }) => heard.length >= 2));
    for (const { heard } of [all, one, same]) expect(heard.map(({ body }) => body)).toEqual([1, 2]);
  });

  it('knows which streams have subscribers', async () => {
    expect(await rig.bus.audience('preview', ['s', 't'])).toEqual(new Set());
    const first = await listen('preview', 's');
    const second = await listen('preview', 's');
    expect(await rig.bus.audience('preview', ['s', 't'])).toEqual(new Set(['s']));
    expect(await rig.bus.audience('detections', ['s', 't'])).toEqual(new Set());
    first.stop();
    expect(await rig.bus.audience('preview', ['s', 't'])).toEqual(new Set(['s']));
    second.stop();
    await untilAudience('preview', 's', false);
  });

  it('counts subscribers to all as audience of every stream', async () => {
    const all = await listen('preview', null);
    expect(await rig.bus.audience('preview', ['s', 't'])).toEqual(new Set(['s', 't']));
    expect(await rig.bus.audience('preview', [])).toEqual(new Set());
    all.stop();
    await untilAudience('preview', 's', false);
  });

  it('no longer calls a listener that unsubscribed, only the others', async () => {
    const stopped = await listen('detections', 's');
    const other = await listen('detections', 's');
    stopped.stop();
    stopped.stop();
    rig.bus.publish(message('detections', 's'));
    await waitFor('the message', () => other.heard.length === 1);
    expect(stopped.heard).toEqual([]);
  });

  it('accepts a listener after all others of the stream have unsubscribed', async () => {
    const first = await listen('detections', 's');
    first.stop();
    const second = await listen('detections', 's');
    rig.bus.publish(message('detections', 's'));
    await waitFor('the message', () => second.heard.length === 1);
    expect(first.heard).toEqual([]);
  });

  it('never calls a listener before publish has returned', async () => {
    const { heard } = await listen('detections', 's');
    rig.bus.publish(message('detections', 's'));
    expect(heard).toEqual([]);
    await waitFor('the message', () => heard.length === 1);
  });

  it('drops nothing while connected', async () => {
    const { heard } = await listen('detections', 's');
    for (let i = 0; i < 500; i++) rig.bus.publish(message('detections', 's', i));
    await waitFor('500 messages', () => heard.length === 500);
    expect(heard.map(({ body }) => body)).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(rig.bus.droppedCount).toBe(0);
  });
});
