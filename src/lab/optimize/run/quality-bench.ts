import { counted } from '../../../base/core/counted.ts';
import type { FfmpegBinary } from '../../../frame/decode/ffmpeg-binary.ts';
import type { PipelineConfig } from '../../../serve/pipeline/pipeline.ts';
import type { Environment } from '../../../settings/config/environment.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import { collectOnSequences } from '../gate/collect-on-sequences.ts';
import {
  type CollectedResults,
  type CollectOptions,
  collectOnImages,
  collectOnVideo,
  heldResults,
} from '../gate/collect-results.ts';
import { type Difference, settledByLabels } from '../gate/difference.ts';
import type { GateVerdict } from '../gate/gate-verdict.ts';
import { type Ground, judge, thresholdBeside } from '../gate/judge.ts';
import type { VideoDemands, VideoGround } from '../gate/judge-video.ts';
import { allOf, classAllowance, figure, levelFor } from '../gate/loss-verdict.ts';
import { chanceText, passChance, type SearchEstimate, withPrior } from '../gate/pass-chance.ts';
import type { TrackSequence } from '../gate/track-sequence.ts';
import { apply, streamSettings } from '../levers/apply-configuration.ts';
import {
  configurationKey,
  hasSameSkips,
  pictureKey,
  qualityKey,
  skipsWork,
  untuned,
  withoutSkips,
} from '../levers/levers.ts';
import type { Configuration } from '../result.ts';
import { type GivenAnswer, settledByAnswers } from '../review/answers.ts';
import { OPEN_CHANCE, type Quality } from '../search/evaluator.ts';
import { type Evidence, type EvidencePart, fewerBlocks, fewerLabels } from './evidence.ts';

export interface QualityOptions {
  readonly pipeline: PipelineConfig;
  readonly baseline: Configuration;
  readonly evidence: Evidence;
  /** The stream whose clips are judged, read as a file. */
  readonly stream: StreamConfig;
  /** Videos with true tracks, on which the verdict judges identities; default none. */
  readonly sequences?: readonly TrackSequence[];
  readonly maxLoss: number;
  /** Whether changed counts of lines and zones are accepted, and another detector without labels. */
  readonly acceptsCounts: boolean;
  /** Whether somebody uses the ids of tracks: then they must be kept. Default: yes. */
  readonly followsObjects?: boolean;
  /** Most verdicts on the held-out part. */
  readonly mostFinalists: number;
  readonly seed: number;
  readonly environment: Environment;
  readonly ffmpeg: FfmpegBinary;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
  /** Whether people settle what another detector loses without labels; default: it is not tried. */
  readonly asksPeople?: boolean;
  /** What people have said about objects in the recording; default: nothing. */
  readonly answers?: readonly GivenAnswer[];
  /** How results are collected; default: by running the pipeline. */
  readonly collectors?: Collectors;
}

/** Runs a configuration on pictures and on clips; see `collectOnImages` and `collectOnVideo`. */
export interface Collectors {
  readonly onImages: typeof collectOnImages;
  readonly onVideo: typeof collectOnVideo;
}

const RUN_PIPELINE: Collectors = { onImages: collectOnImages, onVideo: collectOnVideo };

/** What is logged about a judgement. */
export interface Judgement extends Omit<Quality, 'measurements'>, Readonly<Gates> {
  /** What the clip shows of classes that labels or answers have judged. */
  readonly settled: readonly Difference[];
}

/** What was judged of a configuration. */
interface Gates {
  /** Null where the detections are those of the baseline, or without labels. */
  labels: GateVerdict | null;
  /** The detector that infers every frame against the baseline's; null where that was not compared. */
  video: GateVerdict | null;
  /** Skipped work against the same configuration that infers every frame; null where it skips as the baseline does. */
  skips: GateVerdict | null;
  /** Identities against the baseline's, on sequences with true tracks; absent without any, and on the search part. */
  identities?: GateVerdict;
  /** Attributes of objects and events, all of it against the baseline; absent without second stages. */
  stages?: GateVerdict;
}

type PartName = keyof Evidence;

/** What the evidence cannot decide, and why; null where it can. */
export interface Shortcomings {
  /** Configurations that detect otherwise than the baseline. */
  readonly detections: string | null;
  /** Configurations that skip work. */
  readonly skips: string | null;
}

/** The held-out part takes at most this share of the budget: the baseline and the finalists together. */
const HELD_OUT_BUDGET_SHARE = 0.3;
/** Sequences with true tracks take at most this share of the budget. */
const SEQUENCES_BUDGET_SHARE = 0.15;
/** The search part takes it for each two runs of the baseline's speed; candidates run on it again and again. */
const SEARCH_BUDGET_SHARE = 0.06;
/** However short the budget: with fewer nothing can be decided or put in order. */
const FEWEST_PICTURES: Readonly<Record<PartName, number>> = { search: 20, heldOut: 40 };
/** A verdict on video needs ten seconds of it. */
const DECIDING_US = 10e6;
/** To decode a picture. */
const PICTURE_SECONDS = 0.015;
/** Number formats and kernels of one network lose about this much (docs/accuracy.md); a few pictures say less than that. */
const OWN_FORMAT_LOSS = 0.006;
/** Chance of a candidate on which the search part cannot decide: neither yes nor no. */
const UNKNOWN_CHANCE = 0.5;
/** F1 of another detector with today's, without labels: below the first it is not worth anybody's answers, from the second on it is likely to be as good. */
const LEAST_AGREEMENT = 0.4;
const GOOD_AGREEMENT = 0.8;
/** Of another detector that people judge alone. */
const UNLABELLED: Difference = {
  kind: 'detector',
  subject: '',
  text: 'another detector, and no labels: answers say of each class that at most 10 of 100 boxes are lost; label pictures to know more',
};
/** Largest loss of F1, or of AP, by what changes no detection: kernels of other batches round otherwise. */
const HARMLESS_LOSS = 0.005;

/**
 * Judges configurations against the baseline: by labelled pictures, and by what they publish for a video. Verdicts combine by *and*.
 *
 * `screen` looks at the search part and says what is likely to pass; `confirm` looks at the held-out part and decides what may be
 * used. The search never learns anything from the held-out part.
 */
export class QualityBench {
  readonly #options: QualityOptions;
  readonly #collectors: Collectors;
  #parts: Evidence;
  #sequences: readonly TrackSequence[];
  readonly #onImages = new Map<string, Promise<CollectedResults>>();
  readonly #onVideo = new Map<string, Promise<CollectedResults>>();
  readonly #untuned = new Map<string, Promise<CollectedResults>>();
  readonly #thresholds = new Map<string, Promise<number | null>>();

  constructor(options: QualityOptions) {
    this.#options = options;
    this.#collectors = options.collectors ?? RUN_PIPELINE;
    this.#parts = options.evidence;
    this.#sequences = options.sequences ?? [];
  }

  /** What quality is measured on, for the log. */
  nameOf(part: PartName): string {
    const { labels, blocks } = this.#part(part);
    const pictures = labels === null ? [] : [`${labels.paths.length} pictures`];
    const where = part === 'search' ? 'search part' : 'held-out part';
    const tracked =
      part === 'heldOut' && this.#sequences.length > 0 ? [counted(this.#sequences.length, 'sequence')] : [];
    const ground = [...pictures, `${blocks.length} blocks of video`, ...tracked].join(' and ');
    const { maxLoss, acceptsCounts } = this.#options;
    return `${where}: ${ground}, at most ${maxLoss} lost${acceptsCounts ? ', counts accepted' : ''}`;
  }

  /** What the baseline finds in the search part of the recording. */
  get baselineResults(): Promise<CollectedResults> {
    return this.#video('search', this.#options.baseline);
  }

  /** Labelled pictures of the held-out part; infinite without labels, where agreement on video decides. */
  get heldOutPictures(): number {
    return this.#part('heldOut').labels?.paths.length ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Cuts both parts to what fits the budget, and runs the baseline on them.
   *
   * @param baselineFps - offline rate of the baseline, by which the time of a verdict is planned.
   * @returns why the evidence cannot decide; null where it can.
   */
  async prepare(budgetSeconds: number, baselineFps: number): Promise<Shortcomings> {
    const { mostFinalists, note, evidence } = this.#options;
    // The finalists are faster than the baseline, mostly; together they count as one more run of it.
    const runs = mostFinalists > 0 ? 2 : 1;
    const cut = (part: PartName, share: number): EvidencePart => {
      const { labels, blocks } = evidence[part];
      const seconds = (budgetSeconds * share) / runs / (labels === null ? 1 : 2);
      const pictures = Math.floor(seconds / (1 / baselineFps + PICTURE_SECONDS));
      const frames = blocks.reduce((sum, block) => sum + block.frames, 0) / Math.max(1, blocks.length);
      const fewestBlocks = Math.ceil(DECIDING_US / Math.max(1, blocks[0]?.durationUs ?? 1));
      const number = Math.max(part === 'search' ? 1 : fewestBlocks, Math.floor((seconds * baselineFps) / frames));
      return {
        labels: labels === null ? null : fewerLabels(labels, Math.max(FEWEST_PICTURES[part], pictures)),
        blocks: fewerBlocks(blocks, number),
      };
    };
    this.#parts = { search: cut('search', SEARCH_BUDGET_SHARE), heldOut: cut('heldOut', HELD_OUT_BUDGET_SHARE) };
    for (const [what, all, used] of [
      ['held-out pictures', evidence.heldOut.labels?.paths.length, this.#parts.heldOut.labels?.paths.length],
      ['held-out blocks of the recording', evidence.heldOut.blocks.length, this.#parts.heldOut.blocks.length],
    ] as const)
      if (all !== used) note(`the budget allows ${used} of the ${all} ${what}; a longer one uses all`);
    await this.#cutSequences(budgetSeconds * SEQUENCES_BUDGET_SHARE * baselineFps, runs);
    return this.#shortcomings();
  }

  /**
   * What a configuration loses on the search part, and its chance to pass, by which the search ranks it. A few pictures refuse only what
   * has lost whole classes, tracks or counts.
   *
   * @param hasClip - whether the recording is looked at where labels judge: that takes a run of both sides.
   * @throws as `confirm`.
   */
  async screen(configuration: Configuration, hasClip = false): Promise<Judgement> {
    const judged = await this.#judge('search', configuration, undefined, hasClip);
    const { maxLoss: allowed, mostFinalists } = this.#options;
    if (judged.chance === 0) return judged;
    const objections = gatesOf(judged).flatMap((gate) => gate.objections);
    if (objections.length > 0) return { ...judged, verdict: 'refused', chance: 0 };
    const { model, inputSize } = this.#options.baseline;
    const isOwn = configuration.model === model && configuration.inputSize === inputSize;
    const isOpen = judged.differences.some(({ kind }) => kind !== 'undecided');
    const settledChance = this.#chanceOf(judged, levelFor(mostFinalists), isOwn);
    const chance = settledChance * (isOpen ? OPEN_CHANCE : 1);
    const reason = `${judged.reason}; its chance to be shown to stay within ${figure(allowed)} by ${this.#heldOutText()} that the search has not seen is ${chanceText(chance)}`;
    return { ...judged, verdict: 'passed', chance, settledChance, reason };
  }

  /**
   * Says whether a finalist may be used.
   *
   * @param finalists - how many verdicts are given on the held-out part: the confidence of each is corrected for it.
   * @throws the errors of `openRuntime`; ENGINE_FAILED if pictures were given up.
   */
  confirm(configuration: Configuration, finalists: number): Promise<Judgement> {
    return this.#judge('heldOut', configuration, levelFor(Math.max(1, finalists)), true);
  }

  /** Settles what people have answered for, of a judgement by `screen` or `confirm`. */
  settle(judgement: Judgement): Judgement {
    const { answers = [], maxLoss } = this.#options;
    const disputed = judgement.video?.video?.disputed;
    if (answers.length === 0 || disputed === undefined) return judgement;
    const by = settledByAnswers(judgement.differences, disputed.classes, answers, classAllowance(maxLoss));
    const refused =
      by.objections.length === 0
        ? {}
        : { verdict: 'refused' as const, reason: `${judgement.reason}; ${by.objections.join('; ')}` };
    return { ...judgement, ...refused, differences: by.open, settled: [...judgement.settled, ...by.settled] };
  }

  /**
   * Checks by a run that a configuration finds what it finds one frame at a time, on the baseline's threads: what its levers promise that
   * change no detection. One network bears a batch and another does not.
   *
   * @throws as `confirm`.
   */
  async checkHarmless(configuration: Configuration): Promise<Judgement> {
    const { maxLoss: allowed, baseline } = this.#options;
    const plain = untuned(configuration, baseline);
    const { blocks, labels } = this.#part('search');
    const found = {
      labels: null,
      video: null,
      skips: null,
      differences: [],
      settled: [],
      ap: null,
      chance: 1,
      allowed,
    };
    if (blocks.length === 0 && labels === null)
      return { ...found, verdict: 'passed', loss: 0, upperBound: 0, reason: 'no recording to check it on' };
    const isByVideo = blocks.length > 0;
    const run = (one: Configuration): Promise<CollectedResults> =>
      isByVideo ? this.#runVideo('search', one) : this.#runImages('search', withoutSkips(one));
    const ground: Ground = isByVideo
      ? { kind: 'video', isTruth: false }
      : { kind: 'labels', annotations: labels!.annotations };
    const gate = await this.#compare(
      ground,
      undefined,
      await this.#untunedResults(plain, run),
      await run(configuration),
    );
    const isEqual = gate.loss <= HARMLESS_LOSS && gate.objections.length === 0;
    const wanted = plain === baseline ? 'what the baseline detects' : 'what it detects one frame at a time';
    const reason = isEqual
      ? `in batches and on its threads it detects ${wanted}, by a run`
      : `in batches of ${configuration.maxBatch} on ${counted(configuration.inferenceThreads, 'thread')} it was expected to detect ${wanted}: ${gate.reason}`;
    const gates = isByVideo ? { video: gate } : { labels: gate };
    return { ...found, ...gates, verdict: isEqual ? 'passed' : 'refused', loss: gate.loss, upperBound: null, reason };
  }

  /** @param level - of each verdict; undefined for that of a single one. @param hasClip - see `screen`. */
  async #judge(
    part: PartName,
    configuration: Configuration,
    level: number | undefined,
    hasClip: boolean,
  ): Promise<Judgement> {
    const { baseline, maxLoss: allowed, acceptsCounts, asksPeople, stream, followsObjects = true } = this.#options;
    const [still, own] = [withoutSkips(configuration), withoutSkips(baseline)];
    const isSameDetector = configuration.model === baseline.model;
    const { labels } = this.#part(part);
    const needsPeople = !isSameDetector && labels === null && !acceptsCounts;
    if (needsPeople && asksPeople !== true) return needsLabels(allowed, configuration, baseline);
    const gates: Gates = { labels: null, video: null, skips: null };
    if (pictureKey(still) !== pictureKey(own)) {
      if (labels !== null) {
        const ground: Ground = {
          kind: 'labels',
          annotations: labels.annotations,
          isOtherDetector: !isSameDetector,
        };
        gates.labels = await this.#compare(
          ground,
          level,
          await this.#images(part, own),
          await this.#publishedAlike(still, await this.#images(part, still)),
        );
      }
      // While it searches with labels, video is looked at only where something is counted in it.
      const isCounted = stream.lines.length + stream.zones.length > 0;
      const agreement = labels === null && isSameDetector;
      const inTime = (labels === null && !needsPeople) || isSameDetector;
      const tracks = inTime && followsObjects;
      if (labels === null || hasClip || isCounted)
        gates.video = await this.#onBlocks(
          part,
          [own, still],
          { demands: { agreement, tracks, inTime, counts: !acceptsCounts }, isTruth: false, asksPeople: needsPeople },
          level,
        );
    }
    if (skipsWork(configuration) && !hasSameSkips(configuration, baseline)) {
      // True tracks say more of identities than what the baseline followed in the clip, which may be wrong itself.
      const tracks = followsObjects && this.#sequences.length === 0;
      const demands = { agreement: true, tracks, inTime: true, counts: !acceptsCounts };
      gates.skips = await this.#onBlocks(part, [still, configuration], { demands, isTruth: true }, level);
    }
    if (baseline.stages.length > 0 && qualityKey(configuration) !== qualityKey(baseline)) {
      const demands = { agreement: false, tracks: false, counts: false };
      const asked = { demands, isTruth: false, watched: stream };
      gates.stages = await this.#onBlocks(part, [baseline, configuration], asked, level);
    }
    if (part === 'heldOut' && this.#sequences.length > 0 && qualityKey(configuration) !== qualityKey(baseline))
      gates.identities = await this.#onSequences(configuration, level);
    const ap = gates.labels?.candidate ?? (labels === null ? null : await this.#baselineAp(part));
    const verdict = together(gates, allowed);
    const { differences, settled } = differencesOf(gates, verdict);
    // Whatever is answered, it is known of the classes that were asked about, and to a tenth.
    const unlabelled = needsPeople ? [UNLABELLED] : [];
    return { ...verdict, ...gates, ap, chance: 1, differences: [...differences, ...unlabelled], settled };
  }

  /**
   * The pipeline with a configuration. Another detector gets the score threshold of `scoreThresholdOf`.
   *
   * @throws as `confirm`.
   */
  async applied(configuration: Configuration): Promise<PipelineConfig> {
    const { pipeline } = this.#options;
    const scoreThreshold = await this.scoreThresholdOf(configuration);
    const model = { ...pipeline.model, ...(scoreThreshold === null ? {} : { scoreThreshold }) };
    return apply({ ...pipeline, model }, configuration);
  }

  /**
   * The score threshold at which another detector than the baseline's publishes most alike, by the labelled pictures of the search part.
   * The scores of two detectors mean different things, so that of the baseline says nothing about it. Null for the baseline's own detector, and
   * without labels: then the pipeline's, or the detector's own.
   *
   * @throws as `confirm`.
   */
  async scoreThresholdOf(configuration: Configuration): Promise<number | null> {
    const { baseline } = this.#options;
    const { labels } = this.#part('search');
    if (configuration.model === baseline.model || labels === null) return null;
    const still = withoutSkips(configuration);
    return remember(this.#thresholds, pictureKey(still), async () =>
      thresholdBeside(
        await this.#images('search', withoutSkips(baseline)),
        await this.#images('search', still),
        labels.annotations,
      ),
    );
  }

  async #publishedAlike(configuration: Configuration, results: CollectedResults): Promise<CollectedResults> {
    return { ...results, scoreThreshold: (await this.scoreThresholdOf(configuration)) ?? results.scoreThreshold };
  }

  async #onBlocks(
    part: PartName,
    [reference, candidate]: readonly [Configuration, Configuration],
    asked: Pick<VideoGround, 'watched' | 'isTruth' | 'asksPeople'> & { readonly demands: VideoDemands },
    level: number | undefined,
  ): Promise<GateVerdict> {
    const isOnlyEvidence = this.#part(part).labels === null || asked.demands.agreement;
    const ground: Ground = { kind: 'video', counters: this.#options.stream, ...asked, isOnlyEvidence };
    const [every, found] = [await this.#video(part, reference), await this.#video(part, candidate)];
    const results = candidate.decode === reference.decode ? found : heldResults(every, found);
    const verdict = await this.#compare(ground, level, every, results);
    return withRecordedTimes(verdict, every.startsUs, this.#part(part).blocks);
  }

  /**
   * Uses as many sequences as the budget allows, the shortest first, and none if the baseline follows nothing in them.
   *
   * @param mostFrames - for all runs.
   */
  async #cutSequences(mostFrames: number, runs: number): Promise<void> {
    const { note } = this.#options;
    const all = [...this.#sequences].sort((a, b) => a.truth.frames - b.truth.frames);
    let frames = 0;
    this.#sequences = all.filter(({ truth }, i) => {
      frames += truth.frames * runs;
      return i === 0 || frames <= mostFrames;
    });
    if (this.#sequences.length < all.length)
      note(`the budget allows ${this.#sequences.length} of the ${all.length} sequences; a longer one uses all`);
    if (all.length === 0) return;
    const itself = await this.#onSequences(this.#options.baseline, undefined);
    if (itself.verdict === 'passed') return;
    note(`the sequences cannot decide and are left out: ${itself.reason}`);
    this.#sequences = [];
  }

  async #onSequences(candidate: Configuration, level: number | undefined): Promise<GateVerdict> {
    const [before, after] = [await this.#tracked(this.#options.baseline), await this.#tracked(candidate)];
    const ground: Ground = { kind: 'tracks', sequences: this.#sequences, startsUs: before.startsUs };
    return this.#compare(ground, level, before, after);
  }

  #tracked(configuration: Configuration): Promise<CollectedResults> {
    return remember(this.#onVideo, `sequences ${qualityKey(configuration)}`, async () => {
      const pipeline = await this.applied(configuration);
      const { streams } = apply({ ...pipeline, streams: [this.#options.stream] }, configuration);
      const options = this.#collect({ ...pipeline, stages: [] });
      return collectOnSequences(options, streams[0]!, this.#sequences, this.#collectors.onVideo);
    });
  }

  #compare(
    ground: Ground,
    level: number | undefined,
    reference: CollectedResults,
    candidate: CollectedResults,
  ): Promise<GateVerdict> {
    const { maxLoss, seed } = this.#options;
    return judge(reference, candidate, ground, { maxLoss, seed, ...(level === undefined ? {} : { level }) });
  }

  async #baselineAp(part: PartName): Promise<number> {
    return (await this.#itself(part)).labels!.reference;
  }

  /** The baseline compared with itself: what it finds, and whether that could decide anything. */
  async #itself(part: PartName): Promise<{ readonly labels: GateVerdict | null; readonly video: GateVerdict | null }> {
    const own = withoutSkips(this.#options.baseline);
    const { labels, blocks } = this.#part(part);
    const itself = async (ground: Ground, results: Promise<CollectedResults>): Promise<GateVerdict> =>
      this.#compare(ground, undefined, await results, await results);
    return {
      labels:
        labels === null
          ? null
          : await itself({ kind: 'labels', annotations: labels.annotations }, this.#images(part, own)),
      video: blocks.length === 0 ? null : await itself({ kind: 'video' }, this.#video(part, own)),
    };
  }

  /** The chance to pass on the held-out part; evidence that says nothing counts as an open question. */
  #chanceOf(judged: Judgement, level: number, isOwn: boolean): number {
    const { labels, video, skips, ...rest } = judged;
    const { maxLoss: allowed } = this.#options;
    const heldOutBlocks = this.#parts.heldOut.blocks.length / Math.max(1, this.#part('search').blocks.length);
    const pictures = this.#parts.heldOut.labels?.paths.length ?? 0;
    const searched = this.#part('search').labels?.paths.length ?? 1;
    const estimate = (gate: GateVerdict, growth: number): SearchEstimate => ({
      loss: gate.loss,
      standardError: gate.standardError,
      units: gate.evidence,
      heldOutUnits: gate.evidence * growth,
    });
    const isOpen = gatesOf({ labels, video, skips, ...rest }).some(
      (gate) => gate.evidence === 0 || Number.isNaN(gate.loss),
    );
    if (isOpen) return UNKNOWN_CHANCE;
    const estimates: SearchEstimate[] = [];
    const ownOr = (found: SearchEstimate): SearchEstimate => (isOwn ? withPrior(found, OWN_FORMAT_LOSS) : found);
    // Another detector without labels: what agrees is likely to be as good, and what does not is not.
    if (video !== null && judged.differences.includes(UNLABELLED))
      return Math.min(1, Math.max(0, (video.candidate - LEAST_AGREEMENT) / (GOOD_AGREEMENT - LEAST_AGREEMENT)));
    if (labels !== null) estimates.push(ownOr(estimate(labels, pictures / searched)));
    else if (video?.isLossJudged) estimates.push(ownOr(estimate(video, heldOutBlocks)));
    if (skips !== null) estimates.push(estimate(skips, heldOutBlocks));
    if (rest.stages?.verdict === 'inconclusive') return UNKNOWN_CHANCE;
    return passChance(estimates, allowed, level);
  }

  #heldOutText(): string {
    const { labels, blocks } = this.#part('heldOut');
    return labels === null
      ? `${counted(blocks.length, 'block')} of video`
      : `${counted(labels.paths.length, 'picture')}`;
  }

  /** Why the held-out part cannot decide, from what the baseline finds in it. */
  async #shortcomings(): Promise<Shortcomings> {
    const { labels, video } = await this.#itself('heldOut');
    const reasonOf = (gate: GateVerdict | null): string | null =>
      gate === null ? 'it is too short to be split into two parts' : gate.verdict === 'passed' ? null : gate.reason;
    const ofVideo = reasonOf(video);
    const skips = ofVideo === null ? null : `the recording cannot decide: ${ofVideo}`;
    const ofLabels = reasonOf(labels);
    const detections =
      labels === null ? skips : ofLabels === null ? null : `the labelled pictures cannot decide: ${ofLabels}`;
    return { detections, skips };
  }

  #part(part: PartName): EvidencePart {
    return this.#parts[part];
  }

  #images(part: PartName, configuration: Configuration): Promise<CollectedResults> {
    return remember(this.#onImages, `${part} ${pictureKey(configuration)}`, () => this.#runImages(part, configuration));
  }

  #runImages(part: PartName, configuration: Configuration): Promise<CollectedResults> {
    const { paths, folder: label } = this.#part(part).labels!;
    const set = { paths, label, resizeBy: configuration.resizeBy, settings: streamSettings({}, configuration) };
    return this.#collectors.onImages(this.#collect(apply(this.#options.pipeline, configuration)), set);
  }

  /** What an untuned configuration finds in the search part. */
  #untunedResults(
    plain: Configuration,
    run: (configuration: Configuration) => Promise<CollectedResults>,
  ): Promise<CollectedResults> {
    const isKnown = plain === this.#options.baseline && this.#part('search').blocks.length > 0;
    return isKnown ? this.baselineResults : remember(this.#untuned, configurationKey(plain), () => run(plain));
  }

  #video(part: PartName, configuration: Configuration): Promise<CollectedResults> {
    return remember(this.#onVideo, `${part} ${qualityKey(configuration)}`, () => this.#runVideo(part, configuration));
  }

  async #runVideo(part: PartName, configuration: Configuration): Promise<CollectedResults> {
    const pipeline = await this.applied(configuration);
    const judged = apply({ ...pipeline, streams: [this.#options.stream] }, configuration).streams[0]!;
    const clips = this.#part(part).blocks.map(({ path }) => path);
    return this.#collectors.onVideo(this.#collect(pipeline), judged, clips);
  }

  #collect({ model, batch, lanes, stages }: PipelineConfig): CollectOptions {
    const { environment, ffmpeg, signal: stop, note } = this.#options;
    return { model, batch, lanes, stages, environment, ffmpeg, stop, onNotice: note };
  }
}

/** With the times of disputed objects in the recording instead of those in the blocks, one behind the other. */
function withRecordedTimes(
  verdict: GateVerdict,
  startsUs: readonly number[],
  blocks: EvidencePart['blocks'],
): GateVerdict {
  const { video } = verdict;
  if (video?.disputed === undefined) return verdict;
  const recorded = (atUs: number): number => {
    const block = startsUs.findLastIndex((startUs) => startUs <= atUs);
    return Math.round(blocks[block]!.startUs + atUs - startsUs[block]!);
  };
  const at = <T extends { readonly atUs: number }>(one: T): T => ({ ...one, atUs: recorded(one.atUs) });
  const classes = video.disputed.classes.map((one) => ({
    ...one,
    objects: one.objects.map((object) => ({ ...object, boxes: object.boxes.map(at) })),
  }));
  return { ...verdict, video: { ...video, disputed: { classes, frames: video.disputed.frames.map(at) } } };
}

/** All verdicts on a configuration as one. Losses add up, and so do their upper bounds: nobody knows which objects they share. */
function together(
  gates: Gates,
  allowed: number,
): Pick<Judgement, 'verdict' | 'loss' | 'upperBound' | 'allowed' | 'reason'> {
  const all = gatesOf(gates);
  if (all.length === 0)
    return { verdict: 'passed', loss: 0, upperBound: 0, allowed, reason: 'it detects what the baseline detects' };
  const losses = all.filter(({ isLossJudged }) => isLossJudged);
  const reasons = all.map(({ reason }) => reason);
  const verdict = allOf(all.map((gate) => gate.verdict));
  if (losses.length < 2) {
    const only = losses[0];
    return { verdict, loss: only?.loss ?? 0, upperBound: only?.interval[1] ?? 0, allowed, reason: reasons.join('; ') };
  }
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + Math.max(0, value), 0);
  const [loss, upperBound] = [sum(losses.map((gate) => gate.loss)), sum(losses.map((gate) => gate.interval[1]))];
  const ofSum = loss > allowed ? 'refused' : upperBound > allowed ? 'inconclusive' : 'passed';
  reasons.push(`together they lose ${figure(loss)}, at most ${figure(upperBound)}`);
  return { verdict: allOf([verdict, ofSum]), loss, upperBound, allowed, reason: reasons.join('; ') };
}

/** What people have to settle: what the clip shows and labels do not judge, what labels show of too few objects, and what is too little to decide. */
function differencesOf(
  gates: Gates,
  { verdict, reason }: Pick<Judgement, 'verdict' | 'reason'>,
): Pick<Judgement, 'differences' | 'settled'> {
  const { labels, ...others } = gates;
  const clip = gatesOf({ ...others, labels: null }).flatMap((gate) => gate.differences);
  const { open, settled } = settledByLabels(
    clip,
    labels?.published?.byClass ?? null,
    others.video?.video?.disputed?.classes ?? [],
  );
  const rare = (labels?.differences ?? []).filter(({ subject }) => !open.some((one) => one.subject === subject));
  const undecided = gatesOf(gates).filter((gate) => gate.verdict === 'inconclusive');
  const texts = verdict !== 'inconclusive' ? [] : undecided.length === 0 ? [reason] : undecided.map(undecidedText);
  return {
    differences: [...open, ...rare, ...texts.map((text): Difference => ({ kind: 'undecided', subject: '', text }))],
    settled,
  };
}

/** Says what was too little to decide. */
function undecidedText({ measure, reference, candidate, interval, allowed, ...rest }: GateVerdict): string {
  const { picturesThatWouldDecide: wanted, reason, video } = rest;
  if (Number.isNaN(rest.worstLoss) || !rest.isLossJudged) return reason;
  const noun = video === null ? 'labelled pictures' : 'frames';
  const more = wanted === null ? '' : `; about ${wanted - rest.pictures} more ${noun} would settle it`;
  return `${measure} ${figure(candidate)} against ${figure(reference)}: it may lose ${figure(interval[1])} where ${figure(allowed)} is allowed${more}`;
}

function gatesOf({ labels, video, skips, identities, stages }: Readonly<Gates>): GateVerdict[] {
  return [labels, video, skips, identities ?? null, stages ?? null].filter((gate) => gate !== null);
}

function needsLabels(allowed: number, { model }: Configuration, baseline: Configuration): Judgement {
  const reason = `${model} is another detector than ${baseline.model}: nobody knows which of them is right without labels; give --annotations and --images, --review to answer for what it finds, or --accept-counts`;
  return {
    verdict: 'refused',
    loss: 0,
    upperBound: null,
    allowed,
    reason,
    ap: null,
    chance: 0,
    labels: null,
    video: null,
    skips: null,
    differences: [],
    settled: [],
  };
}

/** A failed run is not remembered. */
function remember<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  let made = known.get(key);
  if (made === undefined) {
    made = make();
    known.set(key, made);
    made.catch(() => known.delete(key));
  }
  return made;
}
