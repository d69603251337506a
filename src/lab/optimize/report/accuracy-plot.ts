import { amount } from '../../measure/report/figures.ts';
import { Html, html } from '../../measure/report/html.ts';
import { AGREEMENT } from '../gate/gate-verdict.ts';
import type { Configuration } from '../result.ts';
import { type Findings, isSame, trialIn } from './findings.ts';
import type { QualityFigure, ReportTrial } from './report-input.ts';

interface Mark {
  readonly configuration: Configuration;
  readonly kind: 'baseline' | 'best' | 'other' | 'refused' | 'inconclusive';
  readonly fps: number;
  /** AP, or p99 in milliseconds where no AP is known. */
  readonly value: number;
  readonly p99Ms: number;
  readonly cpuMsPerFrame: number | null;
  readonly ids: readonly string[];
}

export interface Front {
  /** Figures of the part that chose, as those of the front; null where it did not judge by labels. */
  readonly search: QualityFigure | null;
  readonly marks: readonly Mark[];
}

/** The front, the baseline, and configurations that the gate did not pass if their rate and loss are known. Empty without a front. */
export function frontOf({ input, before }: Findings): Front {
  const byId = new Map(input.measurements.map((record) => [record.id, record]));
  const { configuration: own, measurement } = input.baseline;
  const figure = input.quality.search;
  const search =
    figure !== null && figure.measure !== AGREEMENT && input.pareto.every(({ ap }) => ap !== null) ? figure : null;
  const figuresOf = ({ fps, latencyMs, cpuMsPerFrame }: ReportTrial) => ({
    fps,
    p99Ms: latencyMs.p99,
    cpuMsPerFrame: cpuMsPerFrame?.total ?? null,
  });
  const front = input.pareto.map(({ configuration, measurements: ids, ap, ...figures }): Mark => {
    const kind = isSame(configuration, input.best.configuration)
      ? 'best'
      : isSame(configuration, own)
        ? 'baseline'
        : 'other';
    return { ...figures, configuration, ids, kind, value: search === null ? figures.p99Ms : ap! };
  });
  const start: Mark = {
    ...figuresOf(before),
    configuration: own,
    kind: 'baseline',
    ids: [measurement],
    value: search === null ? before.latencyMs.p99 : search.reference,
  };
  const notPassed = input.refusals.flatMap(({ configuration, verdict, loss, measurements: ids }): Mark[] => {
    const trial = ids.map((id) => trialIn(byId.get(id)!)).find((result) => result !== null);
    if (trial === undefined || loss === null || search === null) return [];
    return [{ ...figuresOf(trial), configuration, kind: verdict ?? 'refused', ids, value: search.reference - loss }];
  });
  const hasStart = front.some(({ kind }) => kind === 'baseline');
  const marks = [...(hasStart ? [] : [start]), ...front, ...notPassed].sort((a, b) => a.fps - b.fps);
  return { search, marks: front.length === 0 ? [] : marks };
}

const SIZE = { width: 860, height: 380, left: 64, right: 24, top: 16, bottom: 52 };

/** Accuracy, or p99, against the rate on a logarithmic axis; each point has the number of its row in the table. */
export function paretoDrawing({ search, marks }: Front): Html {
  const lowest = search === null ? null : search.reference - search.allowed;
  const rates = marks.map(({ fps }) => fps);
  const [slowest, fastest] = [Math.min(...rates) / 1.2, Math.max(...rates) * 1.2];
  const values = [...marks.map(({ value }) => value), ...(lowest === null ? [] : [lowest])];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.12 || Math.abs(high) * 0.05 || 1;
  const right = SIZE.width - SIZE.right;
  const bottom = SIZE.height - SIZE.bottom;
  const x = (fps: number): string =>
    (SIZE.left + (Math.log(fps / slowest) / Math.log(fastest / slowest)) * (right - SIZE.left)).toFixed(1);
  const y = (value: number): string =>
    (bottom - ((value - (low - pad)) / (high - low + 2 * pad)) * (bottom - SIZE.top)).toFixed(1);
  const upright = roundValues(slowest, fastest).map(
    (at) =>
      html`<line class="grid" x1="${x(at)}" x2="${x(at)}" y1="${SIZE.top}" y2="${bottom}"/><text x="${x(at)}" y="${bottom + 20}" text-anchor="middle">${amount(at)}</text>`,
  );
  const level = [0, 1, 2, 3, 4].map((i) => {
    const value = low - pad / 2 + (i / 4) * (high - low + pad);
    const text = search === null ? amount(value) : value.toFixed(3);
    return html`<line class="grid" x1="${SIZE.left}" x2="${right}" y1="${y(value)}" y2="${y(value)}"/><text x="${SIZE.left - 8}" y="${y(value)}" dy="4" text-anchor="end">${text}</text>`;
  });
  const limit =
    lowest === null
      ? null
      : html`<line class="limit" x1="${SIZE.left}" x2="${right}" y1="${y(lowest)}" y2="${y(lowest)}"/>`;
  const points = marks.map(
    ({ fps, value, kind }, i) =>
      html`<g class="${kind}"><circle cx="${x(fps)}" cy="${y(value)}" r="11"/><text class="number" x="${x(fps)}" y="${y(value)}" dy="4" text-anchor="middle">${i + 1}</text></g>`,
  );
  const name = search === null ? 'p99 in milliseconds' : search.measure;
  return html`<div class="drawing"><svg role="img" aria-label="${name} against frames per second" viewBox="0 0 ${SIZE.width} ${SIZE.height}">${upright}${level}${limit}${points}<text x="${right}" y="${SIZE.height - 8}" text-anchor="end">frames per second, logarithmic</text></svg></div>
<p class="small">${name}, upwards. ${lowest === null ? null : 'The broken line is the least that is allowed. '}${new Html([...new Set(marks.map(({ kind }) => kind))].map((kind) => `<span><i class="dot ${kind}"></i>${kind}</span>`).join(' '))}</p>`;
}

/** 1, 2 and 5 times powers of ten between two values: labels of a logarithmic axis that never touch. */
function roundValues(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low));
  const powers = Array.from({ length: Math.ceil(Math.log10(high)) - first + 1 }, (_, i) => first + i);
  return powers
    .flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power))
    .filter((one) => one >= low && one <= high);
}
