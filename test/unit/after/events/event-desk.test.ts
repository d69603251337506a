import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { EventDesk, type EventKeeper } from '../../../../src/after/events/event-desk.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';
import type { StreamReport } from '../../../../src/wire/protocol/report.ts';
import type { RuleEvent } from '../../../../src/wire/protocol/rule-event.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { ruleEvent } from '../../../support/rule-events.ts';
import { streamReport } from '../../../support/sample-reports.ts';

const brief = ({ id, seq, phase, endReason }: RuleEvent): string => `${id}.${seq} ${endReason ?? phase}`;

/** A desk whose keeper has what an earlier process left. */
function desk(
  undelivered: RuleEvent[] = [],
  open: RuleEvent[] = [],
  lend?: (event: RuleEvent) => boolean,
  passing?: (event: RuleEvent) => Promise<void> | [string, Promise<void>][] | undefined,
  givenBefore: readonly string[] = [],
) {
  const [sent, kept, delivered]: [string[], string[], string[]] = [[], [], []];
  const watched: object[] = [];
  const clock = new ManualClock();
  const config = parseStream({ id: 'gate', source: 'clip.mp4', events: [{ id: 'lost', kind: 'stream' }] }, {});
  const events = new EventDesk({
    configOf: () => config,
    isTracked: () => false,
    send: (event, given) => {
      sent.push(given.size === 0 ? brief(event) : `${brief(event)} (${[...given].join()} has it)`);
      const waits = passing?.(event);
      return new Map(waits === undefined ? [] : waits instanceof Promise ? [['sink', waits]] : waits);
    },
    announce: () => undefined,
    onProblem: () => undefined,
    lend,
    clock,
  });

  const keeper: EventKeeper = {
    record: async (...events) => kept.push(...events.map(brief)) > 0,
    given: (id, seq, sink) => delivered.push(`${id}.${seq} by ${sink}`),
    delivered: (id, seq) => delivered.push(`${id}.${seq}`),
    watched: (stream, spans) => watched.push(...spans.map((span) => ({ stream, ...span }))),
    keep: () => undefined,
    unfinished: async () => ({
      undelivered: undelivered.map((event) => ({ event, given: givenBefore })),
      open,
      kept: new Map(),
    }),
  };
  return { events, keeper, sent, kept, delivered, watched, clock };
}

it('what an earlier process left under a lease is neither sent nor ended by this host, but is open no longer', async () => {
  const [own, leased] = [ruleEvent('own', 0, 'new'), ruleEvent('leased', 0, 'new', { fence: 5 })];
  const { events, keeper, sent, kept, delivered } = desk([own, leased], [own, leased]);
  await events.keepIn(keeper);
  expect(sent).toEqual(['own.0 new', 'own.1 restart']);
  expect(kept).toEqual(['own.1 restart', 'leased.1 moved']);
  expect(delivered).toEqual(['own.0', 'leased.0', 'own.1', 'leased.1']);
});

it('a record that may not be handed out once it is kept is only kept', async () => {
  const { events, keeper, sent, kept, clock } = desk();
  await events.keepIn(keeper);
  let isHeld = true;
  const first = events.deliver(ruleEvent('e', 0, 'new'), () => isHeld);
  expect(await first).toBe(true);
  const second = events.deliver(ruleEvent('e', 1, 'end'), () => isHeld);
  isHeld = false;
  clock.advance(100);
  expect(await second).toBe(false);
  expect([sent, kept]).toEqual([['e.0 new'], ['e.0 new', 'e.1 over']]);
});

it('records that are lent are neither kept nor sent until they are delivered', async () => {
  const lent: RuleEvent[] = [];
  const { events, keeper, sent, kept, clock } = desk([], [], (event) => lent.push(event) > 0);
  await events.keepIn(keeper);
  const isMissing = { fps: false, latency: false };
  for (const timeMs of [0, 20_000]) {
    clock.advance(timeMs);
    events.onReport([{ id: 'gate', state: 'failed', isMissing, frames: { in: 0 } } as never], timeMs);
  }
  expect(lent.map(({ rule, phase }) => `${rule} ${phase}`)).toEqual(['lost new']);
  expect([sent, kept]).toEqual([[], []]);
  expect(await events.deliver(lent[0]!, () => true)).toBe(true);
  expect(sent).toHaveLength(1);
  expect(kept).toHaveLength(1);
});

it('a recording that could not be opened at first is no longer down once it plays', async () => {
  const { events, sent, clock } = desk();
  const isMissing = { fps: false, latency: false };
  const report = (state: string): void =>
    events.onReport([{ id: 'gate', state, isMissing, frames: { in: 0 } } as never], 0);
  for (const state of ['failed', 'failed', 'running', 'running']) {
    report(state);
    clock.advance(11_000);
  }
  expect(sent.map((text) => text.replace(/^\w+\./, ''))).toEqual(['0 new', '1 over']);
});

it('a keeper that does not answer holds all records up together, not one after the other', async () => {
  const { events, keeper, sent } = desk();
  await events.keepIn(keeper);
  const answers: (() => void)[] = [];
  const silent: EventKeeper = { ...keeper, record: () => new Promise((resolve) => answers.push(() => resolve(false))) };
  await events.keepIn(silent);
  const done = [0, 1, 2].map((seq) => events.deliver(ruleEvent('e', seq, 'update'), () => true));
  await Promise.resolve();
  expect(answers, 'records of one moment are written at once').toHaveLength(1);
  for (const answer of answers.splice(0)) answer();
  await Promise.resolve();
  while (answers.length > 0) {
    for (const answer of answers.splice(0)) answer();
    await Promise.resolve();
  }
  await Promise.all(done);
  expect(sent).toEqual(['e.0 update', 'e.1 update', 'e.2 update']);
});

it('a record that comes after a while waits for nothing, those that follow it soon are kept and sent together', async () => {
  const { events, keeper, sent, clock } = desk();
  const batches: string[][] = [];
  const record: EventKeeper['record'] = async (...records) => batches.push(records.map(brief)) > 0;
  await events.keepIn({ ...keeper, record });
  const raise = (seq: number): Promise<boolean> => events.deliver(ruleEvent('e', seq, 'update'), () => true);
  await raise(0);
  const later = [raise(1), raise(2)];
  clock.advance(99);
  const last = raise(3);
  await setImmediate();
  expect(sent, 'none of those that follow').toEqual(['e.0 update']);
  clock.advance(1);
  await Promise.all([...later, last]);
  expect(batches).toEqual([['e.0 update'], ['e.1 update', 'e.2 update', 'e.3 update']]);
  const atTheEnd = raise(4);
  await events.close();
  expect(await atTheEnd, 'who closes does not wait').toBe(true);
  expect(batches.at(-1)).toEqual(['e.4 update']);
});

it('a record counts as delivered once all have it: one that waits for the end of a group is told again after a kill', async () => {
  let onTold = (): void => undefined;
  const told = new Promise<void>((resolve) => {
    onTold = resolve;
  });
  const { events, keeper, delivered } = desk([ruleEvent('left', 0, 'new')], [], undefined, ({ id }) =>
    id === 'at-once' ? undefined : told,
  );
  await events.keepIn(keeper);
  await Promise.all(['waits', 'at-once'].map((id) => events.deliver(ruleEvent(id, 0, 'new'), () => true)));
  expect(delivered).toEqual(['at-once.0']);
  onTold();
  await told;
  expect(delivered).toEqual(['at-once.0', 'left.0', 'waits.0']);
});

it('a record is marked for each sink that has it, and as a whole once all have; nobody waits for a slow one', async () => {
  const done = new Map<string, () => void>();
  const pending = (id: string, sink: string): [string, Promise<void>] => [
    sink,
    new Promise((resolve) => done.set(`${id} ${sink}`, resolve)),
  ];
  const { events, keeper, sent, delivered, clock } = desk([], [], undefined, ({ id }) =>
    ['fast', 'slow', 'stuck'].map((sink) => pending(id, sink)),
  );
  await events.keepIn(keeper);
  await events.deliver(ruleEvent('a', 0, 'new'), () => true);
  clock.advance(100);
  const second = events.deliver(ruleEvent('b', 0, 'new'), () => true);
  clock.advance(100);
  await second;
  expect(sent).toEqual(['a.0 new', 'b.0 new']);
  expect(delivered, 'passed on is not kept').toEqual([]);
  for (const each of ['a fast', 'b fast', 'b slow', 'b stuck', 'a slow']) {
    done.get(each)!();
    await setImmediate();
  }
  expect(delivered).toEqual(['a.0 by fast', 'b.0 by fast', 'b.0 by slow', 'b.0', 'a.0 by slow']);
});

it('a start hands a record only to the sinks that lack it', async () => {
  const { events, keeper, sent, delivered } = desk([ruleEvent('left', 3, 'end')], [], undefined, () => undefined, [
    'fast',
    'gone',
  ]);
  await events.keepIn(keeper);
  expect(sent).toEqual(['left.3 over (fast,gone has it)']);
  expect(delivered).toEqual(['left.3']);
});

it('the time in which a stream was watched, or was not, is kept once, to its end', async () => {
  const { events, keeper, watched, clock } = desk();
  await events.keepIn(keeper);
  const report = (state: StreamReport['state']): void =>
    events.onReport([{ ...streamReport('gate'), state, sign: null }], 0);
  report('reconnecting');
  clock.advance(1000);
  report('reconnecting');
  clock.advance(500);
  report('paused');
  clock.advance(250);
  events.onRemoved('gate', false, 0);
  await events.close();
  const [at0, at1, at2] = [0, 1000, 1500].map((ms) => ms + clock.now() - 1750);
  expect(watched).toEqual([
    { stream: 'gate', reason: 'down', fromMs: at0, toMs: at1 },
    { stream: 'gate', reason: 'down', fromMs: at1, toMs: at2 },
    { stream: 'gate', reason: 'paused', fromMs: at2, toMs: clock.now() },
  ]);
});
