import { type Canary, GuardedCanary, RankCanary, ThresholdCanary } from './support/canaries.ts';
import { type RecordedResults, readRecordedResults } from './support/recorded-results.ts';
import {
  type CandidateEffect,
  EQUAL,
  FPS,
  LESS_F1,
  MORE_P99,
  SimulatedRollout,
  STREAMS,
} from './support/rollout-simulation.ts';
import type { Section, SectionResult, Target } from './support/section.ts';

const ROLLOUTS = 200;
const QUICK_ROLLOUTS = 20;
/** Time that the control is observed before. */
const WARM_UP_SECONDS = 300;
/** Time after which a roll-out that nobody decided counts as held. */
const LIMIT_SECONDS = 5400;

interface Case {
  readonly name: string;
  readonly effect: CandidateEffect;
  readonly isBad: boolean;
  readonly streams: number;
}

const CASES: readonly Case[] = [
  { name: 'equal model (bf16 for f32)', effect: EQUAL, isBad: false, streams: STREAMS },
  { name: '5 points of F1 lost', effect: LESS_F1, isBad: true, streams: STREAMS },
  { name: '20 % more p99', effect: MORE_P99, isBad: true, streams: STREAMS },
  { name: 'equal model, two streams', effect: EQUAL, isBad: false, streams: 2 },
];

/** What one canary did with all roll-outs of one case. */
export interface CanaryOutcome {
  readonly canary: string;
  readonly rolledBack: number;
  readonly promoted: number;
  readonly held: number;
  /** Seconds until the decision, of the decided ones in ascending order. */
  readonly seconds: readonly number[];
  /** Rollbacks by reason. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** Simulates roll-outs, each seen by every canary. */
export async function simulateRollouts(
  recorded: RecordedResults,
  effect: CandidateEffect,
  rollouts: number,
  open: () => readonly Canary[],
  streams = STREAMS,
): Promise<CanaryOutcome[]> {
  const outcomes = open().map(({ name: canary }) => ({
    ...{ canary, rolledBack: 0, promoted: 0, held: 0 },
    seconds: [] as number[],
    reasons: {} as Record<string, number>,
  }));
  for (let seed = 1; seed <= rollouts; seed++) {
    const canaries = open();
    const simulated = new SimulatedRollout(recorded, effect, seed * 7919, streams);
    for (let i = 0; i < WARM_UP_SECONDS; i++) {
      const second = simulated.next(false);
      for (const canary of canaries) canary.see(second, false);
    }
    const undecided = new Set(canaries.keys());
    for (let i = 1; i <= LIMIT_SECONDS && undecided.size > 0; i++) {
      const second = simulated.next(true);
      for (const index of undecided) {
        const verdict = canaries[index]!.see(second, true);
        if (verdict === 'go-on') continue;
        undecided.delete(index);
        const outcome = outcomes[index]!;
        outcome.seconds.push(i);
        if (verdict === 'promote') outcome.promoted += 1;
        else {
          const reason = canaries[index]!.reason ?? 'unknown';
          outcome.rolledBack += 1;
          outcome.reasons[reason] = (outcome.reasons[reason] ?? 0) + 1;
        }
      }
    }
    for (const index of undecided) outcomes[index]!.held += 1;
  }
  for (const { seconds } of outcomes) seconds.sort((a, b) => a - b);
  return outcomes;
}

/** Simulates roll-outs of an equal and of two bad models, and counts which canary rolls them back. Measures nothing on this machine. */
export const rolloutSimulation: Section = {
  id: 'rollout-sim',
  title: 'Roll-outs in simulation: whose canary is right',
  async run({ isQuick, note }): Promise<SectionResult> {
    const recorded = readRecordedResults();
    const rollouts = isQuick ? QUICK_ROLLOUTS : ROLLOUTS;
    const results = [];
    for (const { name, effect, isBad, streams } of CASES) {
      note(`${rollouts} roll-outs: ${name}`);
      const outcomes = await simulateRollouts(recorded, effect, rollouts, openCanaries, streams);
      results.push({ name, isBad, streams, outcomes });
    }
    return {
      tables: results.map(({ name, streams, outcomes }) => ({
        caption: `${rollouts} roll-outs: ${name}`,
        rows: [HEADING, ...outcomes.map((outcome) => rowOf(outcome, streams))],
      })),
      targets: results.map(({ name, isBad, outcomes }): Target => {
        const { rolledBack } = outcomes[0]!;
        const target = Math.round(rollouts * (isBad ? 0.95 : 0.05));
        return {
          what: `${name}: rolled back`,
          measured: rolledBack,
          target,
          want: isBad ? 'at least' : 'at most',
          unit: '',
        };
      }),
      notes: [
        `${STREAMS} streams of ${FPS} frames/s unless stated, full shadow, every fourth frame compared; the control is observed ${WARM_UP_SECONDS} s before. Detections and latencies are recorded ones. Held: undecided after ${LIMIT_SECONDS} s.`,
      ],
      data: results,
    };
  },
};

function openCanaries(): Canary[] {
  return [new GuardedCanary(), new ThresholdCanary(1), new ThresholdCanary(5), new RankCanary()];
}

const HEADING = ['canary', 'rolled back', 'promoted', 'held', 'seconds p50', 'p95', 'frames p50', 'because of'];

function rowOf({ canary, rolledBack, promoted, held, seconds, reasons }: CanaryOutcome, streams: number): string[] {
  const at = (share: number): number | undefined => seconds[Math.floor(share * (seconds.length - 1))];
  const [p50, p95] = [at(0.5), at(0.95)];
  const because = Object.entries(reasons).map(([reason, count]) => `${reason} ${count}`);
  return [
    ...[canary, rolledBack, promoted, held].map(String),
    ...[p50, p95, p50 === undefined ? undefined : p50 * streams * FPS].map((value) => String(value ?? '-')),
    because.join(', ') || '-',
  ];
}
