import type { RuleEvent } from '../../../src/protocol/rule-event.ts';

/** An event of a rule, as the engine of rules makes them. */
export function eventOf(number: number, more: Partial<RuleEvent> = {}): RuleEvent {
  const moment = { ptsUs: number * 40_000, at: '2026-03-01T06:00:00.000Z' };
  return {
    ...{
      id: `event-${number}`,
      seq: 0,
      phase: 'new',
      rule: 'loiter',
      kind: 'dwells',
      stream: 'door',
      run: '2026-03-01T05:00:00.000Z',
    },
    ...{
      ...moment,
      began: moment,
      raised: moment,
      reason: 'person 4 has been in yard for 15 s',
      zone: 'yard',
      label: 'person',
    },
    ...more,
  };
}
