import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { RuleEvent } from '../../../src/wire/protocol/rule-event.ts';
import { ruleEvent } from '../../support/rule-events.ts';
import { streamReport } from '../../support/sample-reports.ts';

/** What the gateway is asked is answered with nothing: events come by the feed. */
vi.mock('../../../web/gateway.js', () => ({
  PAGE_URL: 'http://127.0.0.1/',
  gateway: { eventPage: async () => ({ events: [] }) },
}));

const load = (file: string) => import(new URL(`../../../web/${file}`, import.meta.url).href);
const { AlertWatch } = await load('alert-watch.js');
const { knownEvent } = await load('rule-events.js');
const { durationText } = await load('event-text.js');

const RULES = [
  { id: 'loiter', kind: 'dwells' },
  { id: 'in', kind: 'crosses' },
  { id: 'lost', kind: 'stream' },
];
const NOW = Date.now();

function told(id: string, agoMs: number, more: Partial<RuleEvent> = {}) {
  const at = new Date(NOW - agoMs).toISOString();
  const phase = more.phase ?? 'new';
  const rule = ruleEvent(id, phase === 'end' ? 1 : 0, phase, { at, began: { at }, raised: { at }, ...more });
  return { type: 'event', timeMs: NOW - agoMs, kind: 'rule', stream: rule.stream, message: rule.reason, rule };
}

describe('alerts', () => {
  // biome-ignore lint/suspicious/noExplicitAny: the page is plain JavaScript
  let watch: any;
  const ids = (): string[] => watch.active.map(({ id }: { id: string }) => id);
  beforeEach(async () => {
    watch = new AlertWatch(
      () => undefined,
      (error: Error) => {
        throw error;
      },
    );
    const on = RULES.map(({ id }) => id);
    watch.load({ effective: { alerts: [{ on, to: ['webhook-1'] }], streams: [{ id: 'gate', events: RULES }] } });
    await new Promise(setImmediate);
  });

  it('that last stand above those that are over, whichever came last', () => {
    watch.add(told('lasts', 30_000));
    watch.add(told('crossed', 1_000, { rule: 'in', kind: 'crosses' }));
    expect(ids()).toEqual(['lasts', 'crossed']);
    expect(watch.headline).toMatchObject({ also: '2 alerts in all.', href: '#events?event=lasts' });
  });

  it('are not the trouble of the machine: a missed target is none, a camera that is down is one', () => {
    watch.add(told('slow', 1_000, { rule: 'lost', kind: 'stream', sign: 'target-missed' }));
    expect(ids()).toEqual([]);
    expect(watch.headline).toBeNull();
    watch.add(told('down', 2_000, { rule: 'lost', kind: 'stream', sign: 'down' }));
    expect(ids()).toEqual(['down']);
  });

  it('of a camera that is down are gone once its picture is back', () => {
    watch.add(told('down', 2_000, { rule: 'lost', kind: 'stream', sign: 'down' }));
    watch.update([{ ...streamReport('gate'), state: 'reconnecting' }]);
    expect(ids()).toEqual(['down']);
    watch.update([streamReport('gate')]);
    expect(ids()).toEqual([]);
    watch.update([{ ...streamReport('gate'), state: 'reconnecting' }]);
    watch.add(told('down', 1_000, { rule: 'lost', kind: 'stream', sign: 'down', phase: 'end', ended: {} }));
    expect(ids(), 'over').toEqual([]);
  });
});

it('what is over at once is over before its end is told, and lasts a moment wherever it is shown', () => {
  const crossed = knownEvent(told('crossed', 15_000, { rule: 'in', kind: 'crosses' }));
  expect(crossed.endedMs).toBe(NOW - 15_000);
  expect(durationText(crossed, NOW)).toBe('a moment');
  expect(durationText(knownEvent(told('lasts', 15_000)), NOW)).toBe('15 s');
});
