import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { SeenStep } from '../../../wire/protocol/rest.ts';
import type { Rollout, RolloutState } from '../../../wire/protocol/rollout-records.ts';

/** Errors of roll-outs, with the same messages wherever they occur. */
export const rolloutErrors = {
  isRunning: (id: string, state: RolloutState) =>
    new SightlineError(
      'ROLLOUT_RUNNING',
      `roll-out "${id}" is ${state}: expected none to run; wait for its end, or end it with "sightline rollout abort"`,
      { id, state },
    ),
  notFound: (pipeline: string) =>
    new SightlineError(
      'ROLLOUT_NOT_FOUND',
      `pipeline "${pipeline}": it has had no roll-out; start one with "sightline rollout start --model M"`,
      { pipeline },
    ),
  needsRestart: (settings: readonly string[]) =>
    new SightlineError(
      'ROLLOUT_PARTIAL',
      `roll-out: these settings cannot be rolled out: ${settings.join(', ')}; start it with --partial to leave them out, or restart the hosts with them first`,
      { settings: settings.join(', ') },
    ),
  otherFindings: (control: string, candidate: string, difference: string) =>
    new SightlineError(
      'MODEL_INCOMPATIBLE',
      `roll-out: ${candidate} cannot take the place of ${control}: ${difference}; run it beside as a detector of the section models`,
      { control, candidate },
    ),
  needsLabels: (control: string, candidate: string, known: string | null) =>
    new SightlineError(
      'CONFIG_INVALID',
      `roll-out: ${candidate} is another detector than ${control}, so its boxes rightly differ, and agreement would roll it back${known === null ? '' : `; ${known}`}. Judge both on labelled pictures: "sightline eval instances.json --images DIR --model ${control} --model ${candidate} --json > eval.json", and start it with --eval eval.json; or start the best.yaml of "sightline optimize"`,
      { control, candidate },
    ),
  otherLabels: (compared: string, inUse: string) =>
    new SightlineError(
      'CONFIG_INVALID',
      `roll-out: the labels compare the candidate with ${compared}, and ${inUse} is in use; judge it beside that: "sightline eval ... --model ${inUse}"`,
      { compared, inUse },
    ),
  weakLabels: (why: string) =>
    new SightlineError(
      'CONFIG_INVALID',
      `roll-out: the labels do not show that the candidate is as good: ${why}. Judge both on more labelled pictures: "sightline eval instances.json --images DIR --model OLD --model NEW --json"`,
    ),
  noStreams: (pipeline: string) =>
    new SightlineError(
      'ROLLOUT_STATE',
      `pipeline "${pipeline}": no stream is known, so nothing could be compared; try again when streams run`,
      { pipeline },
    ),
  wrongState: (id: string, verb: string, state: RolloutState, expected: string) =>
    new SightlineError('ROLLOUT_STATE', `roll-out "${id}": cannot ${verb}: expected ${expected}, it is ${state}`, {
      id,
      state,
    }),
  notLoaded: (id: string, verb: string, label: string, why: string) =>
    new SightlineError(
      'ROLLOUT_STATE',
      `roll-out "${id}": cannot ${verb}: expected every host to have loaded ${label}; ${why}`,
      { id, version: label },
    ),
  isStale: (now: Pick<Rollout, 'id' | 'step'>, share: string, seen: SeenStep | null) =>
    new SightlineError(
      'ROLLOUT_STATE',
      `roll-out "${now.id}": cannot promote ${seen === null ? 'without the step' : `step ${seen.step} of "${seen.rollout}"`}: it is at step ${now.step} (${share}); look at it and try again`,
      { id: now.id, step: now.step },
    ),
  changedMeanwhile: (id: string) =>
    new SightlineError(
      'ROLLOUT_STATE',
      `roll-out "${id}": others changed it at the same time; look at it and try again`,
      {
        id,
      },
    ),
};
