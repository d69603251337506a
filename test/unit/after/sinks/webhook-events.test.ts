import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type MessageTemplate, messageBody } from '../../../../src/after/sinks/message-template.ts';
import { connectHere } from '../../../../src/after/sinks/receiver-kind.ts';
import type { Sink } from '../../../../src/after/sinks/sink.ts';
import { type SinkConfig, sinkConfig } from '../../../../src/after/sinks/sink-kinds.ts';
import { WebhookSink, type WebhookSinkOptions, webhook } from '../../../../src/after/sinks/webhook-sink.ts';
import { type CloudEvent, cloudEvent, type RuleEvent } from '../../../../src/wire/protocol/rule-event.ts';
import { eventOf } from './events.ts';
import { frameOf, person } from './frames.ts';

interface Post {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly bytes: Buffer;
}

const posts: Post[] = [];
const answer = { status: 204 };
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const bytes = Buffer.concat(chunks);
    posts.push({ path: request.url!, headers: request.headers, text: bytes.toString(), bytes });
    response.writeHead(answer.status).end();
  });
}).listen(0, '127.0.0.1');
server.unref();
await new Promise((resolve) => server.once('listening', resolve));
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
afterEach(() => {
  posts.length = 0;
  answer.status = 204;
});

const LINK = '/api/events/event-1/snapshot.jpg';
const JPEG = Buffer.from([0xff, 0xd8, 0x00, 0x80, 0xff, 0xd9]);

/** Tells an event and then its picture, as a channel of alerts with these settings. */
async function follow(settings: object): Promise<Sink> {
  const { sink } = await webhook.open!(
    webhook.settings.parse({ type: 'webhook', send: ['events'], spoolMaxMb: 0, ...settings }),
    {
      id: 'hook',
      classes: [],
      stdout: process.stdout,
      connect: connectHere,
      onFailure: () => undefined,
      onRecovery: () => undefined,
      onNotice: () => undefined,
    },
  );
  const snapshots = sink.openSnapshots?.();
  sink.publishEvent!(eventOf(1), false);
  snapshots?.send(eventOf(1, { seq: 1, phase: 'end', endReason: 'over' }), LINK, JPEG);
  const isDone = (): boolean => sink.figures.waiting === 0 && (snapshots?.figures.pending ?? 0) === 0;
  await expect.poll(isDone, { timeout: 20_000 }).toBe(true);
  return sink;
}

describe('the picture of an event', () => {
  it('follows it as a CloudEvent with the address, or with the picture if that is asked for', async () => {
    await (await follow({ url: `${origin}/door` })).close();
    await (await follow({ url: `${origin}/door`, snapshot: 'data', secret: 'a secret of 20 chars' })).close();
    const events = posts.flatMap(({ text }) => JSON.parse(text) as CloudEvent[]);
    expect(events.map(({ id, type }) => [id, type])).toEqual([
      ['event-1.0', 'io.sightline.event.new'],
      ['event-1.snapshot', 'io.sightline.event.snapshot'],
      ['event-1.0', 'io.sightline.event.new'],
      ['event-1.snapshot', 'io.sightline.event.snapshot'],
    ]);
    expect(events[1]!.data).toMatchObject({ id: 'event-1', phase: 'end', snapshot: LINK });
    expect(events[1]!.data).not.toHaveProperty('jpeg');
    expect(Buffer.from(events[3]!.data.jpeg!, 'base64')).toEqual(JPEG);
  });

  it('is attached for ntfy, below the address of the topic, and replaces the message before it', async () => {
    const secret = 'a secret of 20 chars';
    const sink = await follow({ url: `${origin}/base/door?auth=abc`, template: 'ntfy', secret });
    expect(posts.map(({ path }) => path.split('?')[0])).toEqual(['/base', '/base/door']);
    const { path, headers, bytes } = posts[1]!;
    const query = Object.fromEntries(new URL(path, origin).searchParams);
    expect(query).toEqual({
      auth: 'abc',
      filename: 'snapshot.jpg',
      title: 'loiter (door)',
      message: 'person 4 has been in yard for 15 s (2026-03-01T06:00:00.000Z)',
    });
    expect([bytes, headers['content-type']]).toEqual([JPEG, 'image/jpeg']);
    expect(headers['x-sequence-id']).toBe((JSON.parse(posts[0]!.text) as { sequence_id: string }).sequence_id);
    const hmac = createHmac('sha256', secret)
      .update(`${headers['sightline-timestamp'] as string}.`)
      .update(bytes);
    expect(headers['sightline-signature']).toBe(`sha256=${hmac.digest('hex')}`);
    await sink.close();
  });

  it('goes to Slack and to templates of your own as an address, if that is asked for', async () => {
    for (const template of ['slack', { body: '{"at":"{{snapshot}}"}' }] as const) {
      await (await follow({ url: origin, template })).close();
      expect(posts.splice(0)).toHaveLength(1);
      await (await follow({ url: origin, template, snapshot: 'link' })).close();
      expect(posts.splice(0)[1]!.text).toContain(LINK);
    }
    expect((await follow({ url: origin, snapshot: 'none' })).openSnapshots).toBeUndefined();
  });

  it('is counted apart, also if the receiver refuses it', async () => {
    const sink = await follow({ url: origin });
    answer.status = 400;
    const snapshots = sink.openSnapshots!();
    expect(snapshots.figures).toEqual({ sent: 1, failed: 0, pending: 0 });
    const refusing = await follow({ url: origin, maxAttempts: 1 });
    expect(refusing.openSnapshots!().figures).toEqual({ sent: 0, failed: 1, pending: 0 });
    expect(refusing.figures).toMatchObject({ sent: 0, waiting: 0, lost: { refused: 1 } });
    expect(sink.figures).toMatchObject({ sent: 1, waiting: 0 });
    await sink.close();
    await expect(refusing.close()).rejects.toMatchObject({ code: 'SINK_FAILED' });
  });
});

/** Posts events, and a result before each. */
async function post(options: Partial<WebhookSinkOptions>, events: readonly RuleEvent[]): Promise<void> {
  const sink = new WebhookSink({
    id: 'hook',
    url: `${origin}/door`,
    send: ['events'],
    onFailure: (error) => expect.unreachable(error.message),
    ...options,
  });
  for (const [i, event] of events.entries()) {
    sink.publish(frameOf(i, [person]), 'a.cam');
    sink.publishEvent!(event);
  }
  await sink.close();
}

describe('a webhook of events', () => {
  it('posts a batch of CloudEvents, signed as any other body', async () => {
    const events = [eventOf(1), eventOf(1, { seq: 1, phase: 'end', endReason: 'over' })];
    await post({ secret: 'a secret of 20 chars' }, events);
    const [{ headers, text }] = posts as [Post];
    expect(headers['content-type']).toBe('application/cloudevents-batch+json');
    expect(JSON.parse(text)).toEqual(events.map(cloudEvent));
    const time = headers['sightline-timestamp'] as string;
    const digest = createHmac('sha256', 'a secret of 20 chars').update(`${time}.${text}`).digest('hex');
    expect(headers['sightline-signature']).toBe(`sha256=${digest}`);
  });

  it('that sends results too has them beside each other', async () => {
    await post({ send: ['results', 'events'] }, [eventOf(1)]);
    expect(posts[0]!.headers['content-type']).toBe('application/json');
    expect(JSON.parse(posts[0]!.text)).toMatchObject({
      sink: 'hook',
      batch: 1,
      lostResults: 0,
      results: [{ stream: 's', frame: 0 }],
      events: [{ id: 'event-1.0' }],
    });
  });
});

const HOSTILE = { label: '<!channel> & "\n{{reason}}', reason: 'a "quoted"\nlabel & <b>' };

describe('a template', () => {
  it('posts each event alone: to the server of ntfy with the topic beside it', async () => {
    await post({ template: 'ntfy' }, [eventOf(1), eventOf(2)]);
    expect(posts.map(({ path }) => path)).toEqual(['/', '/']);
    expect(JSON.parse(posts[1]!.text)).toEqual({
      topic: 'door',
      title: 'loiter (door)',
      message: 'person 4 has been in yard for 15 s (2026-03-01T06:00:00.000Z)',
      sequence_id: 'event-2',
    });
  });

  it('of Slack mentions nobody, whatever a label is', () => {
    const { content } = messageBody('slack', '', eventOf(1, HOSTILE));
    expect((JSON.parse(content as string) as { text: string }).text).toBe(
      'loiter (door): a "quoted"\nlabel &amp; &lt;b&gt; (2026-03-01T06:00:00.000Z)',
    );
  });

  it.each<[string, string, string]>([
    ['application/json', '{"text":"{{reason}}","n":{{ count }}}', '{"text":"a \\"quoted\\"\\nlabel & <b>","n":}'],
    ['text/html', '<p>{{reason}}</p>', '<p>a &#34;quoted&#34;\nlabel &#38; &#60;b&#62;</p>'],
    ['application/x-www-form-urlencoded', 'text={{reason}}', 'text=a%20%22quoted%22%0Alabel%20%26%20%3Cb%3E'],
    ['text/plain; charset=utf-8', '{{stream}}: {{reason}}', 'door: a "quoted" label & <b>'],
  ])('of your own escapes values as %s needs it', (contentType, body, expected) => {
    expect(messageBody({ body, contentType }, '', eventOf(1, HOSTILE)).content).toBe(expected);
  });

  const settings = (more: object): SinkConfig => sinkConfig.parse({ type: 'webhook', url: `${origin}/door`, ...more });
  it('is refused if it names what no event has, or if results would be sent with it', () => {
    expect(() => settings({ send: ['events'], template: { body: '{{secret}}' } })).toThrow(/expected \{\{NAME\}\}/);
    expect(webhook.problem!(settings({ template: 'slack' }) as never)).toMatch(/^send: expected \[events\]/);
    expect(webhook.problem!(settings({ template: 'slack', send: ['events'] }) as never)).toBeNull();
    const template: MessageTemplate = 'ntfy';
    const open = () => new WebhookSink({ id: 'hook', url: `${origin}/`, template, onFailure: () => undefined });
    expect(open).toThrow(/address of a topic/);
  });
});
