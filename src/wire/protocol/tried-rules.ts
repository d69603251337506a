import type { EventFigures, SeeingReport } from './report.ts';
import type { RuleEvent } from './rule-event.ts';

/** An event that a rule would have made: the newest state of it. Without `ended` it was not over. */
export type TriedEvent = Omit<RuleEvent, 'seq' | 'phase' | 'fence'>;

/** What one rule would have done. */
export interface TriedRule {
  /** Its id. */
  readonly rule: string;
  /** Events that it would have raised. */
  readonly raised: number;
  /** Times that it was met and raised none, by reason. */
  readonly suppressed: EventFigures['suppressed'];
  /** Why it cannot work as it is; absent if it can. */
  readonly problem?: string;
  /** Newest last, the newest 50. */
  readonly events: readonly TriedEvent[];
}

/** What rules would have done with what their stream saw in the last hour: `POST /api/streams/:id/rules/try`. */
export interface RuleTrialReply {
  /** Since when the host remembers what was seen, milliseconds since 1970. */
  readonly fromMs: number;
  /** Until when: now. */
  readonly toMs: number;
  /** Results in that time. */
  readonly results: number;
  /** Of which it remembers so many, evenly spread; the rules saw these. */
  readonly kept: number;
  /** The stream did not follow objects all the time, so they were followed now: more roughly than while it runs. */
  readonly isFollowedLater: boolean;
  /** How long the stream was watched in that time, and why it was not. */
  readonly seeing: SeeingReport;
  /** In the order of the request. */
  readonly rules: readonly TriedRule[];
}
