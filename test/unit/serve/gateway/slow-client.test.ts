import { describe, expect, it } from 'vitest';
import { FeedSocket } from '../../../support/feed-socket.ts';
import { openGateway, openWholeGateway } from '../../../support/open-gateways.ts';
import { publishedFrame, RuntimeDouble } from '../../../support/runtime-double.ts';

/** Large enough to fill the kernel's buffers, some megabytes, with a few dozen pictures. */
const JPEG = new Uint8Array(200_000).fill(7);
const PICTURES = 120;

describe('a slow client', () => {
  it('does not delay a fast one, gets the newest message and the number of dropped ones', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const [slow, fast] = [await FeedSocket.open(url), await FeedSocket.open(url)];
    for (const client of [slow, fast]) client.say({ type: 'subscribe', topics: ['stats', 'preview'] });
    await Promise.all([slow.settle(), fast.settle()]);

    slow.socket.pause();
    for (let frame = 0; frame < PICTURES; frame += 1) {
      port.preview(publishedFrame('gate', frame), JPEG);
      // The fast client receives each picture before the next is made, independent of the slow one.
      await fast.until(() => fast.of('preview').length === frame + 1);
    }
    port.tick();
    await fast.until(() => fast.of('stats').length === 2);
    expect(fast.of('stats')[1]!.droppedMessages).toBe(0);

    slow.socket.resume();
    await slow.until(() => slow.of('stats').length === 2);
    const seen = slow.of('preview').map(({ frame }) => frame);
    const missed = PICTURES - seen.length;
    expect(missed).toBeGreaterThan(0);
    expect(seen.at(-1)).toBe(PICTURES - 1);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(slow.of('stats')[1]!.droppedMessages).toBe(missed);

    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toContain(`sightline_feed_messages_dropped_total{topic="preview"} ${missed}`);
  });

  it('keeps the order of events and loses the oldest when there are too many', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openWholeGateway(port, { maxBufferedBytes: 64 * 1024 });
    const client = await FeedSocket.open(url);
    client.say({ type: 'subscribe', topics: ['events', 'stats'] });
    await client.settle();

    client.socket.pause();
    // More than a history in memory holds, so it has one of its own.
    const padding = 'x'.repeat(40_000);
    const total = 800;
    for (let i = 0; i < total; i += 1) {
      port.emitEvent({ type: 'event', timeMs: i, kind: 'stream-warning', message: padding });
      // Lets the socket write, so that the client's buffer fills and not only the queue of this turn of the event loop.
      await new Promise(setImmediate);
    }
    client.socket.resume();
    await client.until(() => client.of('event').at(-1)?.timeMs === total - 1);
    port.tick();
    await client.until(() => client.of('stats').length === 2);

    const times = client.of('event').map(({ timeMs }) => timeMs);
    expect(times.length).toBeLessThan(total);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(client.of('stats')[1]!.droppedMessages).toBe(total - times.length);
  });
});
