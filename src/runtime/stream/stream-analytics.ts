import { isDeepStrictEqual } from 'node:util';
import { changeGateOf, detectEveryOf } from '../../config/skip.ts';
import type { StreamConfig } from '../../config/stream.ts';
import type { Detection } from '../../core/detection.ts';
import type { PublishedFrame, ZoneCount } from '../../core/frame.ts';
import { TRACK_DEFAULTS } from '../../core/track-defaults.ts';
import type { LineCount } from '../../protocol/report.ts';
import { ByteTracker, type PredictionQuality } from '../../track/byte-tracker.ts';
import { LineCounter } from '../../track/lines.ts';
import type { TrackOptions } from '../../track/track-options.ts';
import { ZoneCounter } from '../../track/zones.ts';
import { DOUBT_SCORE } from './skip-plan.ts';

export interface AnalysedFrame {
  readonly width: number;
  readonly height: number;
  readonly ptsUs: number;
}

/** What they add to a frame. Without lines there are no `crossings`, without zones no `zones`. */
export type AnalysedResult = Pick<PublishedFrame, 'detections' | 'crossings' | 'zones'>;

/** The settings that analytics depend on. */
type Analysed = Pick<StreamConfig, 'track' | 'zones' | 'lines'> & Partial<Pick<StreamConfig, 'skip' | 'maxFps'>>;

/** An unseen object keeps its identity for at least this many frames, however slow the stream is. */
const LOST_FRAMES = 2.5;

/** Processes the boxes of one stream: track ids, then zones and lines. */
export class StreamAnalytics {
  readonly #config: Analysed;
  /** Null while boxes are reported as they were found. */
  readonly #tracker: ByteTracker | null;
  /** Predicts frames that entered before tracking was turned off, and continues if it is turned on again. */
  readonly #lastTracker: ByteTracker | null;
  readonly #zones: ZoneCounter | null;
  readonly #lines: LineCounter | null;
  #reportScore: number;

  /**
   * @param before - the analytics of the same stream until now: tracks and counts whose settings stay the same are kept.
   * @throws RangeError for settings that the schema refuses.
   */
  constructor(config: Analysed, reportScore: number, before: StreamAnalytics | null = null) {
    const isSame = (of: (settings: Analysed) => unknown): boolean =>
      before !== null && isDeepStrictEqual(of(before.#config), of(config));
    this.#config = config;
    this.#reportScore = reportScore;
    const keepsTracks = isSame((each) => trackOptions(each, 0));
    const last = keepsTracks ? before!.#lastTracker : null;
    this.#tracker = isTracking(config) ? (last ?? new ByteTracker(trackOptions(config, reportScore))) : null;
    this.#lastTracker = this.#tracker ?? (before === null ? null : before.#lastTracker);
    if (this.#tracker !== null) this.#tracker.reportScore = reportScore;
    this.#zones = isSame(({ zones }) => zones) ? before!.#zones : zonesOf(config);
    this.#lines = keepsTracks && isSame(({ lines }) => lines) ? before!.#lines : linesOf(config);
  }

  /** Boxes below this are not reported. A change keeps tracks and counts. */
  get reportScore(): number {
    return this.#reportScore;
  }

  set reportScore(score: number) {
    this.#reportScore = score;
    if (this.#tracker !== null) this.#tracker.reportScore = score;
  }

  /** @returns the detections to report, with track ids, and what lines and zones count in this frame. */
  update(frame: AnalysedFrame, raw: readonly Detection[]): AnalysedResult {
    if (this.#tracker === null) return { detections: raw.filter(({ score }) => score >= this.#reportScore) };
    return this.#count(frame, this.#tracker.update(raw, frame.ptsUs));
  }

  /** As `update`, with predicted detections, for a frame that was not inferred. Needs a tracker. */
  predict(frame: AnalysedFrame): AnalysedResult {
    // The tracker may have been turned off since the frame entered.
    if (this.#lastTracker === null) throw new RangeError('a stream without a tracker cannot predict boxes');
    return this.#count(frame, this.#lastTracker.predict(frame.ptsUs, frame));
  }

  #count(frame: AnalysedFrame, detections: readonly Detection[]): AnalysedResult {
    const counted = { ...frame, detections };
    this.#zones?.update(counted);
    return {
      detections,
      ...(this.#lines === null ? {} : { crossings: this.#lines.update(counted) }),
      ...(this.#zones === null ? {} : { zones: this.#zones.report() }),
    };
  }

  /** How well the tracker had predicted the newest inferred frame; null without a tracker. */
  get quality(): PredictionQuality | null {
    return this.#tracker?.quality ?? null;
  }

  get zones(): readonly ZoneCount[] {
    return this.#zones?.report() ?? [];
  }

  get lines(): readonly LineCount[] {
    return this.#lines?.report() ?? [];
  }
}

/** Counting needs track ids and predicted boxes need tracks, so both enable the tracker. */
function isTracking({ track, zones, lines, skip }: Analysed): boolean {
  return (
    track !== false || zones.length > 0 || lines.length > 0 || (skip !== undefined && detectEveryOf(skip) !== null)
  );
}

function zonesOf({ zones }: Analysed): ZoneCounter | null {
  return zones.length > 0 ? new ZoneCounter(zones.map(plain)) : null;
}

function linesOf({ lines }: Analysed): LineCounter | null {
  return lines.length > 0 ? new LineCounter(lines.map(plain)) : null;
}

function trackOptions({ track, maxFps }: Analysed, reportScore: number): TrackOptions {
  const frameMs = maxFps === undefined ? 0 : 1000 / maxFps;
  const lostMs = Math.max(TRACK_DEFAULTS.lostMs, LOST_FRAMES * frameMs);
  return { lostMs, ...(typeof track === 'object' ? plain(track) : {}), reportScore };
}

/** Returns the lowest score of boxes that a stream needs: a tracker and a change gate use weak ones that are not reported. */
export function neededScore(config: Analysed, reportScore: number): number {
  const hasGate = config.skip !== undefined && changeGateOf(config.skip) !== null;
  const needed = hasGate ? Math.max(0, reportScore - DOUBT_SCORE) : reportScore;
  if (!isTracking(config)) return needed;
  return Math.min(needed, typeof config.track === 'object' ? config.track.lowScore : TRACK_DEFAULTS.lowScore);
}

/** Removes keys with value undefined, which `exactOptionalPropertyTypes` does not accept for optional keys. */
function plain<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
