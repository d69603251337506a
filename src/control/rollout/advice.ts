const ABOUT_BOXES =
  'Look at the boxes of both on the dashboard; if the candidate is meant to detect otherwise, start it with the labels that show it is as good: --eval FILE, from "sightline eval --json".';
const ABOUT_SPEED =
  'If that is acceptable, start it again with a larger margin in --guards FILE; else try a smaller input size, another precision or fewer streams.';
const ABOUT_FAULTS = "The host's log says why inferences failed; mend the candidate and start it again.";

/** What to do after a guard has rolled a candidate back, by guard. */
const ADVICE: Readonly<Record<string, string>> = {
  agreement: ABOUT_BOXES,
  boxes: ABOUT_BOXES,
  confidence: ABOUT_BOXES,
  blind:
    'Look at the boxes of both on the dashboard; if the control is the one that is wrong, start it again with blind: { isOn: false } in --guards FILE.',
  p99: ABOUT_SPEED,
  fps: ABOUT_SPEED,
  drops: ABOUT_SPEED,
  deviceTime: ABOUT_SPEED,
  slow: ABOUT_SPEED,
  target: ABOUT_SPEED,
  fullLoad: ABOUT_SPEED,
  errors: ABOUT_FAULTS,
  results: ABOUT_FAULTS,
  crashes: ABOUT_FAULTS,
};

/** Returns the advice as a sentence after another one; '' for a guard that has none. */
export function adviceAfter(guard: string): string {
  const advice = ADVICE[guard];
  return advice === undefined ? '' : ` ${advice}`;
}

/** What a person can do about a roll-out that waits. */
export const WAITING_ADVICE = '"rollout promote" goes on without that, "rollout abort" ends it.';
