import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import type { FeedState, SightlineClient } from '../../../../src/wire/client/index.ts';
import { FeedSocket } from '../../../support/feed-socket.ts';
import { openClient, take } from '../../../support/open-clients.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RolloutPortDouble } from '../../../support/rollout-port-double.ts';
import { publishedFrame, RuntimeDouble } from '../../../support/runtime-double.ts';
import { TokensFolder, tokenOf, tokenRecord } from '../../../support/tokens-folder.ts';

/** Fractions that f32 does not hold. */
const PERSON = { classId: 0, label: 'person', score: 0.9123, box: [10.1, 20.7, 30.3, 40.9], trackId: 7 } as const;
const EVENT = { type: 'event', timeMs: 1, kind: 'stream-warning', stream: 'gate', message: 'It is dark.' } as const;

/** Starts a subscription. The gateway has read it when this resolves: it answers each connection in order. */
async function started<T>(
  client: SightlineClient,
  messages: AsyncIterator<T, undefined>,
): Promise<{ readonly first: Promise<T> }> {
  const first = messages.next().then(({ value }) => value!);
  // It may be aborted before it is awaited.
  first.catch(() => {});
  await take(client.stats(), 1);
  return { first };
}

/** Busy machines need more than the usual second. */
function eventually<T>(read: () => T): ReturnType<typeof expect.poll<T>> {
  return expect.poll(read, { timeout: 15_000 });
}

async function clientCount(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/^sightline_feed_clients (\d+)$/m.exec(metrics)?.[1]);
}

describe('what a client delivers', () => {
  it.each(['json', 'msgpack'] as const)(
    '%s: the messages that a socket reads as JSON, with pictures as bytes',
    async (format) => {
      const port = new RuntimeDouble(['gate']);
      const rollouts = new RolloutPortDouble();
      const { url } = await openGateway(port, { rollouts });
      const plain = await FeedSocket.open(url);
      plain.say({ type: 'subscribe', topics: ['stats', 'detections', 'preview', 'events'] });
      await plain.settle();
      const client = openClient(url, { format });
      const [results, comparisons, events, stats] = [
        client.results(),
        client.comparisons(),
        client.events(),
        client.stats(),
      ];
      const [result, picture, event] = [results.next(), comparisons.next(), events.next()];
      await stats.next();

      const jpeg = Uint8Array.of(0xff, 0xd8, 0, 250);
      port.publish(publishedFrame('gate', 1, [PERSON]));
      port.preview(publishedFrame('gate', 2, [PERSON]), jpeg);
      rollouts.shadow({ stream: 'gate', frame: 2, control: [PERSON], candidate: [] });
      port.emitEvent(EVENT);
      port.tick();
      await plain.until(() => plain.of('stats').length > 1);

      expect((await result).value).toEqual({ ...plain.of('detections')[0], detections: [PERSON] });
      expect((await picture).value).toEqual({ ...plain.of('preview')[0], detections: [PERSON], jpeg });
      expect((await comparisons.next()).value).toEqual({
        type: 'shadow',
        stream: 'gate',
        frame: 2,
        control: [PERSON],
        candidate: [],
      });
      expect((await event).value).toEqual(EVENT);
      expect((await stats.next()).value).toEqual(plain.of('stats').at(-1));
      expect(await clientCount(url)).toBe(2);
    },
  );

  it('passes on pictures without the boxes of a roll-out unless they are asked for', async () => {
    const port = new RuntimeDouble(['gate']);
    const rollouts = new RolloutPortDouble();
    const { url } = await openGateway(port, { rollouts });
    const client = openClient(url);
    const previews = client.previews();
    const { first } = await started(client, previews);
    for (const frame of [1, 2]) {
      port.preview(publishedFrame('gate', frame), Uint8Array.of(1));
      rollouts.shadow({ stream: 'gate', frame, control: [], candidate: [] });
    }
    expect((await first).frame).toBe(1);
    expect((await previews.next()).value).toMatchObject({ type: 'preview', frame: 2 });
  });

  it('only the streams that are asked for, and others once it asks for them', async () => {
    const port = new RuntimeDouble(['gate', 'yard']);
    const { url } = await openGateway(port);
    const client = openClient(url);
    const results = client.results({ streams: [] });
    const { first } = await started(client, results);
    port.publish(publishedFrame('gate', 1));
    results.update({ streams: ['yard'] });
    await take(client.stats(), 1);
    port.publish(publishedFrame('gate', 2));
    port.publish(publishedFrame('yard', 3));
    expect(await first).toMatchObject({ stream: 'yard', frame: 3 });
  });

  it('none of a stream that the gateway does not have: it says which there are', async () => {
    const port = new RuntimeDouble(['gate', 'yard']);
    const { url } = await openGateway(port);
    const client = openClient(url);
    const error = {
      code: 'STREAM_NOT_FOUND',
      message: 'streams: expected ids of streams of this gateway (gate, yard), received "door"',
    };
    await expect(client.results({ streams: ['door'] }).next()).rejects.toMatchObject(error);
    // On a connection that is open, too.
    await started(client, client.results({ streams: ['yard'] }));
    await expect(client.events({ streams: ['gate', 'door'] }).next()).rejects.toMatchObject(error);
  });

  it('those of a stream that was added after it had connected, or that it waits for by `update`', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const client = openClient(url);
    await started(client, client.events());
    await port.addStream({ id: 'door', source: 'clip.mp4' });
    // The report of the new stream may be on its way.
    await take(client.stats(), 1);
    const results = client.results({ streams: ['door'] });
    const { first } = await started(client, results);
    port.publish(publishedFrame('door', 1));
    expect(await first).toMatchObject({ stream: 'door' });
    const other = results.next();
    results.update({ streams: ['yard'] });
    await take(client.stats(), 1);
    port.publish(publishedFrame('yard', 2));
    expect((await other).value).toMatchObject({ stream: 'yard' });
  });

  it('only changes, and at most so many pictures, if it asks for that', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const client = openClient(url);
    const results = client.results({ onlyChanges: true, movedPx: 5 });
    const { first } = await started(client, results);
    const moved = { ...PERSON, box: [90, 20.7, 30.3, 40.9] } as const;
    for (const [frame, detection] of [PERSON, PERSON, moved].entries())
      port.publish(publishedFrame('gate', frame, [detection]));
    expect((await first).frame).toBe(0);
    expect((await results.next()).value).toMatchObject({ frame: 2 });

    const previews = client.previews({ maxFps: 0.1 });
    const { first: picture } = await started(client, previews);
    for (const frame of [1, 2, 3]) port.preview(publishedFrame('gate', frame), Uint8Array.of(1));
    expect((await picture).frame).toBe(1);
    await take(client.stats(), 1);
    await previews.return();
    expect(previews.dropped).toBe(0);
  });
});

describe('a connection', () => {
  it('is shared by subscriptions of different kinds; a second of the same kind opens another', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate', 'yard']));
    const client = openClient(url);
    await started(client, client.results());
    await started(client, client.events());
    expect(await clientCount(url)).toBe(1);
    await started(client, client.results({ streams: ['yard'] }));
    expect(await clientCount(url)).toBe(2);
  });

  it('comes back after the gateway was restarted, with its subscriptions', async () => {
    const port = new RuntimeDouble(['gate']);
    const gateway = await openGateway(port);
    const states: FeedState['name'][] = [];
    const client = openClient(gateway.url, { onState: ({ name }) => states.push(name) });
    const [results, stats] = [client.results({ streams: ['gate'] }), client.stats()];
    const first = results.next();
    await stats.next();
    port.publish(publishedFrame('gate', 1));
    expect((await first).value).toMatchObject({ frame: 1 });

    await gateway.close();
    const [second, report] = [results.next(), stats.next()];
    await eventually(() => states.filter((name) => name === 'waiting').length).toBeGreaterThan(2);
    await openGateway(port, { port: gateway.port });
    await report;
    port.publish(publishedFrame('gate', 2));
    port.publish(publishedFrame('yard', 3));
    port.publish(publishedFrame('gate', 4));

    expect((await second).value).toMatchObject({ frame: 2 });
    expect((await results.next()).value).toMatchObject({ frame: 4 });
    expect(states.slice(0, 4)).toEqual(['connecting', 'open', 'waiting', 'connecting']);
    expect(states.at(-1)).toBe('open');
  });

  it('waits longer after each failure, and connects at once when asked to', async () => {
    const port = new RuntimeDouble(['gate']);
    const gateway = await openGateway(port);
    await gateway.close();
    const waits: number[] = [];
    const client = openClient(gateway.url, {
      retryMs: [10, 3_600_000],
      onState: (state) => {
        if (state.name === 'waiting') waits.push(state.retryAtMs - Date.now());
      },
    });
    const stats = client.stats();
    const report = stats.next();
    await eventually(() => waits.length).toBe(6);
    // Half of each wait is random: 10 ms to begin with, twice as much each time.
    for (const [i, waitMs] of waits.entries()) {
      expect(waitMs).toBeGreaterThan(10 * 2 ** i * 0.5 - 5);
      expect(waitMs).toBeLessThanOrEqual(10 * 2 ** i);
    }
    await openGateway(port, { port: gateway.port });
    await eventually(() => {
      client.reconnect();
      return Promise.race([report, null]);
    }).toMatchObject({ value: { type: 'stats' } });
  });

  it('ends with its last subscription, and opens again for the next one', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    const client = openClient(url);
    await take(client.stats(), 1);
    await eventually(() => clientCount(url)).toBe(0);
    expect(await take(client.stats(), 1)).toHaveLength(1);
  });

  it('is not opened before the first message is asked for', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    const states: FeedState[] = [];
    const client = openClient(url, { onState: (state) => states.push(state) });
    client.results();
    client.close();
    expect(states).toEqual([]);
  });
});

describe('the end of a subscription', () => {
  it('is the reason of its signal, and closes the connection', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    const client = openClient(url);
    const controller = new AbortController();
    const { first: next } = await started(client, client.results({ signal: controller.signal }));
    controller.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
    await eventually(() => clientCount(url)).toBe(0);
    await expect(client.stats({ signal: controller.signal }).next()).rejects.toThrow('enough');
    expect(await clientCount(url)).toBe(0);
  });

  it('is no error when the client is closed, also for those that begin later', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    const client = openClient(url);
    const results = client.results();
    const { first: next } = await started(client, results);
    const another = results.next();
    client.close();
    expect(await next).toBeUndefined();
    expect(await another).toEqual({ done: true, value: undefined });
    expect(await take(client.results(), 1)).toEqual([]);
    await eventually(() => clientCount(url)).toBe(0);
  });

  it('is an error of the gateway if it refuses the settings', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    const previews = openClient(url).previews({ maxFps: 1000 });
    await expect(previews.next()).rejects.toMatchObject({
      code: 'PROTOCOL_INVALID',
      message: expect.stringContaining('previewFps'),
    });
    expect(await previews.next()).toEqual({ done: true, value: undefined });
  });

  it.each(['closed', 'aborted'])('comes while it waits for the next attempt, when it is %s', async (how) => {
    const gateway = await openGateway(new RuntimeDouble(['gate']));
    await gateway.close();
    const states: string[] = [];
    const controller = new AbortController();
    const client = openClient(gateway.url, {
      retryMs: [3_600_000, 3_600_000],
      onState: ({ name }) => states.push(name),
    });
    const next = client.stats({ signal: controller.signal }).next();
    next.catch(() => {});
    await eventually(() => states.at(-1)).toBe('waiting');
    if (how === 'closed') {
      client.close();
      expect(await next).toEqual({ done: true, value: undefined });
    } else {
      controller.abort(new Error('enough'));
      await expect(next).rejects.toThrow('enough');
    }
    expect(states.at(-1)).toBe('closed');
  });
});

describe('tokens', () => {
  const files = new TokensFolder();
  afterAll(() => files.remove());

  it.each([
    ['viewer', null],
    ['metrics', 'FORBIDDEN'],
    ['wrong', 'UNAUTHORIZED'],
  ])('%s: %s', async (name, code) => {
    files.writeRoles();
    const { url } = await openGateway(new RuntimeDouble(['gate']), {
      tokensFile: { path: files.path, mustExist: true },
    });
    const stats = openClient(url, { token: tokenOf(name) }).stats();
    if (code === null) expect((await stats.next()).value).toMatchObject({ type: 'stats' });
    else await expect(stats.next()).rejects.toMatchObject({ code });
  });

  it('one that is removed ends the subscription with UNAUTHORIZED', async () => {
    files.write(tokenRecord('anna', 'viewer'), tokenRecord('bert', 'viewer'));
    const { url } = await openGateway(new RuntimeDouble(['gate']), {
      tokensFile: { path: files.path, mustExist: true },
    });
    const client = openClient(url, { token: tokenOf('anna') });
    const { first: next } = await started(client, client.results());
    files.write(tokenRecord('bert', 'viewer'));
    await expect(next).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });
});

describe('a slow consumer', () => {
  it('gets the newest messages that fit into its queue, and the number of the others', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const client = openClient(url);
    const results = client.results({ queueSize: 8 });
    const events = client.events();
    const { first } = await started(client, results);
    const event = events.next();
    await take(client.stats(), 1);
    for (let frame = 0; frame < 200; frame += 1) port.publish(publishedFrame('gate', frame));
    port.emitEvent(EVENT);
    await event;

    expect((await first).frame).toBe(0);
    expect((await take(results, 8)).map(({ frame }) => frame)).toEqual([192, 193, 194, 195, 196, 197, 198, 199]);
    expect(results.dropped).toBe(191);
    expect(events.dropped).toBe(0);
  });

  it('still gets what waits when the client is closed, and nothing after an abort', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const client = openClient(url);
    const controller = new AbortController();
    const [events, results] = [client.events(), client.results({ signal: controller.signal })];
    const firsts = [results.next(), (await started(client, events)).first];
    for (const frame of [1, 2]) port.publish(publishedFrame('gate', frame));
    for (const timeMs of [1, 2]) port.emitEvent({ ...EVENT, timeMs });
    await Promise.all(firsts);
    controller.abort(new Error('enough'));
    await take(client.stats(), 1);
    client.close();
    expect((await events.next()).value).toMatchObject({ timeMs: 2 });
    expect(await events.next()).toEqual({ done: true, value: undefined });
    await expect(results.next()).rejects.toThrow('enough');
  });
});

describe('a server that is no gateway of this version', () => {
  const servers: WebSocketServer[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      for (const socket of server.clients) socket.terminate();
      server.close();
    }
  });

  /** Sends a text to each client that connects, and then nothing. */
  async function serve(text: string): Promise<{ url: string; connections: () => number }> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    servers.push(server);
    let connections = 0;
    server.on('connection', (socket) => {
      connections += 1;
      socket.send(text);
    });
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    return { url: `http://127.0.0.1:${port}`, connections: () => connections };
  }

  it.each(['{"type":"hello","protocol":2,"version":"9.0.0"}', 'Hi!', '{}', 'null'])(
    '%s ends with PROTOCOL_INVALID, or is ignored',
    async (text) => {
      const { url, connections } = await serve(text);
      const next = openClient(url, { silenceMs: 100 }).stats().next();
      if (text !== '{}') await expect(next).rejects.toMatchObject({ code: 'PROTOCOL_INVALID' });
      else await eventually(connections).toBeGreaterThan(1);
    },
  );

  it('that sends nothing any more is disconnected, and connected to again', async () => {
    const hello = { type: 'hello', protocol: 1, version: '1', topics: [], streams: [], access: {} };
    const { url, connections } = await serve(JSON.stringify(hello));
    void openClient(url, { silenceMs: 50 }).stats().next();
    await eventually(connections).toBeGreaterThan(2);
  });
});
