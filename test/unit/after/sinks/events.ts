import type { RuleEvent } from '../../../../src/wire/protocol/rule-event.ts';
import { ruleEvent } from '../../../support/rule-events.ts';

/** The first record of an event of a live stream, by its number. */
export function eventOf(number: number, more: Partial<RuleEvent> = {}): RuleEvent {
  return ruleEvent(`event-${number}`, 0, 'new', {
    stream: 'door',
    zone: 'yard',
    reason: 'person 4 has been in yard for 15 s',
    at: '2026-03-01T06:00:00.000Z',
    ...more,
  });
}
