import { expect, it } from 'vitest';
import { EventDesk, type EventKeeper } from '../../../src/events/event-desk.ts';
import { parseStream } from '../../../src/pipeline/load-pipeline.ts';
import type { RuleEvent } from '../../../src/protocol/rule-event.ts';
import { ruleEvent } from '../../support/rule-events.ts';

const brief = ({ id, seq, phase, endReason }: RuleEvent): string => `${id}.${seq} ${endReason ?? phase}`;

/** A desk whose keeper has what an earlier process left. */
function desk(undelivered: RuleEvent[] = [], open: RuleEvent[] = [], lend?: (event: RuleEvent) => boolean) {
  const [sent, kept, delivered]: [string[], string[], string[]] = [[], [], []];
  const config = parseStream({ id: 'gate', source: 'clip.mp4', events: [{ id: 'lost', kind: 'stream' }] }, {});
  const events = new EventDesk({
    configOf: () => config,
    send: (event) => sent.push(brief(event)),
    announce: () => undefined,
    onProblem: () => undefined,
    lend,
  });
  const keeper: EventKeeper = {
    record: async (event) => kept.push(brief(event)) > 0,
    delivered: (id, seq) => delivered.push(`${id}.${seq}`),
    unfinished: async () => ({ undelivered, open }),
  };
  return { events, keeper, sent, kept, delivered };
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
  const { events, keeper, sent, kept } = desk();
  await events.keepIn(keeper);
  let isHeld = true;
  const first = events.deliver(ruleEvent('e', 0, 'new'), () => isHeld);
  const second = events.deliver(ruleEvent('e', 1, 'end'), () => isHeld);
  expect(await first).toBe(true);
  isHeld = false;
  expect(await second).toBe(false);
  expect([sent, kept]).toEqual([['e.0 new'], ['e.0 new', 'e.1 over']]);
});

it('records that are lent are neither kept nor sent until they are delivered', async () => {
  const lent: RuleEvent[] = [];
  const { events, keeper, sent, kept } = desk([], [], (event) => lent.push(event) > 0);
  await events.keepIn(keeper);
  const isMissing = { fps: false, latency: false };
  for (const timeMs of [0, 20_000])
    events.onReport([{ id: 'gate', state: 'failed', isMissing, frames: { in: 0 } } as never], timeMs);
  expect(lent.map(({ rule, phase }) => `${rule} ${phase}`)).toEqual(['lost new']);
  expect([sent, kept]).toEqual([[], []]);
  expect(await events.deliver(lent[0]!, () => true)).toBe(true);
  expect(sent).toHaveLength(1);
  expect(kept).toHaveLength(1);
});
