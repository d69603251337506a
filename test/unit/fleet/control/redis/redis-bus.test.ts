import { EventEmitter } from 'node:events';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../../../../src/base/flow/incidents.ts';
import type { BusMessage } from '../../../../../src/fleet/control/control-plane.ts';
import { Notices } from '../../../../../src/fleet/control/notices.ts';
import type { RedisConnection } from '../../../../../src/fleet/control/redis/connect.ts';
import { RedisBus } from '../../../../../src/fleet/control/redis/redis-bus.ts';
import { BUS_TOPICS, type BusTopic } from '../../../../../src/wire/protocol/fleet.ts';
import { MOST_MESSAGE_CHARS } from '../../../../../src/wire/protocol/fleet-bus.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';
import { mutationsOf } from '../../../../support/mutations.ts';

const PREFIX = '{test}';

/** A Redis client that is never connected: the test injects the messages. */
class ClientDouble extends EventEmitter {
  readonly status = 'wait';

  arrive(topic: BusTopic, stream: string, text: string): void {
    this.emit('message', `${PREFIX}:bus:${topic}:${stream}`, text);
    this.emit('pmessage', `${PREFIX}:bus:${topic}:*`, `${PREFIX}:bus:${topic}:${stream}`, text);
  }
}

describe('messages from Redis', () => {
  const clock = new ManualClock();
  const incidents = new Incidents(() => {}, clock);
  const client = new ClientDouble();
  const bus = new RedisBus({
    connection: { client } as unknown as RedisConnection,
    prefix: PREFIX,
    pingMs: 1_000_000,
    notices: new Notices(() => {}, clock),
    incidents,
  });
  afterEach(() => bus.close());

  const refused = (topic: BusTopic, reason: string): number =>
    incidents.refusals.find((one) => one.channel === `bus-${topic}` && one.reason === reason)?.count ?? 0;

  it('any text, and any mutation of a valid message, reaches listeners as a valid message or not at all', () => {
    const right = { v: 1, topic: 'detections', hostId: 'h1', stream: 'gate', fence: 7, body: { any: [1] } };
    const heard: BusMessage[] = [];
    const unsubscribe = bus.subscribe('detections', 'gate', (message) => heard.push(message));
    const texts = fc.oneof(
      fc.string(),
      fc.json(),
      mutationsOf(right).map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        heard.length = 0;
        expect(() => client.arrive('detections', 'gate', text)).not.toThrow();
        for (const message of heard) {
          expect(message).toMatchObject({ topic: 'detections', stream: 'gate', hostId: expect.any(String) });
          expect(message.fence === null || (Number.isSafeInteger(message.fence) && message.fence >= 0)).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
    expect(incidents.caught.size, 'no exception reached a guard').toBe(0);
    unsubscribe();
  });

  it.each(BUS_TOPICS)('a text that is too long is not parsed: %s', (topic) => {
    const unsubscribe = bus.subscribe(topic, null, () => {});
    const jsonBefore = refused(topic, 'json');
    client.arrive(topic, 'gate', `"${'x'.repeat(MOST_MESSAGE_CHARS[topic])}"`);
    expect(refused(topic, 'size')).toBe(1);
    expect(refused(topic, 'json')).toBe(jsonBefore);
    unsubscribe();
  });

  it('a newer version is refused as such; a message without a version counts as version 1', () => {
    const heard: BusMessage[] = [];
    const unsubscribe = bus.subscribe('wake', null, (message) => heard.push(message));
    const message = { topic: 'wake', hostId: 'h1', stream: 'gate', fence: null, body: null };
    client.arrive('wake', 'gate', JSON.stringify(message));
    client.arrive('wake', 'gate', JSON.stringify({ v: 1, ...message }));
    client.arrive('wake', 'gate', JSON.stringify({ v: 2, ...message, topic: 'something new' }));
    expect(heard).toEqual([message, message]);
    expect(refused('wake', 'version')).toBe(1);
    unsubscribe();
  });

  it('a listener that throws does not affect the others', () => {
    const heard: BusMessage[] = [];
    const before = incidents.caught.get('a listener to bus messages') ?? 0;
    const leave = [
      bus.subscribe('wake', null, () => {
        throw new Error('a bug');
      }),
      bus.subscribe('wake', null, (message) => heard.push(message)),
    ];
    client.arrive('wake', '', JSON.stringify({ topic: 'wake', hostId: 'h1', stream: null, fence: null, body: null }));
    expect(heard).toHaveLength(1);
    expect(incidents.caught.get('a listener to bus messages')).toBe(before + 1);
    for (const unsubscribe of leave) unsubscribe();
  });
});
