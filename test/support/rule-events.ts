import type { EventPhase, RuleEvent } from '../../src/protocol/rule-event.ts';

/** A record of a rule at a door. */
export function ruleEvent(id: string, seq: number, phase: EventPhase, more: Partial<RuleEvent> = {}): RuleEvent {
  return {
    ...{ id, seq, phase, rule: 'loiter', kind: 'dwells', stream: 'gate', zone: 'door', label: 'person', trackId: 7 },
    ...{ began: { ptsUs: 0 }, raised: { ptsUs: 15_000_000 }, ptsUs: 15_000_000 + seq },
    reason: `person 7 stays in door for more than 15 s (${seq})`,
    ...(phase === 'end' ? { ended: { ptsUs: 16_000_000 }, endReason: 'over' as const } : {}),
    ...more,
  };
}
