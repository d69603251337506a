import type { Detection } from '../src/base/core/detection.ts';
import { chosenCases } from './support/bench-context.ts';
import { type Canary, RankCanary, ThresholdCanary } from './support/canaries.ts';
import { type RecordedResults, readRecordedResults } from './support/recorded-results.ts';
import {
  type CandidateEffect,
  LESS_F1,
  MORE_P99,
  type Neighbour,
  type Scenario,
  type SimulatedEnd,
  SimulatedRollout,
} from './support/rollout-simulation.ts';
import type { Section, SectionResult, Target } from './support/section.ts';

/** Part of the roll-outs of each case that `--quick` simulates. */
const QUICK_SHARE = 0.1;
const BASELINE_SECONDS = 60;

export interface Case extends Scenario {
  readonly name: string;
  readonly rollouts: number;
  readonly isBad: boolean;
  /** Time after which a roll-out that nobody decided counts as held. */
  readonly limitSeconds: number;
  /** Time within which a bad candidate must be found, counted from its first use on a stream where it is bad; null: any time. */
  readonly withinSeconds?: number;
  /** Canaries of others see the same seconds. */
  readonly hasOthers?: boolean;
}

const TWELVE = { streams: 12, fps: 10, steps: [100], holdSeconds: 60, limitSeconds: 7200, effectOn: () => null };
const GOOD = { ...TWELVE, isBad: false };
const BAD = { ...TWELVE, isBad: true, rollouts: 50, limitSeconds: 900 };
const QUICK_STEPS = { steps: [25, 50, 100], holdSeconds: 10 };
const LONG_STEP = { holdSeconds: 7200, limitSeconds: 16_000 };
/** Clips by number: 0 is the only one that shows a street with cars, `class 2`. */
const STREET = 0;
const NO_STREET = [1, 3, 4];
/** Of three frames a second it keeps 1.9, and it slows the control beside it. */
const SLOW = { mostFps: 1.9, latencyFactor: 14 };

/** Eight cameras of 3 frames/s on a machine with room. Five of them are in at 25 %; at the default steps one is in at 10 %. */
const EIGHT = {
  streams: 8,
  fps: 3,
  steps: [25, 50, 100],
  holdSeconds: 60,
  limitSeconds: 5400,
  tailExponent: 0.2,
  rollouts: 100,
  effectOn: () => null,
  isBad: false,
};
const EIGHT_BAD = { ...EIGHT, isBad: true, rollouts: 50 };
/** One busy process on two cores. */
const BUSY = { dropRatio: 0.375, missingRatio: 0.05, latencyFactor: 2.5, taken: 0.5 };
const NOW_AND_THEN: Neighbour = { ...BUSY, isBusy: (second) => second % 60 < 20 };
const ALONE_BUSY_SECONDS = 180;
const isBusyAlone = (aloneFor: number | null): boolean => aloneFor !== null && aloneFor < ALONE_BUSY_SECONDS;
const WHILE_ALONE: Neighbour = { ...BUSY, isBusy: (_, aloneFor) => isBusyAlone(aloneFor) };
const BOTH: Neighbour = { ...BUSY, isBusy: (second, aloneFor) => isBusyAlone(aloneFor) || second % 60 < 20 };
const SINCE_ALONE: Neighbour = { ...BUSY, isBusy: (_, aloneFor) => aloneFor !== null };
const FOR_EVER: Neighbour = { ...BUSY, isBusy: () => true };
/** As long as the turns are, so it falls on one side of some streams. */
const IN_TURNS: Neighbour = { ...BUSY, isBusy: (second) => second % 12 < 6 };
const DROPS = { mostFps: 2.7 };
/** Each harm with and without a neighbour. */
const HARMS: readonly (readonly [string, Scenario['effectOn']])[] = [
  ['a tenth of the frames dropped', () => DROPS],
  ['20 % more p99', () => MORE_P99],
  ['twice the latency', () => ({ latencyFactor: 2 })],
  ['half of the rate on one camera', only(5, { mostFps: 1.5 })],
  ['a sixth of the rate lost, only alone', () => ({ mostFps: 2.5, isOnlyAlone: true })],
];

export const CASES: readonly Case[] = [
  ...[
    ['in quiet', undefined] as const,
    ['beside a process that is busy for 20 s of each 60', NOW_AND_THEN] as const,
    ['beside a process that is busy for the first 3 minutes of `100 alone`', WHILE_ALONE] as const,
    ['beside a process that is busy then, and for 20 s of each 60', BOTH] as const,
    ['beside a process that is busy from `100 alone` on, for ever', SINCE_ALONE] as const,
    ['beside a process that is always busy', FOR_EVER] as const,
    ['beside a process that is busy for 6 s of each 12, as turns are', IN_TURNS] as const,
  ].map(([when, neighbour]) => ({
    ...EIGHT,
    name: `eight cameras of 3 frames/s: equal model ${when}`,
    ...(neighbour === undefined ? {} : { neighbour }),
  })),
  {
    ...EIGHT,
    name: 'eight cameras of 3 frames/s: equal model with a target, beside others',
    neighbour: BOTH,
    target: { fps: 3, latencyMs: 150 },
  },
  {
    ...EIGHT,
    name: 'eight cameras of 3 frames/s: equal model at the default steps, beside others',
    steps: [1, 10, 50, 100],
    neighbour: NOW_AND_THEN,
    rollouts: 20,
  },
  ...HARMS.flatMap(([harm, effectOn]) => [
    { ...EIGHT_BAD, name: `eight cameras of 3 frames/s: ${harm}`, effectOn },
    { ...EIGHT_BAD, name: `eight cameras of 3 frames/s: ${harm}, beside others`, effectOn, neighbour: NOW_AND_THEN },
  ]),
  { ...GOOD, name: 'equal model (bf16 for f32)', rollouts: 200, hasOthers: true },
  { ...GOOD, ...QUICK_STEPS, name: 'equal model, steps 25, 50, 100 %, 10 s each', rollouts: 100 },
  { ...GOOD, name: 'equal model, two streams', rollouts: 50, streams: 2 },
  { ...GOOD, ...LONG_STEP, name: 'equal model, one step of 2 h', rollouts: 20 },
  { ...BAD, name: '5 points of F1 lost', rollouts: 200, effectOn: () => LESS_F1, hasOthers: true },
  { ...BAD, ...QUICK_STEPS, name: '5 points of F1 lost, steps of 10 s', effectOn: () => LESS_F1 },
  { ...BAD, ...LONG_STEP, name: '5 points of F1 lost, a step of 2 h', effectOn: () => LESS_F1 },
  { ...BAD, name: '20 % more p99', rollouts: 100, effectOn: () => MORE_P99, limitSeconds: 7200, hasOthers: true },
  { ...BAD, ...LONG_STEP, name: '20 % more p99, a step of 2 h', rollouts: 20, effectOn: () => MORE_P99 },
  { ...BAD, name: 'one blind camera of 12', effectOn: only(5, { lost: 'all' }), withinSeconds: 120 },
  {
    ...BAD,
    ...QUICK_STEPS,
    name: 'one blind camera of 12, steps of 10 s',
    withinSeconds: 120,
    // In the steps without this camera it waits for p99.
    limitSeconds: 14_400,
    effectOn: only(5, { lost: 'all' }),
  },
  {
    ...BAD,
    name: 'one blind camera of 200, 3 frames/s',
    rollouts: 10,
    streams: 200,
    fps: 3,
    effectOn: only(77, { lost: 'all' }),
    withinSeconds: 180,
  },
  {
    ...BAD,
    name: 'blind on the dim camera of eight, whose scores are 0.3 to 0.5',
    streams: 8,
    fps: 20,
    shows: (stream, _, boxes) => (stream === 5 ? boxes.map(dim) : boxes),
    effectOn: only(5, { lost: 'all' }),
  },
  {
    ...BAD,
    name: 'cars lost on one camera of eight, where one comes by every half minute',
    streams: 8,
    clips: [STREET],
    shows: rareCars,
    effectOn: only(5, { lost: 'class 2' }),
    limitSeconds: 7200,
  },
  {
    ...BAD,
    name: 'blind on a camera of eight that shows boxes for 2 s in a minute',
    streams: 8,
    shows: rareBoxes,
    effectOn: only(5, { lost: 'all' }),
    limitSeconds: 7200,
  },
  {
    ...BAD,
    name: 'a box invented in a third of the frames of one camera of eight',
    streams: 8,
    effectOn: only(5, { invents: 0.34 }),
  },
  {
    ...BAD,
    name: 'scores 0.15 lower on the dim camera of eight',
    streams: 8,
    shows: (stream, _, boxes) => (stream === 5 ? boxes.map(dim) : boxes),
    effectOn: only(5, { shift: -0.15 }),
  },
  {
    ...GOOD,
    name: 'equal model, all cameras dim: scores near the threshold',
    rollouts: 100,
    shows: (_stream, _second, boxes) => boxes.map(dim),
  },
  {
    ...GOOD,
    name: 'equal model, a camera of eight with boxes for 2 s in a minute',
    rollouts: 50,
    streams: 8,
    shows: rareBoxes,
  },
  { ...GOOD, name: 'equal model, 200 cameras, 3 frames/s', rollouts: 10, streams: 200, fps: 3 },
  {
    ...BAD,
    name: 'cars lost, one camera of eight shows some',
    streams: 8,
    clips: [...NO_STREET, STREET, ...NO_STREET, NO_STREET[0]!],
    effectOn: () => ({ lost: 'class 2' }),
  },
  {
    ...BAD,
    name: 'cars lost on one camera of eight that show them',
    streams: 8,
    clips: [STREET],
    effectOn: only(5, { lost: 'class 2' }),
  },
  { ...BAD, name: 'half of the inferences fail on one camera of 12', effectOn: only(5, { failRatio: 0.5 }) },
  { ...BAD, name: 'half of the rate on one camera of 12', effectOn: only(5, { mostFps: 5 }) },
  { ...BAD, name: 'three times the latency on one camera of 12', effectOn: only(5, { latencyFactor: 3 }) },
  {
    ...BAD,
    name: 'slow, 1.9 of 3 frames/s, eight streams',
    streams: 8,
    fps: 3,
    steps: [25, 50, 100],
    target: { fps: 3, latencyMs: 400 },
    effectOn: () => SLOW,
    spill: { latencyFactor: 14 },
    withinSeconds: 120,
  },
  {
    ...BAD,
    name: 'a sixth of the rate lost, only alone',
    limitSeconds: 7200,
    effectOn: () => ({ mostFps: 8.3, isOnlyAlone: true }),
  },
  {
    ...BAD,
    name: 'blind, only alone',
    limitSeconds: 7200,
    effectOn: () => ({ lost: 'all', isOnlyAlone: true }),
  },
  {
    ...GOOD,
    name: 'equal model, a target of half the p99, missed before too',
    rollouts: 100,
    target: { fps: 10, latencyMs: 50 },
  },
];

/** What one canary did with all roll-outs of one case. */
export interface CanaryOutcome {
  readonly canary: string;
  rolledBack: number;
  promoted: number;
  held: number;
  /** Rolled back within the time of the case. */
  inTime: number;
  /** Seconds until the decision, since a bad candidate first ran where it is bad, else since the start. */
  readonly seconds: number[];
  /** Rollbacks by reason. */
  readonly reasons: Record<string, number>;
}

/**
 * Simulates roll-outs, each seen by the guards and by other canaries. The first outcome is that of the guards.
 *
 * @param firstSeed - of as many as there are roll-outs; so a long run can be done in pieces.
 */
export function simulateRollouts(
  recorded: RecordedResults,
  simulated: Case,
  rollouts: number,
  openOthers: () => readonly Canary[] = () => [],
  firstSeed = 1,
): CanaryOutcome[] {
  const outcomes = [outcomeOf('guards of Sightline'), ...openOthers().map(({ name }) => outcomeOf(name))];
  for (let seed = firstSeed; seed < firstSeed + rollouts; seed++)
    simulateOne(recorded, simulated, seed, openOthers(), outcomes);
  for (const { seconds } of outcomes) seconds.sort((a, b) => a - b);
  return outcomes;
}

function simulateOne(
  recorded: RecordedResults,
  simulated: Case,
  seed: number,
  others: readonly Canary[],
  [own, ...rest]: readonly CanaryOutcome[],
): void {
  const { limitSeconds, withinSeconds = Number.POSITIVE_INFINITY, isBad } = simulated;
  const rollout = new SimulatedRollout(recorded, simulated, seed * 7919);
  let end: SimulatedEnd | null = null;
  for (let i = 0; i < limitSeconds && end === null; i++) end = rollout.next();
  if (end === null) own!.held += 1;
  else {
    const seconds = (isBad ? end.exposedSeconds : null) ?? end.seconds;
    const isBack = end.state === 'rolled-back';
    note(own!, isBack ? (end.guard ?? 'unknown') : null, seconds);
    if (isBack && seconds <= withinSeconds) own!.inTime += 1;
  }
  if (others.length > 0) simulateOthers(new SimulatedRollout(recorded, simulated, seed * 7919), others, rest);
}

/** The same streams at 100 %, for canaries that decide on their own. */
function simulateOthers(
  rollout: SimulatedRollout,
  others: readonly Canary[],
  outcomes: readonly CanaryOutcome[],
): void {
  for (let i = 0; i < BASELINE_SECONDS; i++) rollout.nextAt(0);
  const undecided = new Set(others.keys());
  for (let seconds = 1; undecided.size > 0; seconds++) {
    const seen = rollout.nextAt(100);
    for (const index of undecided) {
      const verdict = others[index]!.see(seen);
      if (verdict === 'go-on') continue;
      undecided.delete(index);
      note(outcomes[index]!, verdict === 'promote' ? null : (others[index]!.reason ?? 'unknown'), seconds);
    }
  }
}

function note(outcome: CanaryOutcome, reason: string | null, seconds: number): void {
  outcome.seconds.push(seconds);
  if (reason === null) outcome.promoted += 1;
  else {
    outcome.rolledBack += 1;
    outcome.reasons[reason] = (outcome.reasons[reason] ?? 0) + 1;
  }
}

function outcomeOf(canary: string): CanaryOutcome {
  return { canary, rolledBack: 0, promoted: 0, held: 0, inTime: 0, seconds: [], reasons: {} };
}

/** Simulates roll-outs of equal and of bad models, and counts which canary rolls them back. Measures nothing on this machine. */
export const rolloutSimulation: Section = {
  id: 'rollout-sim',
  title: 'Roll-outs in simulation: which canary is right',
  async run(context): Promise<SectionResult> {
    const { isQuick, note: progress } = context;
    const recorded = readRecordedResults();
    const results = [];
    for (const simulated of chosenCases(CASES, context)) {
      const rollouts = Math.max(2, Math.round(simulated.rollouts * (isQuick ? QUICK_SHARE : 1)));
      const outcomes = simulateRollouts(recorded, simulated, rollouts, simulated.hasOthers ? openOthers : undefined);
      results.push({ ...simulated, rollouts, outcomes });
      progress(`${rollouts} roll-outs: ${simulated.name}: ${JSON.stringify(outcomes[0])}`);
    }
    return {
      tables: results.map(({ name, rollouts, outcomes }) => ({
        caption: `${rollouts} roll-outs: ${name}`,
        rows: [HEADING, ...outcomes.map(rowOf)],
      })),
      targets: results.map(targetOf),
      notes: [
        'Real steps, membership, turns, guards and rules; 20 % of the frames of a stream of the candidate are inferred by both. Detections and latencies are recorded ones. Seconds: until the decision; of bad models since they first ran where they are bad.',
      ],
      data: results,
    };
  },
};

function targetOf({ name, isBad, rollouts, outcomes, withinSeconds }: Case & { outcomes: CanaryOutcome[] }): Target {
  const { rolledBack, inTime } = outcomes[0]!;
  if (!isBad) {
    const target = Math.ceil(rollouts * 0.01);
    return { what: `${name}: rolled back`, measured: rolledBack, target, want: 'at most', unit: '' };
  }
  const within = withinSeconds === undefined ? '' : ` within ${withinSeconds} s`;
  const target = Math.round(rollouts * 0.95);
  return { what: `${name}: rolled back${within}`, measured: inTime, target, want: 'at least', unit: '' };
}

/** Scores of 0.2 to 1 become 0.25 to 0.5: near the threshold of 0.3. */
function dim(box: Detection): Detection {
  return { ...box, score: 0.1875 + 0.3125 * box.score };
}

function rareCars(stream: number, second: number, boxes: readonly Detection[]): readonly Detection[] {
  return stream !== 5 || second % 30 < 3 ? boxes : boxes.filter(({ label }) => label !== 'class 2');
}

function rareBoxes(stream: number, second: number, boxes: readonly Detection[]): readonly Detection[] {
  return stream !== 5 || second % 60 < 2 ? boxes : [];
}

function only(stream: number, effect: CandidateEffect): Scenario['effectOn'] {
  return (number) => (number === stream ? effect : null);
}

function openOthers(): Canary[] {
  return [new ThresholdCanary(1), new ThresholdCanary(5), new RankCanary()];
}

const HEADING = ['canary', 'rolled back', 'promoted', 'held', 'seconds p50', 'p95', 'because of'];

function rowOf({ canary, rolledBack, promoted, held, seconds, reasons }: CanaryOutcome): string[] {
  const at = (share: number): number | undefined => seconds[Math.floor(share * (seconds.length - 1))];
  const because = Object.entries(reasons).map(([reason, count]) => `${reason} ${count}`);
  return [
    ...[canary, rolledBack, promoted, held].map(String),
    ...[at(0.5), at(0.95)].map((value) => String(value ?? '-')),
    because.join(', ') || '-',
  ];
}
