import { NOT_ASKED } from '../../evaluate/agreement.ts';
import { measureDrift } from '../../evaluate/box-drift.ts';
import { type FrameMatches, matchFrames } from '../../evaluate/frame-matches.ts';
import type { BootstrapOptions } from '../../evaluate/loss-bootstrap.ts';
import type { RecordedResults } from '../../evaluate/recorded-results.ts';
import { compareTracks } from '../../evaluate/track-agreement.ts';
import { compareOnVideo } from '../../evaluate/video-agreement.ts';
import { type CountComparison, type Counters, compareCounts } from './compare-counts.ts';
import { CLASSES_SHOWN, type GateVerdict, type VideoFindings } from './gate-verdict.ts';
import { figure, judgeLoss, lostClasses, withObjections } from './loss-verdict.ts';

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

const DEFAULTS: VideoTolerances = {
  trackTolerance: 0.1,
  countTolerance: 0.1,
  driftTolerance: 0.05,
  lateMs: 500,
  blockMs: 1000,
};
/** With fewer blocks a candidate cannot pass. */
const FEWEST_BLOCKS = 10;
/** The reference may be wrong itself for a moment: a class that is never reported is missed if it occurs in as many blocks. */
const FEWEST_BLOCKS_OF_A_CLASS = 5;
/** Share of the reference's frames for which a candidate may publish nothing. */
const MISSING_TOLERANCE = 0.02;
/** With as many tracks a single one may be lost whatever the tolerance. */
const TRACKS_FOR_ONE = 5;

/** Judges a candidate by its agreement with the reference on one clip; see `judge`. */
export async function judgeVideo(
  reference: RecordedResults,
  candidate: RecordedResults,
  counters: Counters = { lines: [], zones: [] },
  options: BootstrapOptions & { readonly maxLoss: number } & Partial<VideoTolerances>,
): Promise<GateVerdict> {
  const { maxLoss: allowed, seed, resamples } = options;
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const tolerances: VideoTolerances = { ...DEFAULTS, ...given };
  const frames = matchFrames(reference, candidate);
  const { blockMs, lateMs, countTolerance } = tolerances;
  const { overall, bySize, byClass, blocks } = await compareOnVideo(frames, { seed, resamples, blockMs });
  const video: VideoFindings = {
    framesOfReference: reference.frames.length,
    framesShared: frames.length,
    tracks: compareTracks(frames, lateMs),
    drift: measureDrift(frames),
    counts: compareCounts(reference, candidate, counters, countTolerance),
  };
  const facts = {
    ...{ measure: 'F1 against the reference' as const, ...overall, allowed, pictures: frames.length, bySize },
    ...{ byClass: byClass.slice(0, CLASSES_SHOWN), video, picturesThatWouldDecide: null },
  };
  const span = `95 % interval ${figure(overall.interval[0])} to ${figure(overall.interval[1])}`;
  const text = `F1 ${figure(overall.candidate)} against the reference at IoU 0.5, a loss of ${figure(overall.loss)} (${span}) where ${figure(allowed)} is allowed`;
  const objections = [...objectionsTo(video, tolerances), ...lostClasses(byClass, allowed, FEWEST_BLOCKS_OF_A_CLASS)];
  if (objections.length > 0) return { ...facts, verdict: 'refused', reason: withObjections(text, objections) };
  if (!frames.some(hasObject))
    return {
      ...{ ...facts, verdict: 'inconclusive' },
      reason: 'the reference finds no object in the video, so nothing can be judged',
    };
  const { verdict, unitsThatWouldDecide } = judgeLoss(overall, allowed, { units: blocks, fewestUnits: FEWEST_BLOCKS });
  if (verdict !== 'inconclusive') return { ...facts, verdict, reason: text };
  const framesThatWouldDecide =
    unitsThatWouldDecide === null ? null : Math.ceil((frames.length * unitsThatWouldDecide) / blocks);
  const rest =
    framesThatWouldDecide === null
      ? 'the estimate lies at the limit, so no number of frames would decide'
      : `${frames.length} frames do not decide, about ${framesThatWouldDecide} would`;
  return { ...facts, verdict, picturesThatWouldDecide: framesThatWouldDecide, reason: `${text}; ${rest}` };
}

function hasObject({ found }: FrameMatches): boolean {
  return found.some((match) => match !== NOT_ASKED);
}

/** What refuses a candidate however well its frames agree. */
function objectionsTo(video: VideoFindings, { trackTolerance, driftTolerance, lateMs }: VideoTolerances): string[] {
  const { framesOfReference, framesShared, counts, drift } = video;
  const { tracks, kept, late } = video.tracks;
  const objections: string[] = [];
  if (framesShared < framesOfReference * (1 - MISSING_TOLERANCE))
    objections.push(`only ${framesShared} of ${framesOfReference} frames were published`);
  const tolerated = Math.max(tracks >= TRACKS_FOR_ONE ? 1 : 0, trackTolerance * tracks);
  if (tracks - kept > tolerated) objections.push(`only ${kept} of ${tracks} tracks were kept`);
  if (late > tolerated) objections.push(`${late} of ${tracks} objects appear more than ${lateMs} ms late or never`);
  for (const [what, share] of Object.entries(drift))
    if (Math.abs(share) > driftTolerance) objections.push(`boxes differ in ${what} by ${figure(share)} of their size`);
  return [...objections, ...counts.filter(({ difference, allowed }) => difference > allowed).map(countText)];
}

function countText({ kind, id, reference, candidate, difference, allowed }: CountComparison): string {
  const round = (values: readonly number[]): string => values.map((value) => Number(value.toFixed(2))).join(' and ');
  const unit = kind === 'line' ? 'crossings' : 'objects inside';
  return `${kind} ${id} counts ${round(candidate)} ${unit} instead of ${round(reference)} (differing by ${round([difference])}, tolerated ${round([allowed])})`;
}
