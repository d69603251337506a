import type { Detection } from '../../../base/core/detection.ts';
import type { PublishedFrame, SceneShift, ZoneCount } from '../../../base/core/frame.ts';
import { TRACK_DEFAULTS } from '../../../base/core/track-defaults.ts';
import { ruleNeedsTracks } from '../../../settings/config/event-rules.ts';
import { changeGateOf, detectEveryOf } from '../../../settings/config/skip.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import { type LineCount, MAX_POINTS, type StreamReport } from '../../../wire/protocol/report.ts';
import { LineCounter } from '../../track/lines.ts';
import { ObjectTracker, type PredictionQuality } from '../../track/object-tracker.ts';
import { type ResolvedTrackOptions, resolveTrackOptions } from '../../track/track-options.ts';
import { TrackRate, trackRateProblem } from '../../track/track-rate.ts';
import { ZoneCounter } from '../../track/zones.ts';
import { uncertainFrom } from './skip-plan.ts';
import type { StreamInput } from './stream-port.ts';

export interface AnalysedFrame {
  readonly width: number;
  readonly height: number;
  readonly ptsUs: number;
  /** Absent: the camera does not move. */
  readonly shift?: SceneShift;
}

/** What they add to a frame. Without lines there are no `crossings`, without zones no `zones`. */
export type AnalysedResult = Pick<PublishedFrame, 'detections' | 'crossings' | 'zones'>;

/** The settings that analytics depend on. */
type Analysed = Pick<StreamConfig, 'track' | 'zones' | 'lines'> &
  Partial<Pick<StreamConfig, 'labels' | 'skip' | 'maxFps' | 'events' | 'stages'>>;

/** An unseen object keeps its identity for at least this many frames, however slow the stream is. */
const LOST_FRAMES = 2.5;

/** Processes the boxes of one stream: track ids, then zones and lines. */
export class StreamAnalytics {
  /** Boxes below this are not reported. */
  readonly reportScore: number;
  /** Only boxes with these labels are processed; null: all. */
  readonly #labels: ReadonlySet<string> | null;
  /** False while boxes are reported as they were found. */
  readonly #isTracking: boolean;
  readonly #options: ResolvedTrackOptions;
  /**
   * Shared with the analytics before and after, so that ids are used once. While tracking is off it predicts frames that entered
   * before. Null if the stream was never tracked.
   */
  readonly #tracker: ObjectTracker | null;
  readonly #zones: ZoneCounter | null;
  readonly #lines: LineCounter | null;
  /** Null if nobody asks for tracks. */
  readonly #rate: TrackRate | null;

  /**
   * @param before - the analytics of the same stream until now, which stay as they are. Tracks go on, and so do the counts of
   *   lines that keep their id.
   * @throws RangeError for settings that the schema refuses.
   */
  constructor(config: Analysed, reportScore: number, before: StreamAnalytics | null = null) {
    this.reportScore = reportScore;
    this.#labels = config.labels === undefined ? null : new Set(config.labels);
    this.#isTracking = isTracked(config);
    this.#options = trackOptions(config, reportScore);
    const [known, rate] = before === null ? [null, null] : [before.#tracker, before.#rate];
    this.#tracker = known ?? (this.#isTracking ? new ObjectTracker(this.#options) : null);
    const { zones, lines } = config;
    this.#rate = needsTracks(config) ? (rate ?? new TrackRate()) : null;
    this.#zones = zones.length === 0 ? null : new ZoneCounter(zones.map(plain), before === null ? null : before.#zones);
    this.#lines = lines.length === 0 ? null : new LineCounter(lines.map(plain), before === null ? null : before.#lines);
  }

  /** Returns the boxes with the labels of the stream. */
  wanted(raw: readonly Detection[]): readonly Detection[] {
    const labels = this.#labels;
    return labels === null ? raw : raw.filter(({ label }) => labels.has(label));
  }

  /** @param raw - boxes that are `wanted`. @returns the detections to report, with track ids, and what lines and zones count in this frame. */
  update(frame: AnalysedFrame, raw: readonly Detection[]): AnalysedResult {
    if (!this.#isTracking || this.#tracker === null)
      return { detections: raw.filter(({ score }) => score >= this.reportScore) };
    this.#tracker.options = this.#options;
    return this.#count(frame, this.#tracker.update(raw, frame.ptsUs, frame.shift));
  }

  /** As `update`, with predicted detections, for a frame that was not inferred. Needs a tracker. */
  predict(frame: AnalysedFrame): AnalysedResult {
    if (this.#tracker === null) throw new RangeError('a stream without a tracker cannot predict boxes');
    this.#tracker.options = this.#options;
    return this.#count(frame, this.#tracker.predict(frame.ptsUs, frame, frame.shift));
  }

  #count(frame: AnalysedFrame, detections: readonly Detection[]): AnalysedResult {
    const counted = { ...frame, detections };
    this.#rate?.onFrame(frame.ptsUs);
    this.#zones?.update(counted);
    return {
      detections,
      ...(this.#lines === null ? {} : { crossings: this.#lines.update(counted) }),
      ...(this.#zones === null ? {} : { zones: this.#zones.report() }),
    };
  }

  /** How well the tracker had predicted the newest inferred frame; null without a tracker. */
  get quality(): PredictionQuality | null {
    return this.#isTracking ? this.#tracker!.quality : null;
  }

  /** Why tracks and lines are not right, and what to do, see `trackRateProblem`; null if nothing is known. */
  get trackProblem(): string | null {
    const fps = this.#rate?.fps ?? null;
    return fps === null ? null : trackRateProblem(fps);
  }

  get zones(): readonly ZoneCount[] {
    return this.#zones?.report() ?? [];
  }

  get lines(): readonly LineCount[] {
    return this.#lines?.report() ?? [];
  }
}

/** Returns whether a user wants the identity of objects, which a zone does not need. */
export function needsTracks({
  track,
  lines,
  events = [],
}: Pick<StreamConfig, 'track' | 'lines'> & Partial<Pick<StreamConfig, 'events'>>): boolean {
  return track !== false || lines.length > 0 || events.some(ruleNeedsTracks);
}

/** Ids of the lines and rules that follow objects. */
export function rulesWithTracks({
  lines,
  events = [],
}: Pick<StreamConfig, 'lines'> & Partial<Pick<StreamConfig, 'events'>>): string[] {
  return [...lines, ...events.filter(ruleNeedsTracks)].map(({ id }) => id);
}

/** Lines, rules and second stages need track ids and predicted boxes need tracks, so they enable the tracker. */
export function isTracked(config: Analysed): boolean {
  const { zones, skip, stages = [] } = config;
  return (
    needsTracks(config) || zones.length > 0 || stages.length > 0 || (skip !== undefined && detectEveryOf(skip) !== null)
  );
}

/** Returns the media time after which an unseen track has ended. */
export function lostMsOf({
  track,
  maxFps,
}: Pick<StreamConfig, 'track'> & Partial<Pick<StreamConfig, 'maxFps'>>): number {
  const frameMs = maxFps === undefined ? 0 : 1000 / maxFps;
  const set = typeof track === 'object' ? track.lostMs : undefined;
  return set ?? Math.max(TRACK_DEFAULTS.lostMs, LOST_FRAMES * frameMs);
}

function trackOptions({ track, maxFps }: Analysed, reportScore: number): ResolvedTrackOptions {
  const lostMs = lostMsOf({ track, maxFps });
  return resolveTrackOptions({ lostMs, ...(typeof track === 'object' ? plain(track) : {}), reportScore });
}

/** Returns the score from which a stream reports boxes. @param ofModel - its model reports none below. */
export function reportScoreOf(
  { scoreThreshold = 0 }: Pick<StreamConfig, 'scoreThreshold'>,
  { bulk }: Pick<StreamInput, 'bulk'>,
  ofModel: number,
): number {
  return bulk?.scoreThreshold ?? Math.max(scoreThreshold, ofModel);
}

/** Returns the lowest score of boxes that a stream needs: a tracker and a change gate use weak ones that are not reported. */
export function neededScore(config: Analysed, reportScore: number): number {
  const hasGate = config.skip !== undefined && changeGateOf(config.skip) !== null;
  const needed = hasGate ? uncertainFrom(reportScore) : reportScore;
  if (!isTracked(config)) return needed;
  return Math.min(needed, typeof config.track === 'object' ? config.track.lowScore : TRACK_DEFAULTS.lowScore);
}

/** Removes keys with value undefined, which `exactOptionalPropertyTypes` does not accept for optional keys. */
function plain<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

/** Adds to each zone and line where it is. */
export function placedCounts(
  { zones, lines }: Pick<StreamReport, 'zones' | 'lines'>,
  config: Pick<StreamConfig, 'zones' | 'lines'>,
): Pick<StreamReport, 'zones' | 'lines'> {
  const points = config.zones.reduce((sum, { polygon }) => sum + polygon.length, 0);
  return {
    zones: points > MAX_POINTS ? zones : zones.map((zone, i) => ({ ...zone, polygon: config.zones[i]!.polygon })),
    lines: lines.map((line, i) => ({ ...line, from: config.lines[i]!.from, to: config.lines[i]!.to })),
  };
}
