import { setTimeout as sleep } from 'node:timers/promises';
import { percentilesOf } from '../../frame/telemetry/sliding-window.ts';
import { counted } from '../measure/report/figures.ts';
import { droppedOf, total } from '../measure/summarise-windows.ts';
import { DEFAULT_DROPS, judgeCount, parseTargets, type Target, verdictOf } from '../measure/targets.ts';
import type { TargetVerdict } from '../measure/trial-result.ts';
import type { CameraMix } from './cameras/camera-plan.ts';
import { type EnduranceSample, judgeSlopes } from './endurance.ts';
import type { Degradation, FigureSlope, LoadResult, LoadStep, LoadVerdict, ProfileName } from './load-result.ts';
import { LoadRig, type RigOptions } from './load-rig.ts';
import type { LatencyBound, LoadSubject, LoadWindow } from './load-subject.ts';
import { describeDegradation, findBreakPoint, type RecoveryWindow, recoveryTime, stepText } from './stress.ts';

export interface LoadPlan extends Omit<RigOptions, 'mix' | 'signal'> {
  readonly profile: ProfileName;
  /** Cameras at the same time; stress: of its first step. */
  readonly cameras: number;
  /** Stress: most cameras. */
  readonly mostCameras: number;
  /** A limit on the rate of drops is added if there is none. */
  readonly targets: readonly Target[];
}

export interface LoadContext {
  readonly signal: AbortSignal;
  /** Receives sentences about what is going on. */
  readonly note: (text: string) => void;
}

const MIXES: Readonly<Record<ProfileName, CameraMix>> = {
  baseline: 'mixed',
  peak: 'peak',
  stress: 'steady',
  endurance: 'mixed',
};
const SETTLE_S = 2;
/** A stress run has about this many steps. */
const STRESS_STEPS = 15;
/** The search ends after this many times the expected length, proven or not: a machine whose load changes has no break point. */
const SEARCH_RATIO = 2;
const STEP_S = { least: 2, most: 60 };
/** Share of the break point to which the load falls. */
const FALL_RATIO = 0.7;
const RECOVERY = { windowS: 0.5, windows: 8, mostS: 30 };
/** Runs that prove where it breaks are longer, up to this many steps, for percentiles that need many frames. */
const PROOF_STEPS = 4;
/** Samples of an endurance run. */
const SAMPLES = 240;
const SAMPLE_S = { least: 1, most: 60 };

/**
 * Runs one load test. Streams and cameras are gone when it returns or throws.
 *
 * @throws as the subject's and the rig's methods; the signal's reason.
 */
export async function runLoadTest(subject: LoadSubject, plan: LoadPlan, context: LoadContext): Promise<LoadResult> {
  const startedMs = performance.now();
  const createdAt = new Date().toISOString();
  const { signal } = context;
  const mix = MIXES[plan.profile];
  let rig: LoadRig;
  try {
    rig = await LoadRig.open(subject, { ...plan, mix, signal, note: context.note });
  } catch (error) {
    await subject.close();
    throw error;
  }
  try {
    const test = new LoadTest(subject, rig, plan, context);
    const outcome = await test.run();
    return {
      profile: plan.profile,
      subject: subject.name,
      createdAt,
      seconds: (performance.now() - startedMs) / 1000,
      seed: plan.seed,
      ...NOTHING,
      ...outcome,
      cameras: rig.cost,
      notes: test.notes,
    };
  } finally {
    await rig.close();
  }
}

const NOTHING = { breakPoint: null, degradation: null, recoverySeconds: null, slopes: [] } as const;

type Outcome = Pick<LoadResult, 'verdict' | 'reason' | 'targets' | 'steps'> &
  Partial<Pick<LoadResult, 'breakPoint' | 'degradation' | 'recoverySeconds' | 'slopes'>>;

class LoadTest {
  readonly notes: string[] = [];
  readonly #subject: LoadSubject;
  readonly #rig: LoadRig;
  readonly #plan: LoadPlan;
  readonly #context: LoadContext;
  readonly #targets: readonly Target[];

  constructor(subject: LoadSubject, rig: LoadRig, plan: LoadPlan, context: LoadContext) {
    this.#subject = subject;
    this.#rig = rig;
    this.#plan = plan;
    this.#context = context;
    const hasDrops = plan.targets.some(({ metric }) => metric === 'drops');
    this.#targets = hasDrops ? plan.targets : [...plan.targets, ...parseTargets(DEFAULT_DROPS)];
  }

  run(): Promise<Outcome> {
    switch (this.#plan.profile) {
      case 'stress':
        return this.#stress();
      case 'endurance':
        return this.#endurance();
      default:
        return this.#hold();
    }
  }

  /** Baseline and peak: a number of cameras for a while. */
  async #hold(): Promise<Outcome> {
    const { cameras, seconds, profile } = this.#plan;
    await this.#setCameras(cameras);
    const options = { name: profile, seconds, targets: this.#targets, settleSeconds: SETTLE_S };
    const step = await this.#rig.measure(options);
    this.#remark(step);
    return { verdict: step.verdict, reason: reasonOf(step.targets), targets: step.targets, steps: [step] };
  }

  async #stress(): Promise<Outcome> {
    const { cameras, mostCameras, seconds } = this.#plan;
    const { signal, note } = this.#context;
    const stepS = Math.min(STEP_S.most, Math.max(STEP_S.least, seconds / STRESS_STEPS));
    // A target for the number of cameras is left out: that number is searched for.
    const targets = this.#targets.filter(({ metric }) => metric !== 'streams');
    const measure = async (count: number, name: string, isProof: boolean): Promise<LoadStep> => {
      await this.#setCameras(count);
      const timing = { seconds: stepS, settleSeconds: Math.min(SETTLE_S, stepS) };
      const mostSeconds = isProof ? stepS * PROOF_STEPS : stepS;
      return this.#rig.measure({ name, ...timing, mostSeconds, targets });
    };
    const untilMs = performance.now() + seconds * SEARCH_RATIO * 1000;
    const isOver = (): boolean => performance.now() > untilMs;
    const search = await findBreakPoint(measure, { start: cameras, most: mostCameras, isOver, signal, note });
    if (isOver() && !search.breakPoint.isProven) this.#note('the time was over before the break point was proven');
    const steps = [...search.steps];
    const { breakPoint, proof } = search;
    const hasBroken = breakPoint.brokenAt !== null;
    let degradation: Degradation | null = null;
    let recoverySeconds: number | null = null;
    if (hasBroken) {
      const overload = await measure(search.overload, 'overload', false);
      note(stepText(overload));
      steps.push(overload);
      degradation = describeDegradation(overload, this.#subject.maxAgeMs ?? Number.POSITIVE_INFINITY);
      recoverySeconds = await this.#recovery(Math.max(1, Math.floor(breakPoint.cameras * FALL_RATIO)));
    } else this.#note(`no target was missed with ${counted(breakPoint.cameras, 'camera')}, the most that were tried`);
    if (breakPoint.cameras === 0) {
      const reason =
        breakPoint.brokenAt === 1
          ? 'not even one camera meets the targets'
          : 'no number of cameras was found that meets the targets';
      const verdict = proof.verdict === 'missed' ? 'missed' : 'not enough frames';
      return { verdict, reason, targets: proof.targets, steps, breakPoint, degradation, recoverySeconds };
    }
    this.#remark(proof);
    const hasRecovered = !hasBroken || recoverySeconds !== null;
    const countTargets = this.#targets.filter(({ metric }) => metric === 'streams');
    const targetVerdicts = [...proof.targets, ...countTargets.map((target) => judgeCount(target, breakPoint.cameras))];
    const found = { targets: targetVerdicts, steps, breakPoint, degradation, recoverySeconds };
    if (!hasRecovered)
      return { verdict: 'missed', reason: 'the pipeline did not recover after the load fell', ...found };
    const verdict = verdictOf(targetVerdicts);
    if (verdict !== 'met' || breakPoint.isProven) return { verdict, reason: reasonOf(targetVerdicts), ...found };
    return { verdict: 'not enough frames', reason: 'the targets were met, but not in two runs', ...found };
  }

  /** Lets the load fall, and watches until results are within the targets for good. */
  async #recovery(count: number): Promise<number | null> {
    const { note, signal } = this.#context;
    const limit = Math.min(...this.#targets.filter(({ metric }) => metric.startsWith('p')).map(({ limit }) => limit));
    const limits = {
      p90Ms: Number.isFinite(limit) ? limit : (this.#subject.maxAgeMs ?? Number.POSITIVE_INFINITY),
      windows: RECOVERY.windows,
    };
    const observer = this.#rig.observe(count);
    const windows: RecoveryWindow[] = [];
    try {
      const ids = (await observer.look()).streams.map(({ id }) => id);
      const fellMs = performance.now();
      const falling = this.#rig.setCameras(count);
      falling.catch(() => undefined);
      const endS = (): number => (performance.now() - fellMs) / 1000;
      let seconds: number | null = null;
      while (seconds === null && endS() < RECOVERY.mostS) {
        await sleep(RECOVERY.windowS * 1000, undefined, { signal });
        const { streams, latencies } = await observer.look();
        windows.push({
          endS: endS(),
          published: ids.map((id) => streams.find((stream) => stream.id === id)?.published ?? 0),
          dropped: total(streams, droppedOf),
          p90Ms: slowest(latencies, (sorted) => sorted[Math.max(0, Math.ceil(0.9 * sorted.length) - 1)]!) ?? 0,
        });
        seconds = recoveryTime(windows, limits);
      }
      await falling;
      note(
        seconds === null
          ? `not recovered within ${RECOVERY.mostS} s with ${counted(count, 'camera')}`
          : `recovered ${seconds.toFixed(1)} s after the load fell to ${counted(count, 'camera')}`,
      );
      return seconds;
    } finally {
      observer.close();
    }
  }

  async #endurance(): Promise<Outcome> {
    const { cameras, seconds } = this.#plan;
    await this.#setCameras(cameras);
    const everyS = Math.min(SAMPLE_S.most, Math.max(SAMPLE_S.least, seconds / SAMPLES));
    const samples: EnduranceSample[] = [];
    const startedMs = performance.now();
    const latencies = new Map<string, LatencyBound[]>();
    const step = await this.#rig.measure({
      name: 'endurance',
      seconds,
      targets: this.#targets,
      settleSeconds: SETTLE_S,
      onWindow: async (window) => {
        for (const [id, bounds] of window.latencies) latencies.set(id, [...(latencies.get(id) ?? []), ...bounds]);
        const atS = (performance.now() - startedMs) / 1000;
        if (atS - (samples.at(-1)?.atS ?? 0) < everyS * 0.95) return;
        // One camera of many that becomes slower is below one of a hundred frames of all.
        const p99Ms = slowest(latencies, (sorted) => percentilesOf(sorted).p99);
        latencies.clear();
        samples.push({ atS, p99Ms, ...(await this.#subject.resources()) });
      },
    });
    this.#remark(step);
    const slopes = judgeSlopes(samples);
    if (slopes.length === 0) this.#note('the run was too short for slopes');
    const { verdict, reason } = enduranceVerdict(step, slopes);
    return { verdict, reason, targets: step.targets, steps: [step], slopes };
  }

  async #setCameras(count: number): Promise<void> {
    if (count > this.#rig.count) this.#context.note(`starting ${counted(count - this.#rig.count, 'camera')}`);
    await this.#rig.setCameras(count);
  }

  /** Notes what casts doubt on the figures. */
  #remark({ machine, conservationGap, cameraLateMs }: LoadStep): void {
    const otherRatio = machine?.otherRatio ?? 0;
    if (otherRatio > 0.1)
      this.#note(`other processes used ${(otherRatio * 100).toFixed(0)} % of the CPU: the figures are disturbed`);
    if (conservationGap !== null && conservationGap !== 0)
      this.#note(`frame counts are off by ${conservationGap}: this is a bug in Sightline`);
    if ((cameraLateMs ?? 0) > 100)
      this.#note(`a camera sent a frame ${cameraLateMs!.toFixed(0)} ms late: the machine is too busy for the cameras`);
  }

  #note(text: string): void {
    this.notes.push(text);
    this.#context.note(text);
  }
}

function enduranceVerdict(
  step: LoadStep,
  slopes: readonly FigureSlope[],
): { readonly verdict: LoadVerdict; readonly reason: string } {
  const growing = slopes.filter(({ verdict }) => verdict === 'grows').map(({ figure }) => figure);
  if (growing.length > 0) return { verdict: 'missed', reason: `${growing.join(', ')} grow over the run` };
  if (step.verdict !== 'met') return { verdict: step.verdict, reason: reasonOf(step.targets) };
  if (slopes.length === 0) return { verdict: 'not enough frames', reason: 'the run was too short for slopes' };
  return { verdict: 'met', reason: 'all targets are met, and nothing grows' };
}

function reasonOf(targets: readonly TargetVerdict[]): string {
  const verdict = verdictOf(targets);
  if (verdict === 'met') return 'all targets are met';
  return targets
    .filter(({ state }) => state === verdict)
    .map(({ target, reason }) => `${target}: ${reason}`)
    .join('; ');
}

/** Returns the largest of a figure of each stream; null without a frame. @param of - receives latencies in ascending order. */
function slowest(latencies: LoadWindow['latencies'], of: (sortedMs: Float64Array) => number): number | null {
  const figures = [...latencies.values()]
    .filter((bounds) => bounds.length > 0)
    .map((bounds) => of(Float64Array.from(bounds, ({ mostMs }) => mostMs).sort()));
  return figures.length === 0 ? null : Math.max(...figures);
}
