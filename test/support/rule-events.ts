import type { EventKeeper } from '../../src/after/events/event-desk.ts';
import type { EventPhase, RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import type { RuleTrialReply, TriedEvent } from '../../src/wire/protocol/tried-rules.ts';

/** A record of a rule at a door. */
export function ruleEvent(id: string, seq: number, phase: EventPhase, more: Partial<RuleEvent> = {}): RuleEvent {
  return {
    id,
    seq,
    phase,
    rule: 'loiter',
    kind: 'dwells',
    stream: 'gate',
    zone: 'door',
    label: 'person',
    trackId: 7,
    began: { ptsUs: 0 },
    raised: { ptsUs: 15_000_000 },
    ptsUs: 15_000_000 + seq,
    reason: `person 7 stays in door for more than 15 s (${seq})`,
    ...(phase === 'end' ? { ended: { ptsUs: 16_000_000 }, endReason: 'over' as const } : {}),
    ...more,
  };
}

/** Keeps nothing; with a keeper, a host remembers what its rules read. */
export const NO_KEEPER: EventKeeper = {
  record: () => Promise.resolve(true),
  given: () => undefined,
  delivered: () => undefined,
  watched: () => undefined,
  keep: () => undefined,
  unfinished: () => Promise.resolve({ undelivered: [], open: [], kept: new Map() }),
};

/** The answer of a host that has tried rules on an hour; each would have fired so many times. */
export function ruleTrial(rules: readonly string[], times = 2): RuleTrialReply {
  const toMs = Date.now();
  const momentOf = (i: number) => ({ ptsUs: i * 1e6, at: new Date(toMs - (i + 1) * 300_000).toISOString() });
  const eventOf = (rule: string, i: number): TriedEvent => ({
    id: `${rule}-${i}`,
    rule,
    kind: 'dwells',
    stream: 'gate-1',
    began: momentOf(i),
    raised: momentOf(i),
    ended: momentOf(i - 0.1),
    endReason: 'over',
    reason: `person ${i} has stayed in zone yard for 15 s`,
    path: [
      [0.2, 0.5],
      [0.4, 0.6],
    ],
    best: { ...momentOf(i), frame: i, box: [300, 200, 60, 160], score: 0.9, width: 1280, height: 720 },
  });
  return {
    fromMs: toMs - 3_600_000,
    toMs,
    results: 54_000,
    kept: 27_000,
    isFollowedLater: true,
    seeing: { totalMs: 3_600_000, watchedMs: 3_540_000, blindMs: { down: 60_000 } },
    rules: rules.map((rule) => ({
      rule,
      raised: times,
      suppressed: { times: 1, cooldown: 0, when: 0 },
      events: Array.from({ length: times }, (_, i) => eventOf(rule, times - i)),
    })),
  };
}
