import type { StreamConfig } from '../../config/stream.ts';
import type { Detection } from '../../core/detection.ts';
import type { LineCount, ZoneCount } from '../../protocol/report.ts';
import { ByteTracker } from '../../track/byte-tracker.ts';
import { LineCounter, type LineCrossing } from '../../track/lines.ts';
import { TRACK_DEFAULTS } from '../../track/track-options.ts';
import { ZoneCounter } from '../../track/zones.ts';

export interface AnalysedFrame {
  readonly width: number;
  readonly height: number;
  readonly ptsUs: number;
}

/** Processes the boxes of one stream: track ids, then zones and lines. */
export class StreamAnalytics {
  readonly #tracker: ByteTracker | null;
  readonly #zones: ZoneCounter | null;
  readonly #lines: LineCounter | null;
  readonly #reportScore: number;

  constructor(config: Pick<StreamConfig, 'track' | 'zones' | 'lines'>, reportScore: number) {
    this.#reportScore = reportScore;
    this.#tracker = isTracking(config) ? new ByteTracker(trackOptions(config, reportScore)) : null;
    this.#zones = config.zones.length > 0 ? new ZoneCounter(config.zones.map(plain)) : null;
    this.#lines = config.lines.length > 0 ? new LineCounter(config.lines.map(plain)) : null;
  }

  /** @returns the detections to report, with track ids, and the line crossings that this frame completed. */
  update(
    frame: AnalysedFrame,
    raw: readonly Detection[],
  ): { detections: readonly Detection[]; crossings: readonly LineCrossing[] } {
    if (this.#tracker === null)
      return { detections: raw.filter(({ score }) => score >= this.#reportScore), crossings: [] };
    const detections = this.#tracker.update(raw, frame.ptsUs);
    const counted = { ...frame, detections };
    this.#zones?.update(counted);
    return { detections, crossings: this.#lines?.update(counted) ?? [] };
  }

  get zones(): readonly ZoneCount[] {
    return this.#zones?.report() ?? [];
  }

  get lines(): readonly LineCount[] {
    return this.#lines?.report() ?? [];
  }
}

/** Counting needs track ids, so zones and lines enable the tracker. */
function isTracking(config: Pick<StreamConfig, 'track' | 'zones' | 'lines'>): boolean {
  return config.track !== false || config.zones.length > 0 || config.lines.length > 0;
}

function trackOptions(
  config: Pick<StreamConfig, 'track'>,
  reportScore: number,
): ConstructorParameters<typeof ByteTracker>[0] {
  return { ...(typeof config.track === 'object' ? plain(config.track) : {}), reportScore };
}

/** Returns the lowest score of boxes that a stream needs: a tracker uses weak ones that are not reported. */
export function neededScore(config: Pick<StreamConfig, 'track' | 'zones' | 'lines'>, reportScore: number): number {
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
