import { z } from 'zod';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { CloudEvent, RuleEvent } from '../../wire/protocol/rule-event.ts';
import type { PostBody } from './webhook-request.ts';

/** What a template may name: keys of an event that are text or numbers. */
const NAMES = [
  ...(['id', 'seq', 'phase', 'rule', 'kind', 'stream', 'reason', 'at', 'ptsUs', 'zone', 'line', 'direction'] as const),
  ...(['trackId', 'label', 'score', 'count', 'speed', 'sign', 'endReason', 'snapshot'] as const),
] satisfies readonly (keyof CloudEvent['data'])[];
const PART = /\{\{\s*([^{}]*?)\s*\}\}/g;

const ownTemplate = z.strictObject({
  body: z
    .string()
    .min(1)
    .max(65_536)
    .refine(
      (text) => [...text.matchAll(PART)].every(([, name]) => (NAMES as readonly string[]).includes(name!)),
      `expected {{NAME}} with a NAME of ${NAMES.join(', ')}`,
    )
    .describe(
      'Text with {{reason}}, {{stream}} and so on, see docs/messages.md. Values are escaped as contentType needs it; absent ones are empty.',
    ),
  contentType: z
    .string()
    .regex(/^[\w.+-]+\/[\w.+-]+(?:;\s*[\w-]+=[\w-]+)*$/, 'expected a media type such as application/json')
    .default('application/json')
    .describe('Media type of the body.'),
});

export const messageTemplate = z
  .union([z.enum(['ntfy', 'slack']), ownTemplate])
  .optional()
  .describe(
    'Posts each event alone, in the form of ntfy or of an incoming webhook of Slack, or in one of your own. Needs `send: [events]`.',
  );

/** The form of a message about one event. */
export type MessageTemplate = NonNullable<z.output<typeof messageTemplate>>;

export type MessageBody = Omit<PostBody, 'key'>;

/** Returns the body of the message about an event. @param topic - of ntfy. */
export function messageBody(template: MessageTemplate, topic: string, event: CloudEvent['data']): MessageBody {
  const { snapshot } = event;
  if (template === 'ntfy') {
    const link = snapshot === undefined ? {} : { click: snapshot };
    return json({ topic, title: titleOf(event), message: sentenceOf(event), sequence_id: event.id, ...link });
  }
  if (template === 'slack') {
    const plain = [`${titleOf(event)}: ${sentenceOf(event)}`, snapshot ?? []].flat().join('\n');
    // As Slack asks for it; a label could mention everybody otherwise.
    return json({ text: plain.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;') });
  }
  const { body, contentType } = template;
  const escaped = escapeFor(contentType);
  return {
    contentType,
    content: body.replace(PART, (_, name: string) =>
      escaped(String((event as unknown as Record<string, unknown>)[name] ?? '')),
    ),
  };
}

/** Returns the body of the message with the picture of an event, which replaces the first message where the receiver can do that. */
export function snapshotBody(template: MessageTemplate, topic: string, event: CloudEvent['data']): MessageBody {
  const told = { ...event, phase: 'new' } as const;
  if (template !== 'ntfy' || event.jpeg === undefined) return messageBody(template, topic, told);
  // A header cannot hold every label.
  const query = new URLSearchParams({ title: titleOf(told), message: sentenceOf(told), filename: 'snapshot.jpg' });
  return {
    contentType: 'image/jpeg',
    content: Buffer.from(event.jpeg, 'base64'),
    target: { path: topic, query },
    headers: { 'x-sequence-id': event.id },
  };
}

/** Returns what an event is about in a few words: rule and stream. */
export function titleOf({ rule, stream, phase }: RuleEvent): string {
  return `${rule} (${stream})${phase === 'new' ? '' : `, ${phase}`}`;
}

/** Returns what has happened, and when, on one line. */
export function sentenceOf({ reason, at }: RuleEvent): string {
  return at === undefined ? reason : `${reason} (${at})`;
}

/**
 * Splits the address of an ntfy topic: messages in JSON go to the server, since no header can hold every label.
 *
 * @throws CONFIG_INVALID; the message does not contain the address.
 */
export function ntfyAddress(id: string, url: string): { readonly server: string; readonly topic: string } {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const parts = parsed?.pathname.split('/') ?? [];
  const topic = parts.pop() ?? '';
  if (parsed === null || !/^[\w-]{1,64}$/.test(topic))
    throw new SightlineError(
      'CONFIG_INVALID',
      `sink ${id}: url: expected the address of a topic, such as https://ntfy.sh/TOPIC, with the template ntfy`,
      { sink: id },
    );
  parsed.pathname = parts.join('/');
  return { server: parsed.href, topic };
}

function json(value: object): MessageBody {
  return { contentType: 'application/json', content: JSON.stringify(value) };
}

function escapeFor(contentType: string): (text: string) => string {
  const type = contentType.split(';')[0]!.toLowerCase();
  if (/[/+]json$/.test(type)) return (text) => JSON.stringify(text).slice(1, -1);
  if (type === 'application/x-www-form-urlencoded') return encodeURIComponent;
  if (/html$|xml$/.test(type)) return (text) => text.replace(/[<>&"']/g, (each) => `&#${each.charCodeAt(0)};`);
  return (text) => text.replaceAll(/\p{Cc}+/gu, ' ');
}
