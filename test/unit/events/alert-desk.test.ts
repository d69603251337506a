import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { alertConfig } from '../../../src/config/alerts.ts';
import { seededRandom } from '../../../src/core/seeded-random.ts';
import { AlertDesk } from '../../../src/events/alert-desk.ts';
import type { RuleEvent } from '../../../src/protocol/rule-event.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const START = Date.parse('2026-05-04T12:00:00Z');

class Channel {
  readonly texts: string[] = [];
  figures = { problem: null, sent: 0, waiting: 0, retried: 0, lost: { failed: 0 } };
  publishEvent({ reason }: RuleEvent): boolean {
    this.texts.push(reason);
    this.figures.waiting += 1;
    return true;
  }

  deliver(isWell: boolean): void {
    if (this.figures.waiting === 0) return;
    this.figures.waiting -= 1;
    if (isWell) this.figures.sent += 1;
    else this.figures.lost.failed += 1;
  }
}

function deskOf(alerts: readonly object[], names = ['phone'], waiting = 0, startMs = START) {
  const clock = new ManualClock();
  const channels = new Map(names.map((name) => [name, new Channel()]));
  for (const channel of channels.values()) channel.figures.waiting = waiting;
  const parsed = z.array(alertConfig).parse(alerts);
  const desk = new AlertDesk({ alerts: parsed, channels, clock, wallNow: () => startMs + clock.now() });
  return { clock, channels, desk, phone: channels.get('phone')! };
}

let number = 0;
function event(rule: string, more: Partial<RuleEvent> = {}): RuleEvent {
  number += 1;
  const moment = { at: new Date(START).toISOString() };
  return {
    ...{ id: `e${number}`, seq: 0, phase: 'new', rule, kind: 'appears', stream: 'door', label: 'person' },
    ...{ began: moment, raised: moment, reason: `person ${number}`, ...more },
  };
}

describe('AlertDesk', () => {
  it('tells the beginning of the events of its rules and streams', () => {
    const { desk, phone } = deskOf([{ on: ['a'], streams: ['door'], to: ['phone'] }]);
    desk.onEvent(event('a', { reason: 'first' }));
    desk.onEvent(event('a', { phase: 'end' }));
    desk.onEvent(event('b'));
    desk.onEvent(event('a', { stream: 'yard' }));
    expect(phone.texts).toEqual(['first']);
    expect(desk.figures.phone).toMatchObject({ raised: 1, pending: 1 });
  });

  it('holds messages about the same rule and stream, and counts them', () => {
    const { desk, phone, clock } = deskOf([{ on: ['a', 'b'], to: ['phone'], hold: '10m' }]);
    for (const rule of ['a', 'b', 'a']) desk.onEvent(event(rule));
    desk.onEvent(event('a', { stream: 'yard' }));
    clock.advance(10 * 60_000 - 1);
    desk.onEvent(event('a'));
    clock.advance(1);
    desk.onEvent(event('a'));
    expect(phone.texts).toHaveLength(4);
    expect(desk.figures.phone!.suppressed).toEqual({ hold: 2, quiet: 0 });
  });

  it('tells a storm in two messages: the first event at once, those that follow together', () => {
    const { desk, phone, clock } = deskOf([{ on: ['gate'], to: ['phone'], group: '30s', hold: '10m' }]);
    desk.onEvent(event('gate', { reason: 'person 1 crossed line gate' }));
    for (let i = 0; i < 13; i++) {
      clock.advance(2000);
      desk.onEvent(event('gate', { label: i === 0 ? 'dog' : 'person' }));
    }
    clock.advance(3999);
    expect(phone.texts).toEqual(['person 1 crossed line gate']);
    clock.advance(1);
    expect(phone.texts[1]).toBe('13 more events within 30s: 1 of dog, 12 of person');
    desk.onEvent(event('gate'));
    expect(phone.texts).toHaveLength(2);
    expect(desk.figures.phone).toEqual({
      ...{ raised: 15, sent: 0, grouped: 12, failed: 0, pending: 2 },
      suppressed: { hold: 1, quiet: 0 },
    });
  });

  it('says when the channels have an event that waits for the end of its group', async () => {
    const { desk, clock, phone } = deskOf([{ on: ['a'], to: ['phone'], group: '30s', hold: '1m' }]);
    const settled: string[] = [];
    expect(desk.onEvent(event('a'))).toBeUndefined();
    expect(desk.onEvent(event('other'))).toBeUndefined();
    const waits = ['second', 'third'].map((name) => desk.onEvent(event('a'))!.then(() => settled.push(name)));
    await Promise.resolve();
    expect([phone.texts.length, settled]).toEqual([1, []]);
    clock.advance(30_000);
    await Promise.all(waits);
    expect([phone.texts.length, settled]).toEqual([2, ['second', 'third']]);
    expect(desk.onEvent(event('a')), 'held: no channel gets it').toBeUndefined();
  });

  it('tells a storm without an end once in each span, if nothing is held', () => {
    const { desk, phone, clock } = deskOf([{ on: ['gate'], to: ['phone'], group: '30s' }]);
    for (let i = 0; i < 120; i++) {
      desk.onEvent(event('gate'));
      clock.advance(1000);
    }
    expect(phone.texts).toHaveLength(5);
  });

  it('is silent at quiet times', () => {
    const quiet = { timeZone: 'UTC', on: ['daily 12:00-13:00'] };
    const { desk, phone, clock } = deskOf([{ on: ['a'], to: ['phone'], quiet }]);
    desk.onEvent(event('a'));
    clock.advance(60 * 60_000);
    desk.onEvent(event('a'));
    expect(phone.texts).toHaveLength(1);
    expect(desk.figures.phone!.suppressed).toEqual({ hold: 0, quiet: 1 });
  });

  it('holds and groups on after a restart, by what was told, also if the times of the alert have changed', () => {
    const kept = new Map<string, unknown>([['alert x', 'no state']]);
    const next = (seconds: number, more: object) => {
      const opened = deskOf([{ on: ['a'], to: ['phone'], ...more }], ['phone'], 0, START + seconds * 1000);
      opened.desk.resume(new Map(kept), (key, value) => kept.set(key, structuredClone(value)));
      return opened;
    };
    const first = next(0, { hold: '10m' });
    first.desk.onEvent(event('a'));
    first.desk.onEvent(event('a', { stream: 'yard' }));
    const second = next(60, { hold: '10m' });
    for (const stream of ['door', 'yard', 'gate']) second.desk.onEvent(event('a', { stream }));
    expect(second.phone.texts).toHaveLength(1);
    expect(second.desk.figures.phone).toMatchObject({ raised: 3, suppressed: { hold: 2, quiet: 0 }, pending: 1 });
    const shorter = next(120, { hold: '3m' });
    shorter.clock.advance(60_000 - 1);
    shorter.desk.onEvent(event('a'));
    expect(shorter.phone.texts).toEqual([]);
    shorter.clock.advance(1);
    shorter.desk.onEvent(event('a'));
    expect(shorter.phone.texts).toHaveLength(1);
    const grouped = next(200, { group: '30s' });
    grouped.desk.onEvent(event('a'));
    expect([grouped.phone.texts.length, grouped.desk.figures.phone!.pending]).toEqual([0, 1]);
    grouped.clock.advance(10_000);
    expect(grouped.phone.texts).toHaveLength(1);
    // To others it was not told.
    const others = deskOf([{ on: ['a'], to: ['mail'], hold: '10m' }], ['mail'], 0, START + 240_000);
    others.desk.resume(kept, () => undefined);
    others.desk.onEvent(event('a'));
    expect(others.channels.get('mail')!.texts).toHaveLength(1);
    // The clock was set back.
    const back = deskOf([{ on: ['a'], to: ['phone'], hold: '10m' }], ['phone'], 0, START - 86_400_000);
    back.desk.resume(kept, () => undefined);
    back.desk.onEvent(event('a'));
    back.clock.advance(600_000);
    back.desk.onEvent(event('a'));
    expect(back.phone.texts).toHaveLength(1);
  });

  it('tells at its end what waits for the end of a group', () => {
    const { desk, phone } = deskOf([{ on: ['a'], to: ['phone'], group: '30s' }]);
    for (const reason of ['one', 'two']) desk.onEvent(event('a', { reason }));
    desk.close();
    desk.close();
    expect(phone.texts).toEqual(['one', 'two']);
  });

  it('accounts for each event in each channel, at any moment, with what an earlier process left', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = seededRandom(seed);
      const alerts = [
        { on: ['a', 'b'], to: ['phone', 'mail'], group: '20s', hold: '1m' },
        { on: ['b', 'c'], to: ['mail'], hold: '30s' },
        { on: ['c'], to: ['phone'], group: '5s', quiet: { timeZone: 'UTC', on: ['daily 12:02-12:05'] } },
      ];
      const { desk, channels, clock } = deskOf(alerts, ['phone', 'mail'], 3);
      const matched = { phone: 3, mail: 3 };
      for (let step = 0; step < 300; step++) {
        const rule = ['a', 'b', 'c'][Math.floor(random() * 3)]!;
        if (random() < 0.5) {
          desk.onEvent(event(rule, { stream: random() < 0.5 ? 'door' : 'yard' }));
          matched.phone += 1;
          matched.mail += rule === 'b' ? 2 : 1;
        } else clock.advance(random() * 20_000);
        for (const channel of channels.values()) if (random() < 0.4) channel.deliver(random() < 0.8);
        for (const name of ['phone', 'mail'] as const) {
          const { raised, sent, grouped, suppressed, failed, pending } = desk.figures[name]!;
          expect(raised).toBe(matched[name]);
          expect(sent + grouped + suppressed.hold + suppressed.quiet + failed + pending).toBe(raised);
        }
      }
    }
  });
});
