import { z } from 'zod';
import type { GuardsConfig } from '../../config/guards.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { Estimate } from '../../measure/sequential.ts';
import type { GuardReport, Observation } from '../../protocol/rollout-records.ts';
import { blockSeriesState } from './block-series.ts';
import { alignSides, type Columns, compareSides, relativeEstimate, type Sides } from './compare-sides.ts';
import type { GuardPanel } from './guard-panel.ts';
import { HardGuards, hardGuardsState } from './hard-guards.ts';
import { judgeEffect, type Question, type Risks } from './judge-effect.ts';
import { judgeTail } from './judge-tail.ts';
import { ShadowHistory } from './shadow-history.ts';
import { COLUMN, SideHistory, sideHistoryState } from './side-history.ts';

export interface GuardOptions {
  readonly guards: GuardsConfig;
  /** Milliseconds since 1970, on a clock that every host agrees on. */
  readonly nowMs: () => number;
  /** Boxes below it are not reported: the higher one of both versions. */
  readonly scoreThreshold: number;
  /** Frames are inferred by both sides. Without it nobody can say whether boxes agree, so that guard is left out. */
  readonly hasShadow: boolean;
  /** Upper limit for the 99th percentile of a stream's latency; null if it has none. */
  readonly targetLatencyMs: (stream: string) => number | null;
}

const guardsState = z.object({
  format: z.literal(1),
  hard: hardGuardsState,
  sides: sideHistoryState,
  shadow: blockSeriesState,
});

const STATISTICAL = ['agreement', 'p99', 'fps', 'drops', 'boxes', 'confidence', 'deviceTime'] as const;
type StatisticalGuard = (typeof STATISTICAL)[number];

const QUESTIONS: Readonly<Record<StatisticalGuard, Pick<Question, 'subject' | 'harm' | 'unit'>>> = {
  agreement: { subject: 'the share of boxes without a counterpart (1 - F1)', harm: 'rise', unit: 'points' },
  p99: { subject: 'the 99th percentile of latency', harm: 'rise', unit: 'relative' },
  fps: { subject: 'the rate of frames attained', harm: 'fall', unit: 'relative' },
  drops: { subject: 'the share of frames dropped', harm: 'rise', unit: 'points' },
  boxes: { subject: 'the number of boxes', harm: 'change', unit: 'relative' },
  confidence: { subject: 'the mean confidence', harm: 'fall', unit: 'points' },
  deviceTime: { subject: 'the CPU or device time of a frame', harm: 'rise', unit: 'relative' },
};

/** Where the figures of the guards that compare sides stand. */
const SIDE_COLUMNS: Readonly<Partial<Record<StatisticalGuard, Columns>>> = {
  fps: { a: COLUMN.fps, b: COLUMN.fpsExpected },
  drops: { a: COLUMN.dropsExcess, b: COLUMN.arrived },
  boxes: { a: COLUMN.boxes, b: COLUMN.boxesExpected },
  confidence: { a: COLUMN.scoreExcess, b: COLUMN.boxes },
  deviceTime: { a: COLUMN.deviceMs, b: COLUMN.deviceMsExpected },
};

/** The guards of one roll-out: what is known of control and candidate, and what follows from it. Reads no clock but its own. */
export class RolloutGuards implements GuardPanel {
  readonly #options: GuardOptions;
  readonly #hard: HardGuards;
  readonly #sides: SideHistory;
  readonly #shadow: ShadowHistory;
  readonly #on: readonly StatisticalGuard[];
  readonly #risks: Risks;

  constructor(options: GuardOptions, state?: z.infer<typeof guardsState>) {
    const { guards, scoreThreshold, hasShadow, targetLatencyMs } = options;
    this.#options = options;
    this.#hard = new HardGuards(guards.hard, targetLatencyMs, state?.hard);
    this.#sides = new SideHistory(1 + guards.p99.margin, state?.sides);
    this.#shadow = new ShadowHistory(scoreThreshold + guards.agreement.scoreSlack, state?.shadow);
    this.#on = STATISTICAL.filter((name) => guards[name].isOn && (hasShadow || name !== 'agreement'));
    this.#risks = { pass: guards.alpha, fail: guards.alpha / Math.max(1, this.#on.length) };
  }

  /** Restores a panel from its snapshot. Observations made since then are lost, which makes it cautious, not wrong. @throws PROTOCOL_INVALID */
  static restore(options: GuardOptions, snapshot: unknown): RolloutGuards {
    const { data, error } = guardsState.safeParse(snapshot);
    if (error === undefined) return new RolloutGuards(options, data);
    const at = error.issues[0]!;
    const where = at.path.join('.');
    const message = `snapshot of the guards: ${where}: ${at.message}; another version of Sightline may have written it`;
    throw new SightlineError('PROTOCOL_INVALID', message, { where });
  }

  observe(observation: Observation): void {
    const nowMs = this.#options.nowMs();
    if ('restarts' in observation) this.#hard.addEngine(observation, nowMs);
    else if ('side' in observation) {
      this.#sides.add(observation, nowMs);
      this.#hard.addSide(observation, nowMs);
    } else this.#shadow.add(observation, nowMs);
  }

  reports(): readonly GuardReport[] {
    const hard = this.#options.guards.hard.isOn ? this.#hard.reports(this.#options.nowMs()) : [];
    const sides = alignSides(this.#sides.candidate, this.#sides.control(), COLUMN.frames);
    return [...hard, ...this.#on.map((name) => this.#judge(name, sides))];
  }

  withoutBaseline(streams: readonly string[]): readonly string[] {
    return this.#sides.withoutBaseline(streams);
  }

  reset(): void {
    this.#hard.reset();
    this.#sides.reset();
    this.#shadow.reset();
  }

  snapshot(): z.infer<typeof guardsState> {
    return { format: 1, hard: this.#hard.state, sides: this.#sides.state, shadow: this.#shadow.state };
  }

  #judge(guard: StatisticalGuard, sides: Sides): GuardReport {
    const { margin } = this.#options.guards[guard];
    const question: Question = { guard, margin, ...QUESTIONS[guard] };
    const isPaired =
      guard === 'agreement' || ((guard === 'boxes' || guard === 'confidence') && this.#shadow.frames > 0);
    const frames = isPaired ? this.#shadow.frames : this.#sides.candidate.sum(COLUMN.frames);
    const without = this.#withoutData(guard, frames);
    if (guard === 'p99') return judgeTail(question, sides, this.#sides.factors, this.#risks, without);
    const estimate = isPaired ? this.#paired(guard, margin) : this.#sideBySide(guard, sides, margin);
    return judgeEffect(question, estimate, frames, this.#risks, without);
  }

  /** Difference on frames that both sides inferred. */
  #paired(guard: StatisticalGuard, margin: number): Estimate | null {
    if (guard === 'agreement') return this.#shadow.f1Loss(margin);
    return guard === 'boxes' ? this.#shadow.boxes(margin) : this.#shadow.confidence(margin);
  }

  /** Difference of the same streams under candidate and control. */
  #sideBySide(guard: StatisticalGuard, sides: Sides, margin: number): Estimate | null {
    const columns = SIDE_COLUMNS[guard];
    if (columns === undefined) return null;
    const comparison = compareSides(sides, columns, columns, margin);
    if (comparison === null) return null;
    return QUESTIONS[guard].unit === 'relative' ? relativeEstimate(comparison) : comparison.difference;
  }

  #withoutData(guard: StatisticalGuard, frames: number): string {
    if (guard === 'agreement')
      return frames === 0
        ? 'No frame was inferred by both sides yet.'
        : `Neither side sees an object in ${frames} frames.`;
    if (this.#sides.lacksBaseline && frames === 0)
      return 'The streams of the candidate were not observed long enough under the control.';
    return frames === 0 ? 'The candidate has no frames yet.' : `Nothing to compare with on ${frames} frames.`;
  }
}
