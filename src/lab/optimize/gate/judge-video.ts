import { type AttributeAgreement, compareAttributes } from '../../../network/evaluate/attribute-agreement.ts';
import { measureDrift } from '../../../network/evaluate/box-drift.ts';
import { disputedObjects } from '../../../network/evaluate/disputed-objects.ts';
import { type FrameMatches, matchFrames, NOT_ASKED } from '../../../network/evaluate/frame-matches.ts';
import type { BootstrapOptions, LossEstimate } from '../../../network/evaluate/loss-bootstrap.ts';
import type { RecordedResults } from '../../../network/evaluate/recorded-results.ts';
import { compareTracks } from '../../../network/evaluate/track-agreement.ts';
import { compareOnVideo } from '../../../network/evaluate/video-agreement.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import { type CountComparison, type Counters, compareCounts } from './compare-counts.ts';
import { compareEvents } from './compare-events.ts';
import type { Difference } from './difference.ts';
import { AGREEMENT, CLASSES_SHOWN, type GateVerdict, type VideoFindings } from './gate-verdict.ts';
import {
  type ClassFound,
  classAllowance,
  classWarnings,
  conclude,
  fallenClasses,
  fallText,
  figure,
  intervalText,
  judgeLosses,
  lostClasses,
  lostText,
  percent,
  type Verdict,
} from './loss-verdict.ts';

/** What a video may show beside the loss. */
export interface VideoTolerances {
  /** Share of the tracks that may be lost, and that may appear late; default 0.1. */
  readonly trackTolerance: number;
  /** Share by which the counts of lines and zones may differ; default 0.1. */
  readonly countTolerance: number;
  /** How far boxes may be shifted or resized on average, in sizes of the box; default 0.05. */
  readonly driftTolerance: number;
  /** Media time after which an object that appears is late; default 500. */
  readonly lateMs: number;
  /** Media time that the bootstrap draws as one piece; default 1,000. */
  readonly blockMs: number;
}

/** A clip, and what a candidate must keep of what the reference finds in it. */
export interface VideoGround {
  /** Lines and zones of the stream; default none. */
  readonly counters?: Counters;
  /** The stream whose rules raise events, and whose objects have attributes; default: none are compared. */
  readonly watched?: StreamConfig;
  /**
   * Whether the video is the only judge of the candidate; default true. If labels judge it too, a short clip, or one without objects,
   * does not make the verdict inconclusive, unless objects are counted in it.
   */
  readonly isOnlyEvidence?: boolean;
  /** Default: everything. Missing frames and lost classes are always judged. */
  readonly demands?: VideoDemands;
  /**
   * Whether what the reference says is the truth, as if the candidate is the same detector that skips frames: then what it loses refuses it.
   * Default: true. Otherwise lost classes, tracks and counts are differences to look at.
   */
  readonly isTruth?: boolean;
  /**
   * Whether people settle it alone: without labels, of another detector each class may have lost what it does not find again. Default: false.
   */
  readonly asksPeople?: boolean;
}

/** What is judged on a video. The rest is compared and shown. */
export interface VideoDemands {
  /** The same objects in each frame, with the same boxes. Says nothing between different detectors: nobody knows which is right. */
  readonly agreement: boolean;
  /** Tracks that are kept. */
  readonly tracks: boolean;
  /** Objects that appear in time. Default: as `tracks`. */
  readonly inTime?: boolean;
  /** Counts of lines and zones. */
  readonly counts: boolean;
}

const EVERYTHING: VideoDemands = { agreement: true, tracks: true, counts: true };

const DEFAULTS: VideoTolerances = {
  trackTolerance: 0.1,
  countTolerance: 0.1,
  driftTolerance: 0.05,
  lateMs: 500,
  blockMs: 1000,
};
/** With fewer blocks a candidate cannot pass. */
const FEWEST_BLOCKS = 10;
/** A class with less cannot be judged alone: the reference may be wrong for a moment, with scores just above its threshold. */
const FEWEST_OF_A_CLASS = { objects: 10, units: 5 };
/** Of another detector it is worth a look, and no more, if a class falls to this share in a clip of which nobody knows the truth. */
const SHARE_TO_LOOK_AT = 0.25;
/** Scores may move by so many times `maxLoss`, as a share of the boxes that are reported (ADR 60). */
const PUBLISHED_FACTOR = 2.5;
/** Share of the reference's frames for which a candidate may publish nothing. */
const MISSING_TOLERANCE = 0.02;
/** From so many tracks on, one may be lost whatever the tolerance. */
const TRACKS_FOR_ONE = 5;

/** Judges a candidate by its agreement with the reference on one clip; see `judge`. */
export async function judgeVideo(
  reference: RecordedResults,
  candidate: RecordedResults,
  {
    counters = { lines: [], zones: [] },
    watched,
    demands = EVERYTHING,
    isOnlyEvidence = true,
    isTruth = true,
    asksPeople = false,
  }: VideoGround,
  options: BootstrapOptions & { readonly maxLoss: number; readonly level: number } & Partial<VideoTolerances>,
): Promise<GateVerdict> {
  const { maxLoss: allowed, seed, resamples, level } = options;
  const tolerances: VideoTolerances = { ...DEFAULTS, ...options };
  const frames = matchFrames(reference, candidate);
  const { blockMs, lateMs, countTolerance } = tolerances;
  const bootstrap = { seed, resamples, level, blockMs };
  const { overall, published, bySize, byClass, blocks } = await compareOnVideo(frames, bootstrap);
  const found: VideoFindings = {
    framesOfReference: reference.frames.length,
    framesShared: frames.length,
    tracks: compareTracks(frames, lateMs),
    drift: measureDrift(frames),
    published,
    counts: compareCounts(reference, candidate, counters, countTolerance),
    ...(watched === undefined ? {} : watchedFindings(frames, reference, candidate, watched)),
  };
  const shifts = [published, mirrored(published)].map((estimate) => ({ estimate, factor: PUBLISHED_FACTOR }));
  const evidence = { units: blocks, fewestUnits: FEWEST_BLOCKS, level };
  const losses = [{ estimate: overall, factor: 1 }, ...shifts];
  const { worstLoss, ...judged } = judgeLosses(losses, allowed, evidence);
  const figures = byClass.map((loss) => ({ ...loss, measure: 'F1' as const }));
  const f1 = `F1 ${figure(overall.candidate)} against the reference at IoU 0.5`;
  const text = demands.agreement
    ? `${f1}, a loss of ${figure(overall.loss)} (${intervalText(overall.interval, level)}) where ${figure(allowed)} is allowed; ${publishedText(published, allowed, level)}`
    : `${[...(found.attributes ?? []).map(attributeText), `${f1}, which is not judged`].join('; ')}`;
  const differing = differencesIn(found, tolerances, demands);
  const occurring = demands.agreement ? byClass : byClass.map(anywhere);
  const lost = lostClasses(occurring, FEWEST_OF_A_CLASS, isTruth ? undefined : SHARE_TO_LOOK_AT);
  const fallen = demands.agreement ? fallenClasses(figures, allowed) : [];
  const objections = [
    ...objectionsTo(found, tolerances, demands),
    ...(demands.agreement ? shiftsOf(published, allowed) : []),
    ...(isTruth ? [...differing.map((one) => one.text), ...lost.map(lostText), ...fallen.map(fallText)] : []),
  ];
  const ofClass = (subject: string, text: string): Difference => ({ kind: 'class', subject, text });
  const differences = isTruth
    ? []
    : [
        ...differing,
        ...lost.map((one) => ofClass(one.label, clipText(one))),
        ...fallen.map((one) => ofClass(one.label, `${fallText(one)} in the clip`)),
      ];
  const named = new Set(differences.map(({ subject }) => subject));
  if (asksPeople)
    differences.push(...openClasses(frames, byClass, allowed).filter(({ subject }) => !named.has(subject)));
  const differingClasses = differences.filter(({ kind }) => kind === 'class').map(({ subject }) => subject);
  const disputed = differingClasses.length === 0 ? {} : { disputed: disputedObjects(frames, differingClasses) };
  const video: VideoFindings = { ...found, ...disputed };
  const facts = {
    measure: AGREEMENT as typeof AGREEMENT,
    ...overall,
    level,
    allowed,
    worstLoss,
    bySize,
    pictures: frames.length,
    byClass: byClass.slice(0, CLASSES_SHOWN),
    byTag: [],
    published: null,
    warnings: demands.agreement ? classWarnings(figures, allowed, level) : [],
    video,
    isLossJudged: demands.agreement,
    evidence: blocks,
  };
  const piecesOfUnit = frames.length / blocks;
  const said = conclude({ text, objections, judged, pieces: frames.length, noun: 'frames', piecesOfUnit });
  const decided = (verdict: Verdict, reason: string) => ({
    ...facts,
    ...said,
    differences,
    verdict,
    reason,
    picturesThatWouldDecide: null,
  });
  if (objections.length > 0) return { ...facts, ...said, differences };
  if (isOnlyEvidence && !frames.some(hasObject))
    return decided('inconclusive', 'the reference finds no object in the video, so nothing can be judged');
  if (demands.agreement) return { ...facts, ...said, differences };
  const described = (video.attributes ?? []).reduce((sum, { objects }) => sum + objects, 0);
  if (watched !== undefined && described < TRACKS_FOR_ONE)
    return decided('inconclusive', `${text}; ${described} objects with attributes are too few to decide`);
  const isCounted = counters.lines.length + counters.zones.length > 0;
  if (blocks >= FEWEST_BLOCKS || !(isOnlyEvidence || isCounted)) return decided('passed', text);
  const seconds = (FEWEST_BLOCKS * blockMs) / 1000;
  return decided('inconclusive', `${text}; less than ${seconds} s of video is too short to decide`);
}

/** Classes of which one of two detectors reports so much alone that more may be lost than a class may lose, and which the other checks do not name. */
function openClasses(
  frames: readonly FrameMatches[],
  byClass: readonly { readonly label: string; readonly foundByReference: number }[],
  allowed: number,
): Difference[] {
  const labels = byClass
    .filter(({ foundByReference }) => foundByReference >= FEWEST_OF_A_CLASS.objects)
    .map(({ label }) => label);
  return disputedObjects(frames, labels).classes.flatMap(({ label, both, objects }): Difference[] => {
    const [today, fresh] = (['today', 'new'] as const).map((by) =>
      objects.filter((object) => object.by === by).reduce((sum, { boxes }) => sum + boxes.length, 0),
    ) as [number, number];
    const most = classAllowance(allowed);
    if (today <= most * (both + today) && fresh <= most * (both + fresh)) return [];
    const text = `${label}: both report ${both} boxes in the clip, today's detector ${today} others, this one ${fresh} others`;
    return [{ kind: 'class', subject: label, text }];
  });
}

function watchedFindings(
  frames: readonly FrameMatches[],
  reference: RecordedResults,
  candidate: RecordedResults,
  watched: StreamConfig,
): Pick<VideoFindings, 'attributes' | 'events'> {
  const events = compareEvents(reference, candidate, watched);
  return { attributes: compareAttributes(frames), ...(events === null ? {} : { events }) };
}

function attributeText({ attribute, objects, agreeing, interval: [low, high] }: AttributeAgreement): string {
  return `${attribute} agrees for ${agreeing} of ${objects} objects (95 % interval ${percent(low)} to ${percent(high)})`;
}

/** Says that a class vanishes from a clip of which nobody knows the truth. */
function clipText({ label, foundByReference, foundByCandidate }: ClassFound): string {
  const now = foundByCandidate === 0 ? 'none' : String(foundByCandidate);
  return `${label}: today's detector reports ${foundByReference} in the clip, this one ${now}`;
}

/** Of two different detectors it is not known whose boxes are right, so a class counts as found if it is reported at all. */
function anywhere<T extends { readonly reportedByCandidate: number }>(found: T): T & { foundByCandidate: number } {
  return { ...found, foundByCandidate: found.reportedByCandidate };
}

/** The opposite of a loss: how far the candidate is above the reference. */
function mirrored({ loss, interval: [low, high], ...rest }: LossEstimate): LossEstimate {
  return { ...rest, loss: -loss, interval: [-high, -low] };
}

function publishedText({ candidate, interval }: LossEstimate, allowed: number, level: number): string {
  return `of objects that both see it reports ${figure(candidate)} boxes for each one of the reference (loss ${intervalText(interval, level)}), where ${percent(PUBLISHED_FACTOR * allowed)} more or less is allowed`;
}

/** Says that all scores move, where chance does not explain it. */
function shiftsOf(published: LossEstimate, allowed: number): string[] {
  const isBeyond = [published, mirrored(published)].some(({ interval }) => interval[0] > PUBLISHED_FACTOR * allowed);
  return isBeyond ? [`its scores ${published.loss > 0 ? 'fall below' : 'rise above'} the threshold`] : [];
}

function hasObject({ found }: FrameMatches): boolean {
  return found.some((match) => match !== NOT_ASKED);
}

/** Returns the reasons that refuse a candidate however well its frames agree, whichever side is right. */
function objectionsTo(
  { framesOfReference, framesShared, drift }: VideoFindings,
  { driftTolerance }: VideoTolerances,
  demands: VideoDemands,
): string[] {
  const objections: string[] = [];
  if (framesShared < framesOfReference * (1 - MISSING_TOLERANCE))
    objections.push(`only ${framesShared} of ${framesOfReference} frames were published`);
  if (demands.agreement)
    for (const [what, share] of Object.entries(drift))
      if (Math.abs(share) > driftTolerance)
        objections.push(`boxes differ in ${what} by ${figure(share)} of their size`);
  return objections;
}

/** What differs by more than is tolerated in tracks, counts, attributes and events. */
function differencesIn(
  video: VideoFindings,
  { trackTolerance, lateMs }: VideoTolerances,
  demands: VideoDemands,
): Difference[] {
  const differences: Difference[] = [];
  const add = (kind: Difference['kind'], subject: string, text: string): void => {
    differences.push({ kind, subject, text });
  };
  const { tracks, kept, late } = video.tracks;
  const tolerated = Math.max(tracks >= TRACKS_FOR_ONE ? 1 : 0, trackTolerance * tracks);
  if (demands.tracks && tracks - kept > tolerated) add('tracks', '', `only ${kept} of ${tracks} tracks were kept`);
  if ((demands.inTime ?? demands.tracks) && late > tolerated)
    add('late', '', `${late} of ${tracks} objects appear more than ${lateMs} ms late or never`);
  const beyond = (changed: number, all: number): boolean =>
    changed > Math.max(all >= TRACKS_FOR_ONE ? 1 : 0, trackTolerance * all);
  for (const found of video.attributes ?? [])
    if (beyond(found.objects - found.agreeing, found.objects)) add('attribute', found.attribute, attributeText(found));
  const { events = { kept: 0, lost: 0, gained: 0 } } = video;
  const wanted = events.kept + events.lost;
  if (beyond(events.lost, wanted) || beyond(events.gained, wanted))
    add('events', '', `of ${wanted} events it loses ${events.lost}, and it raises ${events.gained} others`);
  if (demands.counts)
    for (const count of video.counts) if (count.difference > count.allowed) add(count.kind, count.id, countText(count));
  return differences;
}

function countText({ kind, id, reference, candidate, difference, allowed }: CountComparison): string {
  const round = (values: readonly number[]): string => values.map((value) => Number(value.toFixed(2))).join(' and ');
  const unit = kind === 'line' ? 'crossings' : 'objects inside';
  return `${kind} ${id} counts ${round(candidate)} ${unit} instead of ${round(reference)} (differing by ${round([difference])}, tolerated ${round([allowed])})`;
}
