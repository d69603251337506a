import { LineCounter } from '../../../frame/track/lines.ts';
import { ZoneCounter } from '../../../frame/track/zones.ts';
import type { RecordedResults } from '../../../network/evaluate/recorded-results.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';

/** The lines and zones of a stream. */
export type Counters = Pick<StreamConfig, 'lines' | 'zones'>;

export interface CountComparison {
  readonly kind: 'line' | 'zone';
  readonly id: string;
  /** Of a line: crossings left to right and right to left. Of a zone: objects inside, the mean over all frames. */
  readonly reference: readonly number[];
  readonly candidate: readonly number[];
  /** Largest difference; of a zone the mean difference of a frame. */
  readonly difference: number;
  readonly allowed: number;
}

/** A difference of a single crossing is always tolerated. */
const LEAST_LINE_TOLERANCE = 1;
/** A mean difference of a tenth of an object in a zone is always tolerated. */
const LEAST_ZONE_TOLERANCE = 0.1;

/**
 * Counts the objects that cross the lines and are in the zones of a stream, in the published results of both runs, as the stream
 * itself does.
 *
 * @param tolerance - share of the reference's count by which the candidate's may differ.
 */
export function compareCounts(
  reference: RecordedResults,
  candidate: RecordedResults,
  counters: Counters,
  tolerance: number,
): CountComparison[] {
  if (counters.lines.length === 0 && counters.zones.length === 0) return [];
  const [wanted, got] = [count(reference, counters), count(candidate, counters)];
  const lines = counters.lines.map(({ id }, i): CountComparison => {
    const [before, after] = [wanted.lines[i]!, got.lines[i]!];
    const allowed = Math.max(LEAST_LINE_TOLERANCE, tolerance * Math.max(...before));
    const difference = Math.max(...before.map((crossings, way) => Math.abs(crossings - after[way]!)));
    return { kind: 'line', id, reference: before, candidate: after, difference, allowed };
  });
  const zones = counters.zones.map(({ id }, i): CountComparison => {
    const shared = [...wanted.zones].flatMap(([frame, inside]) => {
      const other = got.zones.get(frame);
      return other === undefined ? [] : [[inside[i]!, other[i]!] as const];
    });
    const [before, after] = [mean(shared.map(([inside]) => inside)), mean(shared.map(([, inside]) => inside))];
    const allowed = Math.max(LEAST_ZONE_TOLERANCE, tolerance * before);
    const difference = mean(shared.map(([a, b]) => Math.abs(a - b)));
    return { kind: 'zone', id, reference: [before], candidate: [after], difference, allowed };
  });
  return [...lines, ...zones];
}

interface Counts {
  /** `[line]`: crossings in both directions. */
  readonly lines: readonly (readonly [number, number])[];
  /** By frame number, `[zone]`: objects inside. */
  readonly zones: ReadonlyMap<number, readonly number[]>;
}

function count({ frames, scoreThreshold }: RecordedResults, counters: Counters): Counts {
  const lineCounter = new LineCounter(counters.lines);
  const zoneCounter = new ZoneCounter(counters.zones);
  const zones = new Map<number, readonly number[]>();
  for (const { frame, width, height, ptsUs, detections } of frames) {
    const reported = detections.filter(({ score }) => score >= scoreThreshold);
    const counted = { width, height, ptsUs, detections: reported };
    zoneCounter.update(counted);
    lineCounter.update(counted);
    zones.set(
      frame,
      zoneCounter.report().map(({ inside }) => inside),
    );
  }
  return { lines: lineCounter.report().map((line) => [line.leftToRight, line.rightToLeft] as const), zones };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
