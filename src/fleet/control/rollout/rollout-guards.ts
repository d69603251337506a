import { z } from 'zod';
import { counted } from '../../../base/core/counted.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { Estimate } from '../../../base/statistics/sequential.ts';
import { DEFAULT_LIMITS } from '../../../frame/telemetry/interference.ts';
import {
  type GuardReport,
  MOST_FINDINGS,
  type Observation,
  type StreamFinding,
} from '../../../wire/protocol/rollout-records.ts';
import { blockSeriesState } from './block-series.ts';
import { compareSides, relativeEstimate, type Sides } from './compare-sides.ts';
import type { Guard } from './guards/guard.ts';
import { GUARD_NAMES, type GuardName, type GuardsConfig, guardOf } from './guards/guards.ts';
import { HardGuards, hardGuardsState } from './hard-guards.ts';
import { judgedLate, judgeEffect, noData, type Question, type Risks } from './judge-effect.ts';
import { judgeTail } from './judge-tail.ts';
import { countsOf, percent, ratio } from './observed.ts';
import type { PartFinding } from './part-finding.ts';
import { compareFrame, type ScoreRule, SMALL_PX } from './shadow-agreement.ts';
import { ShadowHistory } from './shadow-history.ts';
import { BLOCK_MS, JUDGED_BLOCKS, ShadowParts, shadowPartsState } from './shadow-parts.ts';
import { SideHistory, sideHistoryState } from './side-history.ts';
import { StreamParts, streamPartsState } from './stream-parts.ts';

export interface GuardOptions {
  readonly guards: GuardsConfig;
  /** Milliseconds since 1970, on a clock that every host agrees on. */
  readonly nowMs: () => number;
  /** Boxes below these are not published. */
  readonly controlThreshold: number;
  readonly candidateThreshold: number;
  /** What is not known in this roll-out: guards that need it are left out. */
  readonly lacks: readonly Guard['needs'][];
  /** Whether the candidate is another detector, whose boxes differ rightly. */
  readonly isOtherDetector: boolean;
  /** Classes of which people have said that the candidate loses nothing. */
  readonly settled: readonly string[];
  /** Whether the candidate carries all streams, so that only frames that both infer can be compared. */
  readonly isAlone: boolean;
  /** Steps of the roll-out: they share the risk of a wrong rollback. */
  readonly steps: number;
}

/** Boxes of both sides on frames that both inferred, and those that the other side lacks. */
const SIZES = countsOf('boxes', 'missing', 'small', 'smallMissing');

const guardsState = z.object({
  format: z.literal(6),
  hard: hardGuardsState,
  sides: sideHistoryState,
  shadow: blockSeriesState,
  shadowParts: shadowPartsState,
  streamParts: streamPartsState,
  sizes: SIZES.state,
});

/** Number of guards that judge single parts; the hard guards count as one. */
const PART_GUARDS = 1 + GUARD_NAMES.filter((name) => guardOf(name).ofStreams ?? guardOf(name).ofClasses).length;
/** A guard does not pass by one part of the time if the other gives evidence that an equal candidate gives in a third of all cases. */
const SUSPECT_RISK = 1 / 3;
/** Small objects are named if they are this share of what one side lacks, are so many, and are lacked so many times as often as others. */
const MOSTLY = 0.5;
const FEWEST_MISSING = 10;
const SMALL_FACTOR = 2;
const NEVER = Number.POSITIVE_INFINITY;
/** A stream that ran with the candidate for so long must have frames that both sides inferred, if others have. */
const COMPARED_SECONDS = 60;

/** The guards of one roll-out: they take observations and say whether the candidate is as good as the control. */
export class RolloutGuards {
  readonly #options: GuardOptions;
  readonly #hard: HardGuards;
  readonly #sides: SideHistory;
  readonly #shadow: ShadowHistory;
  readonly #shadowParts: ShadowParts;
  readonly #streamParts: StreamParts;
  readonly #scoreRule: ScoreRule;
  readonly #on: readonly GuardName[];
  readonly #risks: Risks;
  /** Risk of a wrong failure that each guard has for all parts together. */
  readonly #partRisk: number;
  /** All boxes of this step, to name what is lost. */
  #sizes = SIZES.none();
  #isAlone: boolean;

  constructor(options: GuardOptions, state?: z.infer<typeof guardsState>) {
    const { guards, controlThreshold, candidateThreshold, lacks, isOtherDetector, isAlone, steps } = options;
    const { agreement, p99 } = guards;
    const stepRisk = guards.rollbackAlpha / steps;
    this.#options = options;
    this.#isAlone = isAlone;
    const others = isOtherDetector ? 'same-detector' : 'other-detector';
    this.#on = GUARD_NAMES.filter((name) => {
      const { judges, needs, standsInFor } = guardOf(name);
      const standsIn = standsInFor?.every((other) => !guards[other as GuardName].isOn) ?? false;
      return guards[name].isOn && (judges !== others || standsIn) && !lacks.includes(needs);
    });
    this.#risks = { pass: guards.alpha, fail: stepRisk / 2 / Math.max(1, this.#on.length) };
    this.#partRisk = stepRisk / 2 / PART_GUARDS;
    this.#scoreRule = { controlThreshold, candidateThreshold, scoreSlack: agreement.scoreSlack };
    this.#hard = new HardGuards(guards.hard, this.#partRisk, state?.hard);
    this.#sides = new SideHistory(1 + p99.margin, state?.sides);
    this.#shadow = new ShadowHistory(state?.shadow);
    this.#shadowParts = new ShadowParts(guards, options.settled, state?.shadowParts);
    this.#streamParts = new StreamParts(guards, state?.streamParts);
    if (state !== undefined) this.#sizes = { ...state.sizes };
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
      const frame = compareFrame(observation, this.#scoreRule);
      this.#shadow.add(frame, nowMs);
      this.#shadowParts.add(observation.stream, frame, nowMs);
      SIZES.add(this.#sizes, {
        boxes: frame.length,
        missing: frame.filter(({ isMissing }) => isMissing).length,
        small: frame.filter(({ isSmall }) => isSmall).length,
        smallMissing: frame.filter(({ isSmall, isMissing }) => isSmall && isMissing).length,
      });
    }
  }

  /**
   * The verdict of every guard that is on. Cheap: called once a second.
   *
   * @param streams - those that exist: nothing is waited for on others. All if absent.
   */
  reports(streams?: readonly string[]): readonly GuardReport[] {
    const hard = this.#options.guards.hard.isOn ? this.#hard.reports(this.#options.nowMs()) : [];
    const sides = this.#sides.aligned();
    return [
      ...hard,
      ...this.#on.map((name) => ({
        ...this.#withSize(name, withPart(this.#judge(name, sides), this.#partOf(name, streams))),
        ...this.#streamsOf(name, streams),
      })),
    ];
  }

  /** Of these streams, those whose control was observed too briefly to compare the candidate with it, and that are still waited for. */
  withoutBaseline(streams: readonly string[]): readonly string[] {
    return this.#sides.withoutBaseline(streams, this.#options.nowMs());
  }

  /** Of these streams, those without a baseline that are no longer waited for. */
  abandoned(streams: readonly string[]): readonly string[] {
    return this.#sides.abandoned(streams, this.#options.nowMs());
  }

  /** Time until these streams were observed long enough; null if it is unknown. */
  readyInMs(streams: readonly string[]): number | null {
    return this.#sides.readyInMs(streams);
  }

  /** Of these streams, those that published no frame for ten minutes of this step. */
  silent(streams: readonly string[]): readonly string[] {
    return this.#sides.silent(streams, this.#options.nowMs());
  }

  /** Median latency of a stream under the control, in milliseconds; null if it is not known. */
  usualLatencyOf(stream: string): number | null {
    return this.#sides.percentilesOf(stream)?.p50 ?? null;
  }

  /**
   * Begins a step: drops the evidence about the candidate that depends on the time, and keeps that about the control. Evidence of single
   * streams and classes on frames that both inferred stays: it does not depend on the step.
   *
   * @param isAlone - in this step the candidate carries all streams without turns.
   */
  reset(isAlone: boolean): void {
    this.#isAlone = isAlone;
    this.#hard.reset();
    this.#sides.reset();
    if (!isAlone) this.#shadow.reset();
    if (!isAlone) this.#sizes = SIZES.none();
    this.#streamParts.reset();
  }

  /** All evidence as plain data, from which another controller continues. */
  snapshot(): z.infer<typeof guardsState> {
    return {
      format: 6,
      hard: this.#hard.state,
      sides: this.#sides.state,
      shadow: this.#shadow.state,
      shadowParts: this.#shadowParts.state,
      streamParts: this.#streamParts.state,
      sizes: { ...this.#sizes },
    };
  }

  /** Returns the part with the strongest evidence against the candidate; null if there is none. */
  #partOf(guard: GuardName, streams: readonly string[] | undefined): PartFinding | null {
    const nowMs = this.#options.nowMs();
    const { ofClasses } = guardOf(guard);
    return (
      this.#streamParts.worst(guard, this.#partRisk, nowMs) ??
      this.#shadowParts.worst(guard, this.#partRisk, nowMs) ??
      (ofClasses === undefined ? null : this.#notJudged(nowMs, streams))
    );
  }

  /** Names small objects if it is mostly they that one side lacks. */
  #withSize(name: GuardName, report: GuardReport): GuardReport {
    const { ofClasses } = guardOf(name);
    const { boxes, missing, small, smallMissing } = this.#sizes;
    if (ofClasses === undefined || report.verdict === 'pass' || small === 0 || smallMissing < MOSTLY * missing)
      return report;
    const [ofSmall, ofOthers] = [smallMissing / small, ratio(missing - smallMissing, boxes - small)];
    if (smallMissing < FEWEST_MISSING || ofSmall < SMALL_FACTOR * ofOthers) return report;
    const size = `Small objects (below ${SMALL_PX} x ${SMALL_PX} pixels) make the difference: one side lacks ${percent(ofSmall)} of them, and ${percent(ofOthers)} of the larger ones.`;
    return { ...report, reason: `${report.reason} ${size}` };
  }

  /** What a guard that judges single streams finds on them. */
  #streamsOf(guard: GuardName, existing: readonly string[] | undefined): Pick<GuardReport, 'streams'> {
    const { ofStreams, ofClasses } = guardOf(guard);
    if (ofStreams === undefined && ofClasses === undefined) return {};
    const [parts, nowMs] = [ofClasses === undefined ? this.#streamParts : this.#shadowParts, this.#options.nowMs()];
    const found = new Map<string, StreamFinding>();
    for (const [stream, { where, what, limitText, estimate, verdict }] of parts.findings(
      guard,
      this.#partRisk,
      nowMs,
    )) {
      if (found.get(stream)?.verdict === 'fail') continue;
      const reason = `${where} ${what}; the limit is ${limitText}.`;
      found.set(stream, { stream, verdict: verdict === 'fail' ? 'fail' : 'undecided', estimate, reason });
    }
    for (const stream of this.#streamParts.withCandidate(0))
      if (!found.has(stream) && !parts.isJudged(guard, stream))
        found.set(stream, {
          stream,
          verdict: 'no-data',
          estimate: null,
          reason: `On stream "${stream}" too little was compared.`,
        });
    const known = [...found.values()].filter(({ stream }) => existing?.includes(stream) !== false);
    return { streams: known.slice(0, MOST_FINDINGS) };
  }

  /** Finds a stream whose boxes are not compared although those of others are, or of which too few were. */
  #notJudged(nowMs: number, streams: readonly string[] | undefined): PartFinding | null {
    if (this.#shadow.frames === 0) return null;
    const suspect = (stream: string, what: string, limit: number, estimate: number): PartFinding => ({
      where: `On stream "${stream}"`,
      what,
      limit,
      limitText: `${limit} or more`,
      estimate,
      verdict: 'suspect',
      leftMs: null,
    });
    const missing = this.#streamParts
      .withCandidate(COMPARED_SECONDS)
      .find((stream) => this.#shadowParts.framesOf(stream) === 0);
    if (missing !== undefined)
      return suspect(missing, `no frame was inferred by both sides in ${COMPARED_SECONDS} s`, 1, 0);
    const unjudged = this.#shadowParts.unjudged(nowMs, streams);
    if (unjudged === null) return null;
    const { stream, blocks } = unjudged;
    const what = `the control had boxes to compare in ${counted(blocks, 'block')} of ${BLOCK_MS / 1000} s only`;
    return suspect(stream, what, JUDGED_BLOCKS, blocks);
  }

  #judge(name: GuardName, { calm, disturbed }: ReturnType<SideHistory['aligned']>): GuardReport {
    const { margin } = this.#options.guards[name];
    const guard = guardOf(name);
    const question: Question = { ...guard, guard: name, margin };
    const isByPairs = guard.byPairs !== undefined && (guard.bySides === undefined || this.#shadow.frames > 0);
    const frames = isByPairs ? this.#shadow.frames : this.#sides.candidateFrames;
    const without = this.#withoutData(guard, frames);
    // The few late frames of the step before are not enough to judge by.
    if (!isByPairs && this.#isAlone) return noData(question, frames, 'Alone, the candidate has no control beside it.');
    if (isByPairs) {
      const { spanMs } = this.#shadow;
      return judgeEffect(question, this.#shadow.estimate(name, margin), frames, this.#risks, without, spanMs);
    }
    const elapsedMs = this.#sides.stepElapsedMs(this.#options.nowMs());
    const judge = (of: Sides, risks: Risks): GuardReport => {
      // Where the others are busy for a part of the time, more of either part comes no faster than it did until now.
      const spanMs = Math.max(of.candidate.spanMs, elapsedMs);
      return judgedLate(
        guard.bySides === 'tail'
          ? judgeTail(question, of, this.#sides.factors, risks, { without, spanMs })
          : judgeEffect(question, sideBySide(name, of, margin), frames, risks, without, spanMs),
        { question, largest: largestOf(this.#options.guards[name]), elapsedMs },
      );
    };
    if (disturbed === null) return judge(calm, this.#risks);
    // Two looks share the risks.
    const risks = { pass: this.#risks.pass / 2, fail: this.#risks.fail / 2 };
    const looks = [calm, disturbed].map((of) => ({
      report: judge(of, risks),
      isSuspect: (): boolean => judge(of, { ...risks, fail: SUSPECT_RISK }).verdict === 'fail',
    })) as [Look, Look];
    const report = decided(looks);
    if (report.verdict !== 'undecided') return report;
    const [calmFrames, disturbedFrames] = [calm, disturbed].map(({ candidate }) => candidate.sum('frames')) as [
      number,
      number,
    ];
    const busy = `In ${percent(disturbedFrames / (calmFrames + disturbedFrames))} of this time other processes took more than ${percent(DEFAULT_LIMITS.otherRatio)} of the CPU`;
    return { ...report, reason: `${report.reason.slice(0, -1)}. ${busy}: stop them, or promote by hand.` };
  }

  #withoutData({ bySides }: Guard, frames: number): string {
    if (bySides === undefined)
      return frames === 0
        ? 'No frame was inferred by both sides yet.'
        : `Neither side sees an object in ${frames} frames.`;
    if (this.#sides.lacksBaseline && frames === 0)
      return 'The streams of the candidate were not observed long enough under the control.';
    return frames === 0 ? 'The candidate has no frames yet.' : `Nothing to compare with on ${frames} frames.`;
  }
}

/** What a single stream may differ by; of a guard that judges sums only, the margin three times. */
function largestOf(settings: { readonly margin: number; readonly partMargin?: number }): number {
  return settings.partMargin ?? 3 * settings.margin;
}

/** Difference of the same streams under candidate and control. */
function sideBySide(name: GuardName, sides: Sides, margin: number): Estimate | null {
  const { bySides, unit } = guardOf(name);
  if (bySides === undefined || bySides === 'tail') return null;
  const columns = { a: `${name}.a`, b: `${name}.b` };
  const comparison = compareSides(sides, columns, columns, margin);
  if (comparison === null) return null;
  return unit === 'relative' ? relativeEstimate(comparison) : comparison.difference;
}

/** What a guard says by a part of the time. */
interface Look {
  readonly report: GuardReport;
  readonly isSuspect: () => boolean;
}

/**
 * The verdict by the time in which others are busy, and by the other time. Together, a small effect would be lost in what others cause. Each
 * can fail; each can pass unless the other speaks against the candidate.
 */
function decided(looks: readonly [Look, Look]): GuardReport {
  const failed = looks.find(({ report }) => report.verdict === 'fail');
  if (failed !== undefined) return failed.report;
  const passed = looks.findIndex(({ report }) => report.verdict === 'pass');
  if (passed >= 0) {
    const other = looks[1 - passed]!;
    return other.isSuspect() ? other.report : looks[passed]!.report;
  }
  const [calm, disturbed] = [looks[0].report, looks[1].report];
  if (calm.verdict === 'no-data') return disturbed;
  return (disturbed.leftMs ?? NEVER) < (calm.leftMs ?? NEVER) ? disturbed : calm;
}

/** A part that fails fails the guard; one that is suspect keeps it from passing. */
function withPart(sum: GuardReport, part: PartFinding | null): GuardReport {
  if (part === null) return sum;
  const { where, what, limit, limitText, estimate, leftMs, isForPerson = false } = part;
  if (sum.verdict === 'fail') return { ...sum, reason: `${sum.reason} ${where} ${what}.` };
  if (part.verdict === 'suspect' && sum.verdict !== 'pass') return sum;
  const verdict = part.verdict === 'fail' ? 'fail' : 'undecided';
  const doubt = isForPerson ? '; a person decides whether that is right' : ', which is not certain yet';
  const reason = `${where} ${what}; the limit is ${limitText}${verdict === 'fail' ? '' : doubt}.`;
  const figures = { estimate, low: null, high: null, margin: limit };
  return { ...sum, verdict, ...figures, reason, leftMs: verdict === 'fail' ? null : leftMs };
}
