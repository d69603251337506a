import type { Decision, Rollout, RolloutFigures } from '../../../wire/protocol/rollout-records.ts';

/** A record without the fence, which the control plane sets. */
export type RolloutDraft = Omit<Rollout, 'fence'>;
type DecisionDraft = Omit<Decision, 'fence'>;

/** A new record and the decision that led to it: both are written, or neither. */
export interface RolloutChange {
  readonly rollout: RolloutDraft;
  readonly decision: DecisionDraft;
}

export interface RolloutBeat {
  readonly hostId: string;
  /** Fence of the newest record that the host knows; 0 for none. The reply leaves out what the host has. */
  readonly knownFence: number;
}

export interface RolloutReply {
  /** The control plane's clock, milliseconds since 1970. The times of a roll-out are measured by this clock only. */
  readonly nowMs: number;
  /** Fence of the record; 0 if there is none. */
  readonly fence: number;
  /** null if there is none, or if the host knows it. */
  readonly rollout: Rollout | null;
  /** null if no evidence was saved for this step. */
  readonly figures: RolloutFigures | null;
  /** Decisions after `knownFence`, oldest first. */
  readonly decisions: readonly Decision[];
  /** This host decides for the pipeline until `leaseMs` after this call. */
  readonly isController: boolean;
}

/** The evidence of one step. */
export interface Evidence {
  readonly figures: RolloutFigures;
  /** From which another controller continues; null to keep the one that was saved before. */
  readonly snapshot: string | null;
}

/**
 * The roll-out of one pipeline on the control plane.
 *
 * One host at a time is the controller. Every change names the fence of the record that it is based on, and is refused if
 * the record has changed meanwhile, so that two who decide at once never both succeed. Rejects with CONTROL_UNREACHABLE
 * while Redis does not answer.
 */
export interface RolloutStore {
  /** Reads what is new, and takes or renews the controller's lease if no other host holds it. */
  beat(beat: RolloutBeat): Promise<RolloutReply>;
  /** Gives the lease of the controller back. Does nothing if another host holds it. */
  leave(hostId: string): Promise<void>;
  /**
   * Writes a change.
   *
   * @param expectedFence - of the record that the change is based on; 0: there must be none.
   * @param controller - the host that must be the controller; null if a person decided.
   * @returns the new fence, which is higher than all before; null if the record or the controller is another one.
   */
  change(change: RolloutChange, expectedFence: number, controller: string | null): Promise<number | null>;
  /** Saves the evidence of the current step. Returns false if the host is not the controller or the step is another one. */
  saveEvidence(controller: string, evidence: Evidence): Promise<boolean>;
  /** The evidence that was saved last; null if there is none. */
  evidence(): Promise<Evidence | null>;
  /**
   * Puts a record back after the control plane has lost its data. Does nothing if its record is as new or newer.
   *
   * @param decisions - oldest first; kept only if the control plane has none.
   */
  restore(rollout: Rollout, decisions: readonly Decision[]): Promise<boolean>;
  /** The newest decisions, newest first. */
  history(): Promise<readonly Decision[]>;
}
