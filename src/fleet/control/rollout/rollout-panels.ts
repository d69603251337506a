import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { check } from '../../../settings/config/check.ts';
import type { GuardSettings, Rollout, Version } from '../../../wire/protocol/rollout-records.ts';
import { GUARD_NAMES, guardOf, guardsConfig } from './guards/guards.ts';
import { RolloutGuards } from './rollout-guards.ts';
import { isAlone } from './rollout-machine.ts';

/** The guards of one roll-out. */
export type GuardPanel = Pick<
  RolloutGuards,
  'observe' | 'reports' | 'withoutBaseline' | 'abandoned' | 'readyInMs' | 'silent' | 'usualLatencyOf' | 'reset'
> & { snapshot(): unknown };

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

export interface RolloutPanelsOptions {
  /** Score below which a version reports no box. */
  readonly scoreThreshold: (version: Version) => number;
  /** Whether the CPU time of a version's inferences is known. Time by the clock says little where other work runs beside them. */
  readonly judgesDeviceTime: (version: Version) => boolean;
}

/** Makes the panels that judge real roll-outs. */
export function rolloutPanels({ scoreThreshold, judgesDeviceTime }: RolloutPanelsOptions): GuardPanels {
  return {
    check(settings) {
      const guards = check(guardsConfig, settings, 'guards');
      const names = GUARD_NAMES.filter((name) => guardOf(name).judges !== 'other-detector');
      if (names.some((name) => guards[name].isOn)) return guards;
      const message = `guards: expected at least one that is on of ${names.join(', ')}: without any nothing compares the candidate with the control, and no step could end`;
      throw new SightlineError('CONFIG_INVALID', message, { where: 'guards' });
    },
    open(rollout, snapshot, nowMs) {
      const { guards, from, to, steps, labelled } = rollout;
      const hasCpuTime = judgesDeviceTime(from) && judgesDeviceTime(to);
      const panel = {
        guards: check(guardsConfig, guards, 'guards'),
        // Streams of the candidate always have frames that the control infers as well.
        lacks: hasCpuTime ? [] : (['cpu-time'] as const),
        nowMs,
        controlThreshold: scoreThreshold(from),
        candidateThreshold: scoreThreshold(to),
        isOtherDetector: labelled !== undefined,
        settled: labelled?.settled ?? [],
        isAlone: isAlone(rollout),
        steps: steps.length,
      };
      return snapshot === null ? new RolloutGuards(panel) : RolloutGuards.restore(panel, snapshot);
    },
  };
}
