import { detectEveryOf } from '../../config/skip.ts';
import type { StreamConfig } from '../../config/stream.ts';
import type { Detection } from '../../core/detection.ts';
import type { LineCount, ZoneCount } from '../../protocol/report.ts';
import { ByteTracker, type PredictionQuality } from '../../track/byte-tracker.ts';
import { LineCounter, type LineCrossing } from '../../track/lines.ts';
import { TRACK_DEFAULTS } from '../../track/track-options.ts';
import { ZoneCounter } from '../../track/zones.ts';

export interface AnalysedFrame {
  readonly width: number;
  readonly height: number;
  readonly ptsUs: number;
}

/** The settings that analytics depend on. */
type Analysed = Pick<StreamConfig, 'track' | 'zones' | 'lines'> & Partial<Pick<StreamConfig, 'skip'>>;

/** Processes the boxes of one stream: track ids, then zones and lines. */
export class StreamAnalytics {
  /** Null while boxes are reported as they were found. */
  #tracker: ByteTracker | null = null;
  /** Continues where it stopped if tracking is turned on again. */
  #lastTracker: ByteTracker | null = null;
  readonly #zones: ZoneCounter | null;
  readonly #lines: LineCounter | null;
  #reportScore: number;

  constructor(config: Analysed, reportScore: number) {
    this.#reportScore = reportScore;
    this.retune(config);
    this.#zones = config.zones.length > 0 ? new ZoneCounter(config.zones.map(plain)) : null;
    this.#lines = config.lines.length > 0 ? new LineCounter(config.lines.map(plain)) : null;
  }

  /** Turns the tracker on or off, as the settings need it. Zones, lines and options of the tracker stay. */
  retune(config: Analysed): void {
    if (!isTracking(config)) this.#tracker = null;
    else {
      this.#lastTracker ??= new ByteTracker(trackOptions(config, this.#reportScore));
      this.#lastTracker.reportScore = this.#reportScore;
      this.#tracker = this.#lastTracker;
    }
  }

  /** Boxes below this are not reported. A change keeps tracks and counts. */
  set reportScore(score: number) {
    this.#reportScore = score;
    if (this.#tracker !== null) this.#tracker.reportScore = score;
  }

  /** @returns the detections to report, with track ids, and the line crossings that this frame completed. */
  update(
    frame: AnalysedFrame,
    raw: readonly Detection[],
  ): { detections: readonly Detection[]; crossings: readonly LineCrossing[] } {
    if (this.#tracker === null)
      return { detections: raw.filter(({ score }) => score >= this.#reportScore), crossings: [] };
    return this.#count(frame, this.#tracker.update(raw, frame.ptsUs));
  }

  /** @returns the predicted detections of a frame that was not inferred, and its line crossings. Needs a tracker. */
  predict(frame: AnalysedFrame): {
    detections: readonly Detection[];
    crossings: readonly LineCrossing[];
  } {
    // The tracker may have been turned off since the frame entered.
    if (this.#lastTracker === null) throw new RangeError('a stream without a tracker cannot predict boxes');
    return this.#count(frame, this.#lastTracker.predict(frame.ptsUs, frame));
  }

  #count(
    frame: AnalysedFrame,
    detections: readonly Detection[],
  ): { detections: readonly Detection[]; crossings: readonly LineCrossing[] } {
    const counted = { ...frame, detections };
    this.#zones?.update(counted);
    return { detections, crossings: this.#lines?.update(counted) ?? [] };
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

function trackOptions(
  config: Pick<StreamConfig, 'track'>,
  reportScore: number,
): ConstructorParameters<typeof ByteTracker>[0] {
  return { ...(typeof config.track === 'object' ? plain(config.track) : {}), reportScore };
}

/** Returns the lowest score of boxes that a stream needs: a tracker uses weak ones that are not reported. */
export function neededScore(config: Analysed, reportScore: number): number {
  if (!isTracking(config)) return reportScore;
  const low = typeof config.track === 'object' ? config.track.lowScore : undefined;
  return Math.min(reportScore, low ?? TRACK_DEFAULTS.lowScore);
}

/** Removes keys with value undefined, which `exactOptionalPropertyTypes` does not accept for optional keys. */
function plain<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
