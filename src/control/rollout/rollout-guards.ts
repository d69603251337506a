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
import type { PartFinding } from './part-finding.ts';
import { ShadowHistory } from './shadow-history.ts';
import { ShadowParts, shadowPartsState } from './shadow-parts.ts';
import { COLUMN, SideHistory, sideHistoryState } from './side-history.ts';
import { STREAM_GUARDS, StreamParts, streamPartsState } from './stream-parts.ts';

export interface GuardOptions {
  readonly guards: GuardsConfig;
  /** Milliseconds since 1970, on a clock that every host agrees on. */
  readonly nowMs: () => number;
  /** Boxes below it are not reported: the higher one of both versions. */
  readonly scoreThreshold: number;
  /** The same of the control alone. */
  readonly controlThreshold: number;
  /** Frames are inferred by both sides. Without it nobody can say whether boxes agree, so that guard is left out. */
  readonly hasShadow: boolean;
  /** Steps of the roll-out: they share the risk of a wrong rollback. */
  readonly steps: number;
}

const guardsState = z.object({
  format: z.literal(2),
  hard: hardGuardsState,
  sides: sideHistoryState,
  shadow: blockSeriesState,
  shadowParts: shadowPartsState,
  streamParts: streamPartsState,
});

/**
 * Single parts ask for boxes this many slacks above the threshold. One weak object that stays in the picture is found by one side only,
 * over and over; in the sum it is one of many, in its part it is all there is.
 */
const SURE_SLACKS = 2;
/** What judges single parts: streams and classes by two guards, streams by three, and the hard guards. */
const PART_GUARDS = 6;
/** A stream that ran with the candidate for so long must have frames that both sides inferred, if others have. */
const COMPARED_SECONDS = 60;

/** Guards that compare the candidate with the control. */
export const STATISTICAL = ['agreement', 'p99', 'fps', 'drops', 'boxes', 'confidence', 'deviceTime'] as const;
type StatisticalGuard = (typeof STATISTICAL)[number];

const QUESTIONS: Readonly<Record<StatisticalGuard, Pick<Question, 'subject' | 'harm' | 'unit'>>> = {
  agreement: { subject: 'the share of boxes without a counterpart (1 - F1)', harm: 'rise', unit: 'points' },
  p99: { subject: 'the 99th percentile of latency', harm: 'rise', unit: 'relative' },
  fps: { subject: 'the rate of frames attained', harm: 'fall', unit: 'relative' },
  drops: { subject: 'the share of frames dropped', harm: 'rise', unit: 'points' },
  boxes: { subject: 'the number of boxes', harm: 'change', unit: 'relative' },
  confidence: { subject: 'the mean confidence', harm: 'fall', unit: 'points' },
  deviceTime: { subject: 'the CPU time of an inference', harm: 'rise', unit: 'relative' },
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
  readonly #shadowParts: ShadowParts;
  readonly #streamParts: StreamParts;
  readonly #on: readonly StatisticalGuard[];
  readonly #risks: Risks;
  /** Risk of a wrong failure that each guard has for all parts together. */
  readonly #partRisk: number;

  constructor(options: GuardOptions, state?: z.infer<typeof guardsState>) {
    const { guards, scoreThreshold, controlThreshold, hasShadow, steps } = options;
    const { agreement, boxes, p99, fps, drops } = guards;
    const stepRisk = guards.rollbackAlpha / steps;
    this.#options = options;
    this.#on = STATISTICAL.filter((name) => guards[name].isOn && (hasShadow || name !== 'agreement'));
    this.#risks = { pass: guards.alpha, fail: stepRisk / 2 / Math.max(1, this.#on.length) };
    this.#partRisk = stepRisk / 2 / PART_GUARDS;
    const askedScore = scoreThreshold + agreement.scoreSlack;
    const sureFrom = (threshold: number): number => threshold + SURE_SLACKS * agreement.scoreSlack;
    const sureScores = { ofBoth: sureFrom(scoreThreshold), ofControl: sureFrom(controlThreshold) };
    const [partLimits, streamLimits] = [
      { agreement: agreement.partMargin, boxes: boxes.partMargin },
      { p99: p99.partMargin, fps: fps.partMargin, drops: drops.partMargin },
    ];
    this.#hard = new HardGuards(guards.hard, this.#partRisk, state?.hard);
    this.#sides = new SideHistory(1 + p99.margin, state?.sides);
    this.#shadow = new ShadowHistory(askedScore, state?.shadow);
    this.#shadowParts = new ShadowParts(sureScores, partLimits, state?.shadowParts);
    this.#streamParts = new StreamParts(streamLimits, state?.streamParts);
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
      this.#streamParts.add(observation, this.#sides.percentilesOf(observation.stream), nowMs);
      this.#hard.addSide(observation, nowMs);
    } else {
      this.#shadow.add(observation, nowMs);
      this.#shadowParts.add(observation, nowMs);
    }
  }

  reports(): readonly GuardReport[] {
    const hard = this.#options.guards.hard.isOn ? this.#hard.reports(this.#options.nowMs()) : [];
    const sides = alignSides(this.#sides.candidate, this.#sides.control, COLUMN.frames);
    return [...hard, ...this.#on.map((name) => withPart(this.#judge(name, sides), this.#partOf(name)))];
  }

  withoutBaseline(streams: readonly string[]): readonly string[] {
    return this.#sides.withoutBaseline(streams, this.#options.nowMs());
  }

  abandoned(streams: readonly string[]): readonly string[] {
    return this.#sides.abandoned(streams, this.#options.nowMs());
  }

  readyInMs(streams: readonly string[]): number | null {
    return this.#sides.readyInMs(streams);
  }

  silent(streams: readonly string[]): readonly string[] {
    return this.#sides.silent(streams, this.#options.nowMs());
  }

  usualLatencyOf(stream: string): number | null {
    return this.#sides.percentilesOf(stream)?.p50 ?? null;
  }

  reset(): void {
    this.#hard.reset();
    this.#sides.reset();
    this.#shadow.reset();
    this.#shadowParts.reset();
    this.#streamParts.reset();
  }

  snapshot(): z.infer<typeof guardsState> {
    return {
      ...{ format: 2, hard: this.#hard.state, sides: this.#sides.state, shadow: this.#shadow.state },
      ...{ shadowParts: this.#shadowParts.state, streamParts: this.#streamParts.state },
    };
  }

  /** The part of a guard's evidence that says most against the candidate; null if none does. */
  #partOf(guard: StatisticalGuard): PartFinding | null {
    const nowMs = this.#options.nowMs();
    const isStreamGuard = STREAM_GUARDS.find((name) => name === guard);
    if (isStreamGuard !== undefined) return this.#streamParts.worst(isStreamGuard, this.#partRisk, nowMs);
    if (guard !== 'agreement' && guard !== 'boxes') return null;
    const worst = this.#shadowParts.worst(guard, this.#partRisk, nowMs);
    return worst === null && guard === 'agreement' ? this.#notCompared() : worst;
  }

  /** Streams whose boxes nobody compares while those of others are. */
  #notCompared(): PartFinding | null {
    if (this.#shadow.frames === 0) return null;
    const missing = this.#streamParts
      .withCandidate(COMPARED_SECONDS)
      .find((stream) => this.#shadowParts.framesOf(stream) === 0);
    if (missing === undefined) return null;
    const what = `no frame was inferred by both sides in ${COMPARED_SECONDS} s`;
    const finding = { where: `On stream "${missing}"`, what, limit: 1, limitText: 'some', estimate: 0 };
    return { ...finding, verdict: 'suspect', leftMs: null };
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
    const spanMs = isPaired ? this.#shadow.spanMs : sides.candidate.spanMs;
    return judgeEffect(question, estimate, frames, this.#risks, without, spanMs);
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

/** A part that fails fails the guard; one that is suspect keeps it from passing. */
function withPart(sum: GuardReport, part: PartFinding | null): GuardReport {
  if (part === null || sum.verdict === 'fail' || (part.verdict === 'suspect' && sum.verdict !== 'pass')) return sum;
  const { where, what, limit, limitText, estimate, leftMs } = part;
  const verdict = part.verdict === 'fail' ? 'fail' : 'undecided';
  const reason = `${where} ${what}; the limit is ${limitText}${verdict === 'fail' ? '' : ', which is not certain yet'}.`;
  return {
    ...sum,
    verdict,
    estimate,
    low: null,
    high: null,
    margin: limit,
    reason,
    leftMs: verdict === 'fail' ? null : leftMs,
  };
}
