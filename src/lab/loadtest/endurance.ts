import { estimateSlope } from '../measure/slope.ts';
import { type FigureSlope, SLOPE_FIGURES, type SlopeFigure } from './load-result.ts';
import type { ResourceFigures } from './load-subject.ts';

/** What the process held at one moment, and the latency since the last one. */
export interface EnduranceSample extends ResourceFigures {
  /** Seconds since the start. */
  readonly atS: number;
  /** Null if no frame was published since the last sample. */
  readonly p99Ms: number | null;
}

/** The first part is not judged: caches fill and code is compiled. */
const SETTLING_RATIO = 0.25;
/**
 * Change over the judged time that counts as none: a share of the mean, and for figures that are counts at least this
 * many. V8's young generation holds up to 16 MB of garbage: a pipeline that makes little of it fills that for minutes before
 * any is collected.
 */
const ALLOWED: Readonly<Record<SlopeFigure, { readonly ratio: number; readonly least: number }>> = {
  rssBytes: { ratio: 0.05, least: 8 * 2 ** 20 },
  childRssBytes: { ratio: 0.05, least: 8 * 2 ** 20 },
  heapUsedBytes: { ratio: 0.15, least: 16 * 2 ** 20 },
  descriptors: { ratio: 0, least: 3 },
  threads: { ratio: 0, least: 1 },
  handles: { ratio: 0, least: 3 },
  p99Ms: { ratio: 0.2, least: 5 },
};
const HOUR_S = 3600;

/** Judges how figures changed over a run. Figures that the system does not report are left out. */
export function judgeSlopes(samples: readonly EnduranceSample[]): FigureSlope[] {
  const first = samples[0]?.atS ?? 0;
  const span = (samples.at(-1)?.atS ?? 0) - first;
  const judged = samples.filter(({ atS }) => atS >= first + span * SETTLING_RATIO);
  return SLOPE_FIGURES.flatMap((figure) => {
    const points = judged.flatMap((sample) => {
      const value = sample[figure];
      return value === null ? [] : [[sample.atS, value] as const];
    });
    const estimate = estimateSlope(points);
    if (estimate === null) return [];
    const { perS, interval, mean, spanS } = estimate;
    const allowed = allowedPerHour(figure, mean, spanS);
    const [low, high] = [interval[0] * HOUR_S, interval[1] * HOUR_S];
    const verdict = low > allowed ? 'grows' : high > allowed ? 'unclear' : 'steady';
    return [{ figure, mean, perHour: perS * HOUR_S, interval: [low, high], allowedPerHour: allowed, verdict } as const];
  });
}

/** The longer a run, the smaller the slope that it allows: the change over the whole run is what counts. */
function allowedPerHour(figure: SlopeFigure, mean: number, spanS: number): number {
  const { ratio, least } = ALLOWED[figure];
  return (Math.max(least, ratio * Math.abs(mean)) / spanS) * HOUR_S;
}
