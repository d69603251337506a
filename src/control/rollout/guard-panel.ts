import type { GuardReport, GuardSettings, Observation, Rollout } from '../../protocol/rollout-records.ts';

/** The guards of one roll-out: they take observations and say whether the candidate is as good as the control. */
export interface GuardPanel {
  observe(observation: Observation): void;
  /**
   * The verdict of every guard that is on. Cheap: called once a second.
   *
   * @param streams - those that exist: nothing is waited for on others. All if absent.
   */
  reports(streams?: readonly string[]): readonly GuardReport[];
  /** Of these streams, those whose control was observed too briefly to compare the candidate with it, and that are still waited for. */
  withoutBaseline(streams: readonly string[]): readonly string[];
  /** Of these streams, those without a baseline that are no longer waited for. */
  abandoned(streams: readonly string[]): readonly string[];
  /** Time until these streams were observed long enough; null if it is unknown. */
  readyInMs(streams: readonly string[]): number | null;
  /** Of these streams, those that published no frame for ten minutes of this step. */
  silent(streams: readonly string[]): readonly string[];
  /** Median latency of a stream under the control, in milliseconds; null if it is not known. */
  usualLatencyOf(stream: string): number | null;
  /**
   * Begins a step: drops the evidence about the candidate that depends on the time, and keeps that about the control.
   *
   * @param isAlone - in this step the candidate carries all streams without turns.
   */
  reset(isAlone: boolean): void;
  /** All evidence as plain data, from which another controller continues. */
  snapshot(): unknown;
}

/** Makes panels from settings. */
export interface GuardPanels {
  /** Checks the settings of guards and fills in the defaults. @throws CONFIG_INVALID */
  check(settings: unknown): GuardSettings;
  /**
   * @param rollout - `guards` are settings as returned by `check`.
   * @param snapshot - evidence of an earlier controller; null for none.
   * @param nowMs - milliseconds since 1970, on a clock that every host agrees on.
   */
  open(rollout: Rollout, snapshot: unknown, nowMs: () => number): GuardPanel;
}
