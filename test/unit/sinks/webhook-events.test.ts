import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { cloudEvent, type RuleEvent } from '../../../src/protocol/rule-event.ts';
import { type MessageTemplate, messageBody } from '../../../src/sinks/message-template.ts';
import { type SinkConfig, sinkConfig } from '../../../src/sinks/sink-kinds.ts';
import { WebhookSink, type WebhookSinkOptions, webhook } from '../../../src/sinks/webhook-sink.ts';
import { eventOf } from './events.ts';
import { frameOf, person } from './frames.ts';

interface Post {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const posts: Post[] = [];
const server = createServer((request, response) => {
  let text = '';
  request.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  request.on('end', () => {
    posts.push({ path: request.url!, headers: request.headers, text });
    response.writeHead(204).end();
  });
}).listen(0, '127.0.0.1');
server.unref();
await new Promise((resolve) => server.once('listening', resolve));
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
afterEach(() => {
  posts.length = 0;
});

/** Posts events, and a result before each. */
async function post(options: Partial<WebhookSinkOptions>, events: readonly RuleEvent[]): Promise<void> {
  const sink = new WebhookSink({
    ...{ id: 'hook', url: `${origin}/door`, send: ['events'], onFailure: (error) => expect.unreachable(error.message) },
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
      ...{ sink: 'hook', batch: 1, lostResults: 0 },
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
    });
  });

  it('of Slack mentions nobody, whatever a label is', () => {
    const { text } = messageBody('slack', '', eventOf(1, HOSTILE));
    expect((JSON.parse(text) as { text: string }).text).toBe(
      'loiter (door): a "quoted"\nlabel &amp; &lt;b&gt; (2026-03-01T06:00:00.000Z)',
    );
  });

  it.each<[string, string, string]>([
    ['application/json', '{"text":"{{reason}}","n":{{ count }}}', '{"text":"a \\"quoted\\"\\nlabel & <b>","n":}'],
    ['text/html', '<p>{{reason}}</p>', '<p>a &#34;quoted&#34;\nlabel &#38; &#60;b&#62;</p>'],
    ['application/x-www-form-urlencoded', 'text={{reason}}', 'text=a%20%22quoted%22%0Alabel%20%26%20%3Cb%3E'],
    ['text/plain; charset=utf-8', '{{stream}}: {{reason}}', 'door: a "quoted" label & <b>'],
  ])('of your own escapes values as %s needs it', (contentType, body, expected) => {
    expect(messageBody({ body, contentType }, '', eventOf(1, HOSTILE)).text).toBe(expected);
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
