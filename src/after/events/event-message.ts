import type { EventMessage } from '../../wire/protocol/feed.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';

/** Returns the message about a record of an event. */
export function eventMessage(event: RuleEvent, timeMs: number): EventMessage {
  const { stream, reason, phase, rule } = event;
  const message = phase === 'end' ? `${rule}: over: ${reason}` : `${rule}: ${reason}`;
  return { type: 'event', timeMs, kind: 'rule', stream, message, rule: event };
}
