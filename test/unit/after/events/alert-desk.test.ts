import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { AlertDesk } from '../../../../src/after/events/alert-desk.ts';
import { MOST_AWAITED } from '../../../../src/after/events/awaited-snapshots.ts';
import type { DeliveryListener, SnapshotChannel } from '../../../../src/after/sinks/sink.ts';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { alertConfig } from '../../../../src/settings/config/alerts.ts';
import type { RuleEvent } from '../../../../src/wire/protocol/rule-event.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const START = Date.parse('2026-05-04T12:00:00Z');

class Channel {
  readonly texts: string[] = [];
  figures = { problem: null, sent: 0, waiting: 0, retried: 0, lost: { failed: 0 } };
  readonly pictures: string[] = [];
  told: DeliveryListener | null = null;
  watchDeliveries(listener: DeliveryListener): void {
    this.told = listener;
  }

  openSnapshots(): SnapshotChannel {
    const { pictures } = this;
    return {
      send: ({ id }, link, jpeg) => void pictures.push(`${id} ${link} ${jpeg.length}`),
      get figures() {
        return { sent: pictures.length, failed: 0, pending: 0 };
      },
    };
  }

  publishEvent({ reason }: RuleEvent, _canWait?: boolean, onKept?: () => void): boolean {
    this.texts.push(reason);
    this.figures.waiting += 1;
    onKept?.();
    return true;
  }

  deliver(isWell: boolean): void {
    if (this.figures.waiting === 0) return;
    this.figures.waiting -= 1;
    if (isWell) this.figures.sent += 1;
    else this.figures.lost.failed += 1;
  }
}

const noPicture = (): Promise<Uint8Array | null> => Promise.resolve(null);

function deskOf(alerts: readonly object[], names = ['phone'], waiting = 0, startMs = START, snapshotOf = noPicture) {
  const clock = new ManualClock();
  const channels = new Map(names.map((name) => [name, new Channel()]));
  for (const channel of channels.values()) channel.figures.waiting = waiting;
  const parsed = z.array(alertConfig).parse(alerts);
  const wallNow = (): number => startMs + clock.now();
  const desk = new AlertDesk({ alerts: parsed, channels, clock, wallNow, snapshotOf, publicUrl: 'https://cams/' });
  return { clock, channels, desk, phone: channels.get('phone')! };
}

let number = 0;
function event(rule: string, more: Partial<RuleEvent> = {}): RuleEvent {
  number += 1;
  const moment = { at: new Date(START).toISOString() };
  return {
    id: `e${number}`,
    seq: 0,
    phase: 'new',
    rule,
    kind: 'appears',
    stream: 'door',
    label: 'person',
    began: moment,
    raised: moment,
    reason: `person ${number}`,
    ...more,
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
      raised: 15,
      sent: 0,
      grouped: 12,
      failed: 0,
      pending: 2,
      suppressed: { hold: 1, quiet: 0 },
      snapshots: { sent: 0, failed: 0, pending: 0 },
    });
  });

  it('says when the channels have an event that waits for the end of its group', async () => {
    const { desk, clock, phone } = deskOf([{ on: ['a'], to: ['phone'], group: '30s', hold: '1m' }]);
    const settled: string[] = [];
    expect([...desk.onEvent(event('a')).keys()]).toEqual(['phone']);
    expect(desk.onEvent(event('other')).size).toBe(0);
    const waits = ['second', 'third'].map((name) =>
      desk
        .onEvent(event('a'))
        .get('phone')!
        .then(() => settled.push(name)),
    );
    await Promise.resolve();
    expect([phone.texts.length, settled]).toEqual([1, []]);
    clock.advance(30_000);
    await Promise.all(waits);
    expect([phone.texts.length, settled]).toEqual([2, ['second', 'third']]);
    expect(desk.onEvent(event('a')).size, 'held: no channel gets it').toBe(0);
  });

  it('tells a storm without an end once in each span, if nothing is held', () => {
    const { desk, phone, clock } = deskOf([{ on: ['gate'], to: ['phone'], group: '30s' }]);
    for (let i = 0; i < 120; i++) {
      desk.onEvent(event('gate'));
      clock.advance(1000);
    }
    expect(phone.texts).toHaveLength(5);
  });

  it('knows what became of the alert of each event: sent and answered, in a group, held, quiet', () => {
    const { desk, phone, clock } = deskOf([{ on: ['a'], to: ['phone'], group: '30s', hold: '10m' }]);
    const [first, second, third, held] = [event('a'), event('a'), event('a'), event('a')];
    const of = ({ id }: RuleEvent) =>
      desk.deliveriesOf(id)?.map(({ atMs, ...rest }) => ({ ...rest, afterMs: atMs - START }));
    desk.onEvent(first);
    expect(of(first)).toEqual([{ channel: 'phone', state: 'waiting', afterMs: 0 }]);
    phone.told!(first.id, { state: 'sent', answer: 'answered 200', atMs: START + 50 });
    expect(of(first)).toEqual([{ channel: 'phone', state: 'sent', answer: 'answered 200', afterMs: 50 }]);
    clock.advance(1000);
    desk.onEvent(second);
    desk.onEvent(third);
    clock.advance(30_000);
    phone.told!(`${second.id}-more`, { state: 'sent', atMs: START + 40_000 });
    for (const each of [second, third])
      expect(of(each)).toEqual([{ channel: 'phone', state: 'sent', afterMs: 40_000 }]);
    clock.advance(60_000);
    desk.onEvent(held);
    expect(desk.deliveriesOf(held.id)).toEqual([
      { channel: 'phone', state: 'held', atMs: START + 91_000, hold: '10m', withMs: START + 30_000 },
    ]);
    expect(desk.deliveriesOf('unknown')).toBeNull();

    const quiet = deskOf([{ on: ['a'], to: ['phone'], quiet: { timeZone: 'UTC', on: ['daily 12:00-13:00'] } }]).desk;
    const silent = event('a');
    quiet.onEvent(silent);
    expect(quiet.deliveriesOf(silent.id)).toEqual([
      { channel: 'phone', state: 'quiet', atMs: START, untilMs: START + 3_600_000 },
    ]);
  });

  it('says of each quiet time when it ends, and not of one that never does', () => {
    const DAY_MS = 86_400_000;
    const untilOf = (on: string): (number | undefined)[] => {
      const { desk, clock } = deskOf([{ on: ['a'], to: ['phone'], quiet: { timeZone: 'UTC', on: [on] } }]);
      return [0, 20 * 60_000, DAY_MS].map((advanceMs) => {
        clock.advance(advanceMs);
        const silent = event('a');
        desk.onEvent(silent);
        return desk.deliveriesOf(silent.id)![0]!.untilMs;
      });
    };
    const first = START + 3_600_000;
    expect(untilOf('daily 12:00-13:00')).toEqual([first, first, first + DAY_MS]);
    expect(untilOf('daily 00:00-24:00')).toEqual([undefined, undefined, undefined]);
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

  const CLIP = { clip: '/api/events/x/clip.mp4' };
  const jpeg = (): Promise<Uint8Array> => Promise.resolve(new Uint8Array(9));

  it('sends the picture of an event that it told, once to each channel, and counts it apart', async () => {
    const alerts = [
      { on: ['a'], to: ['phone', 'mail'], hold: '1m' },
      { on: ['a'], to: ['mail'] },
    ];
    const { desk, channels } = deskOf(alerts, ['phone', 'mail']);
    const [told, held, bare] = [event('a', CLIP), event('a', CLIP), event('a', { stream: 'yard' })];
    for (const each of [told, held, bare]) desk.onEvent(each);
    const snapshotsOf = (name: string): unknown => desk.figures[name]!.snapshots;
    expect(['phone', 'mail'].map(snapshotsOf)).toEqual([
      { sent: 0, failed: 0, pending: 1 },
      { sent: 0, failed: 0, pending: 2 },
    ]);
    await Promise.all([told, told, held, bare].map((each) => desk.onPicture({ ...each, phase: 'end' }, jpeg)));
    await desk.onPicture(told, null);
    const line = ({ id }: RuleEvent): string => `${id} https://cams/api/events/${id}/snapshot.jpg 9`;
    expect(channels.get('phone')!.pictures).toEqual([line(told)]);
    expect(channels.get('mail')!.pictures).toEqual([line(told), line(held)]);
    expect(desk.figures.phone).toMatchObject({ raised: 3, pending: 2, snapshots: { sent: 1, failed: 0, pending: 0 } });
  });

  it('sends none for a storm beyond its first event, and a late one for an event that was told late', async () => {
    const found = new Map<string, Uint8Array>();
    const look = ({ id }: RuleEvent): Promise<Uint8Array | null> => Promise.resolve(found.get(id) ?? null);
    const alerts = [{ on: ['a', 'b'], to: ['phone'], group: '30s' }];
    const { desk, phone, clock } = deskOf(alerts, ['phone'], 0, START, look as typeof noPicture);
    const storm = [1, 2, 3].map(() => event('a', CLIP));
    const [first, late] = [event('b', CLIP), event('b', CLIP)];
    for (const each of [...storm, first, late]) desk.onEvent(each);
    // Its picture is there before people are told of it.
    found.set(late.id, new Uint8Array(5));
    await desk.onPicture(late, jpeg);
    clock.advance(30_000);
    await expect.poll(() => phone.pictures).toHaveLength(1);
    expect(phone.pictures[0]).toContain(late.id);
    await Promise.all([...storm, first].map((each) => desk.onPicture(each, jpeg)));
    expect(phone.pictures.map((text) => text.split(' ')[0])).toEqual([late.id, storm[0]!.id, first.id]);
    expect(desk.figures.phone!.snapshots).toEqual({ sent: 3, failed: 0, pending: 0 });
  });

  it('counts as failed what has no picture: none can be made, it does not come, or too many are awaited', async () => {
    const { desk, phone, clock } = deskOf([{ on: ['a'], to: ['phone'] }]);
    const figures = (): unknown => desk.figures.phone!.snapshots;
    const events = Array.from({ length: MOST_AWAITED + 1 }, () => event('a', CLIP));
    for (const each of events) desk.onEvent(each);
    expect(figures()).toEqual({ sent: 0, failed: 1, pending: MOST_AWAITED });
    await desk.onPicture(events[0]!, jpeg);
    await desk.onPicture(events[1]!, null);
    await desk.onPicture(events[2]!, () => Promise.reject(new Error('deleted')));
    expect(figures()).toEqual({ sent: 0, failed: 3, pending: MOST_AWAITED - 2 });
    clock.advance(15 * 60_000);
    await desk.onPicture(events[3]!, jpeg);
    expect(figures()).toEqual({ sent: 0, failed: MOST_AWAITED + 1, pending: 0 });
    expect(phone.pictures).toEqual([]);
  });

  it('sends after a restart or a kill what an earlier process told, and no picture that surely left', async () => {
    const alerts = [{ on: ['a'], to: ['phone', 'gone'] }];
    const kept = new Map<string, unknown>();
    const keep = (key: string, value: object): unknown => kept.set(key, structuredClone(value));
    const first = deskOf(alerts, ['phone', 'gone']);
    first.desk.resume(new Map(), keep);
    const [sent, left, lost] = [event('a', CLIP), event('a', CLIP), event('a', CLIP)];
    for (const each of [sent, left, lost]) first.desk.onEvent(each);
    await first.desk.onPicture(sent, jpeg);
    // Killed within a second, the channel may not have it on the disk: it comes twice, with the same id.
    const idsIn = (state: ReadonlyMap<string, unknown>): string[] =>
      (state.get('alert snapshots') as { awaited: { event: RuleEvent }[] }).awaited.map(({ event: { id } }) => id);
    expect(idsIn(kept).toSorted()).toEqual([sent.id, left.id, lost.id].toSorted());
    first.clock.advance(1000);
    expect(idsIn(kept)).toEqual([left.id, lost.id]);
    await first.desk.onPicture(left, jpeg);
    first.desk.close();
    expect(idsIn(kept)).toEqual([lost.id]);
    kept.set('alert snapshots', { awaited: [left, lost].map((each) => ({ event: each, to: ['phone', 'gone'] })) });
    const look = ({ id }: RuleEvent): Promise<Uint8Array | null> =>
      Promise.resolve(id === left.id ? new Uint8Array(7) : null);
    const second = deskOf([{ on: ['a'], to: ['phone'] }], ['phone'], 0, START, look as typeof noPicture);
    second.desk.resume(new Map(kept), keep);
    await expect.poll(() => second.desk.figures.phone!.snapshots).toEqual({ sent: 1, failed: 0, pending: 1 });
    // The stream of the other never runs again.
    for (let i = 0; i < 12; i++) {
      second.clock.advance(5000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(second.desk.figures.phone!.snapshots).toEqual({ sent: 1, failed: 1, pending: 0 });
    expect(second.phone.pictures[0]).toContain(left.id);
    second.desk.close();
    const third = deskOf([{ on: ['a'], to: ['phone'] }]);
    third.desk.resume(new Map([['alert snapshots', { awaited: [{ event: null, to: [] }] }]]), keep);
    expect(third.desk.figures.phone!.snapshots).toEqual({ sent: 0, failed: 0, pending: 0 });
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
