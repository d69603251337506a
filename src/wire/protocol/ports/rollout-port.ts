import type { EventMessage } from '../feed.ts';
import type { RolloutVerb, SeenStep } from '../rest.ts';
import type { Decision, RolloutReport, ShadowObservation, VersionReport } from '../rollout-records.ts';

/** Who acts, for the audit log. */
export interface RolloutAction {
  readonly who: string;
  /** `promote` only: goes to 100 % at once. */
  readonly isFull: boolean;
  /** `promote` only, and required there: the step that the person saw. */
  readonly seen: SeenStep | null;
}

/**
 * What the gateway needs from roll-outs. Every promise rejects with CONTROL_UNREACHABLE while the control plane does not
 * answer.
 */
export interface RolloutPort {
  /** The newest roll-out as last read, at most a second ago; null if the pipeline has had none. */
  rollout(): RolloutReport | null;
  /** Why this host cannot load a version that its streams are to use; null if it can. */
  problem(): string | null;
  /** `request` is unchecked user input. @throws CONFIG_INVALID, MODEL_*, ROLLOUT_RUNNING */
  startRollout(request: unknown, who: string): Promise<RolloutReport>;
  /** @throws ROLLOUT_NOT_FOUND, ROLLOUT_STATE */
  actOnRollout(verb: RolloutVerb, action: RolloutAction): Promise<RolloutReport>;
  /** Decisions, newest first. */
  rolloutHistory(): Promise<readonly Decision[]>;
  /** All known versions of the pipeline, oldest first. */
  versions(): readonly VersionReport[];
  /**
   * Each decision of this pipeline once, whichever host made it. Returns a function that unsubscribes. What listeners throw is
   * caught and counted by the port, as with `RuntimePort`.
   */
  onRolloutEvent(listener: (event: EventMessage) => void): () => void;
  /** Frames of this host that both versions inferred. */
  onShadow(listener: (observation: ShadowObservation) => void): () => void;
}
