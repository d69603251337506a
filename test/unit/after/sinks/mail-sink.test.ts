import { describe, expect, it } from 'vitest';
import { HourlyLimit } from '../../../../src/after/sinks/mail-sink.ts';
import { openSinks } from '../../../../src/after/sinks/open-sinks.ts';
import { sinkConfig } from '../../../../src/after/sinks/sink-kinds.ts';
import { serveMail as serve } from '../../../support/mail-server.ts';
import { TextSink } from '../../../support/text-sink.ts';
import { eventOf } from './events.ts';

async function open(url: string, more: object = {}) {
  const failures: string[] = [];
  const settings = { type: 'mail', url, from: 'host@example.org', to: ['guard@example.org'], spoolMaxMb: 0, ...more };
  const sinks = await openSinks([sinkConfig.parse(settings)], {
    classes: ['person'],
    stdout: new TextSink(),
    onRecovery: () => undefined,
    onNotice: () => undefined,
    onFailure: ({ message }) => failures.push(message),
  });
  return { sinks, failures, report: () => sinks.reports[0]! };
}

describe('a mail sink', () => {
  it('sends a plain text for each new event, whatever its fields are', async () => {
    const { url, mails } = await serve(() => '250 ok');
    const { sinks, report } = await open(url);
    sinks.publishEvent(eventOf(1, { rule: 'loiter\r\nBcc: all@example.org', label: 'per<son' }), false);
    sinks.publishEvent(eventOf(1, { seq: 1, phase: 'end', endReason: 'over' }), false);
    await expect.poll(() => report().sent).toBe(1);
    expect(await sinks.close()).toEqual([]);
    expect(mails).toHaveLength(1);
    const [head, body] = mails[0]!.split('\r\n\r\n', 2) as [string, string];
    expect(head).toMatch(/^Subject: loiter Bcc: all@example.org \(door\)$/m);
    expect(head).not.toMatch(/^Bcc:/m);
    expect(head).toMatch(/^Content-Type: text\/plain/m);
    expect(head).toMatch(/^Message-ID: <event-1%2E0@sightline>$/m);
    expect(mails[0]).toContain('person 4 has been in yard for 15 s');
    expect(body.length).toBeGreaterThan(0);
    expect(mails[0]).toContain('label: per<son');
  });

  it('sends the picture as an answer to its first mail, within perHour', async () => {
    const { url, mails } = await serve(() => '250 ok');
    const { sinks, report } = await open(url, { perHour: 2 });
    const channel = sinks.channel('mail-1');
    const snapshots = channel.openSnapshots!();
    channel.publishEvent!(eventOf(1), false);
    const jpeg = Buffer.alloc(5000, 0xfe);
    for (const number of [1, 2]) snapshots.send(eventOf(number, { seq: 3, phase: 'end' }), `/link/${number}`, jpeg);
    await expect.poll(() => snapshots.figures).toEqual({ sent: 1, failed: 1, pending: 0 });
    const [first, second] = mails as [string, string];
    const headerOf = (mail: string, name: string): string | undefined =>
      new RegExp(`^${name}: (.*)$`, 'm').exec(mail)?.[1];
    expect(headerOf(second, 'In-Reply-To')).toBe(headerOf(first, 'Message-ID'));
    expect(headerOf(second, 'Subject')).toBe(headerOf(first, 'Subject'));
    expect(second).toContain('snapshot: /link/1');
    const [, encoded] = /Content-Type: image\/jpeg[\s\S]*?\r\n\r\n([\w+/=\r\n]+)/.exec(second)!;
    expect(Buffer.from(encoded!, 'base64').equals(jpeg)).toBe(true);
    expect(report()).toMatchObject({ sent: 1, waiting: 0, lost: { overflow: 0 } });
    // The event before it had a mail: what was left out is a picture.
    sinks.channel('mail-1').publishEvent!(eventOf(3), false);
    expect(report().lost.overflow).toBe(1);
    await sinks.close();
  });

  it('sends at most perHour, counts the others, and the next mail says how many', async () => {
    const limit = new HourlyLimit(2, () => now);
    let now = 0;
    expect([1, 2, 3, 4].map(() => limit.take())).toEqual([true, true, false, false]);
    expect(limit.skipped).toBe(2);
    now = 3_600_000;
    expect(limit.take()).toBe(true);
    limit.named(2);
    expect(limit.skipped).toBe(0);
    const { url, mails } = await serve(() => '250 ok');
    const { sinks, report } = await open(url, { perHour: 1 });
    for (const number of [1, 2, 3]) sinks.publishEvent(eventOf(number), false);
    await expect.poll(() => report()).toMatchObject({ sent: 1, waiting: 0, lost: { overflow: 2 } });
    expect(mails[0]).toContain('2 events before this one had no mail');
    expect((await sinks.close()).map(({ code }) => code)).toEqual(['SINK_FAILED']);
  });

  it('counts on after a restart, and takes no kept state that is none', () => {
    let now = 1_000_000;
    let kept: unknown = { times: 'none' };
    const next = (): HourlyLimit => {
      const limit = new HourlyLimit(2, () => now);
      limit.resume(kept, (value) => {
        kept = structuredClone(value);
      });
      return limit;
    };
    expect(next().take()).toBe(true);
    now += 1_800_000;
    const second = next();
    expect([second.take(), second.take(), second.take()]).toEqual([true, false, false]);
    now += 1_799_999;
    const third = next();
    expect([third.take(), third.skipped]).toEqual([false, 3]);
    now += 1;
    expect(next().take()).toBe(true);
    const last = next();
    last.named(3);
    expect(next().skipped).toBe(0);
    // The clock was set back by a day.
    now -= 86_400_000;
    expect(next().take()).toBe(true);
  });

  it('is refused a mail for good by 5xx, and tries again after 4xx', async () => {
    const refusing = await serve(() => '550 no such user');
    const refused = await open(refusing.url, { maxAttempts: 1 });
    refused.sinks.publishEvent(eventOf(1), false);
    await expect.poll(() => refused.report().lost.refused).toBe(1);
    await refused.sinks.close();
    const busy = await serve((mails) => (mails === 1 ? '451 try later' : '250 ok'));
    const { sinks, report, failures } = await open(busy.url);
    sinks.publishEvent(eventOf(1), false);
    await expect.poll(() => report().sent).toBe(1);
    expect(failures[0]).toContain('451 try later');
    expect(await sinks.close()).toEqual([]);
  });

  it('never sends a password in clear text, nor shows it', async () => {
    const { url, mails, sessions } = await serve(() => '250 ok');
    const { sinks, report, failures } = await open(url, { user: 'host', password: 'hush-hush-4711' });
    sinks.publishEvent(eventOf(1), false);
    await expect.poll(() => report().problem).not.toBeNull();
    await sinks.close();
    expect(mails).toEqual([]);
    expect([...sessions, ...failures].join()).not.toMatch(/AUTH|hush-hush|aHVzaC1odXNo/);
  });
});
