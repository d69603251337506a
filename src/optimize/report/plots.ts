import type { Axis, Mark, Scale, Spec } from 'vega';
import { factor, ms } from './figures.ts';

/** A drawing for a wide and for a narrow screen. */
export interface Plot {
  readonly wide: string;
  readonly narrow: string;
}

/** A plot for any width: rows of data, and marks that show them on scales. The scale `colour` has a legend if `hasLegend`. */
export interface PlotSpec {
  readonly rows: readonly object[];
  readonly scales: readonly Scale[];
  readonly axes: readonly Axis[];
  readonly marks: readonly Mark[];
  readonly height: number;
  /** Of a narrow plot, whose legend needs more lines. */
  readonly narrowHeight?: number;
  readonly hasLegend: boolean;
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif';
const [INK, MUTED, GRID, OLD, NEW, BAD] = ['#1a212b', '#566170', '#e2e6eb', '#b5591f', '#1f5fae', '#b02329'];

/** Draws plots for wide and narrow screens. Loads the library, which takes a tenth of a second, only here. */
export async function drawPlots(specs: ReadonlyMap<string, PlotSpec>): Promise<ReadonlyMap<string, Plot>> {
  if (specs.size === 0) return new Map();
  const { View, parse } = await import('vega');
  const draw = (spec: Spec): Promise<string> => new View(parse(spec), { renderer: 'none' }).toSVG();
  const drawn = [...specs].map(async ([name, spec]): Promise<[string, Plot]> => {
    const [wide, narrow] = await Promise.all([
      draw(vegaSpec(spec, { width: 860, height: spec.height, columns: 9 })),
      draw(vegaSpec(spec, { width: 340, height: spec.narrowHeight ?? spec.height, columns: 3 })),
    ]);
    return [name, { wide, narrow }];
  });
  return new Map(await Promise.all(drawn));
}

/** @param size - in pixels; `columns` is the number of entries in a line of the legend. */
function vegaSpec(
  { rows, scales, axes, marks, hasLegend }: PlotSpec,
  { columns, ...size }: { readonly width: number; readonly height: number; readonly columns: number },
): Spec {
  const label = { labelFont: FONT, labelFontSize: 12 };
  return {
    ...{ ...size, padding: 2, autosize: { type: 'fit', contains: 'padding' }, background: 'white' },
    config: {
      text: { font: FONT, fontSize: 12, fill: INK },
      axis: {
        ...{ ...label, titleFont: FONT, titleFontSize: 12, titleFontWeight: 400, titleColor: MUTED, labelColor: MUTED },
        ...{ grid: true, gridColor: GRID, domain: false, ticks: false },
        ...{ labelPadding: 6, titlePadding: 10, labelOverlap: true },
      },
      legend: { ...label, symbolStrokeWidth: 0 },
    },
    data: [{ name: 'rows', values: [...rows] }],
    ...{ scales: [...scales], axes: [...axes], marks: [...marks] },
    legends: hasLegend ? [{ fill: 'colour', orient: 'bottom', columns, symbolType: 'square' }] : [],
  };
}

/** A mark for each row. Fields: `'=name'` is a field of the row, `'x:name'` one on a scale; others are values. */
function mark(type: Mark['type'], fields: Readonly<Record<string, string | number | object>>, from = 'rows'): Mark {
  const channel = (value: string | number | object): object => {
    if (typeof value === 'object') return value;
    const [, scale, field] = /^(\w*)[=:](\w+)$/.exec(String(value)) ?? [];
    if (field === undefined) return { value };
    return scale === '' ? { field } : { scale, field };
  };
  const enter = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, channel(value)]));
  return { type, ...(from === '' ? {} : { from: { data: from } }), encode: { enter } } as Mark;
}

function below(offset: number): object {
  return { field: 'y', offset };
}

const LIMIT = { stroke: BAD!, strokeDash: { value: [6, 4] }, strokeWidth: 1.5 };

/** 1, 2 and 5 times powers of ten between the lowest and the highest value: labels of a logarithmic axis that never touch. */
function roundValues(values: readonly number[]): number[] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const powers = Array.from(
    { length: Math.ceil(Math.log10(high / low)) + 2 },
    (_, i) => Math.floor(Math.log10(low)) + i,
  );
  return powers
    .flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power))
    .filter((one) => one >= low && one <= high);
}

export interface Gain {
  readonly name: string;
  readonly predicted: number | null;
  readonly measured: number;
  readonly interval: readonly [number, number] | null;
}

/** One bar for each change, each from where the one before ended; equal lengths are equal ratios. Last the whole, by itself. */
export function gainPlot(steps: readonly Gain[], whole: Gain): PlotSpec {
  let product = 1;
  const rows = [...steps, whole].map((gain, i) => {
    const start = gain === whole ? 1 : product;
    product = start * gain.measured;
    const { name, measured, predicted, interval } = gain;
    const [low, high] = interval ?? [measured, measured];
    return {
      ...{ name, y: i * 46, start, end: product, kind: gain === whole ? 'whole' : measured < 1 ? 'loss' : 'gain' },
      ...{
        predicted: start * (predicted ?? 1),
        shown: predicted === null ? 0 : 1,
        low: start * low,
        high: start * high,
      },
      ...{ text: factor(measured), free: start * Math.max(predicted ?? 1, high, measured, 1) },
    };
  });
  const ends = rows.flatMap(({ start, end, low, high, predicted }) => [start, end, low, high, predicted]);
  const scales: Scale[] = [
    { name: 'x', type: 'log', domain: [Math.min(...ends), Math.max(...ends) * 1.25], range: 'width' },
    { name: 'colour', type: 'ordinal', domain: ['gain', 'loss', 'whole'], range: [NEW, OLD, INK] },
  ];
  const axis: Axis = {
    scale: 'x',
    orient: 'bottom',
    title: 'frames per second, multiples of the baseline',
    values: roundValues(ends),
  };
  const marks = [
    mark('text', { x: 0, y: below(13), text: '=name', limit: { signal: 'width - 20' } }),
    mark('rect', { x: 'x:start', x2: 'x:end', y: below(19), height: 18, fill: 'colour:kind' }),
    mark('rule', { x: 'x:low', x2: 'x:high', y: below(28), strokeWidth: 1.5, stroke: '#8a95a3' }),
    mark('rule', { x: 'x:predicted', y: below(16), y2: below(40), strokeWidth: 2, stroke: INK!, opacity: '=shown' }),
    mark('text', { x: { scale: 'x', field: 'free', offset: 8 }, y: below(32), text: '=text', fontWeight: 600 }),
  ];
  return { rows, scales, axes: [axis], marks, height: rows.length * 46 + 46, hasLegend: false };
}

/** Parts of a frame's time in the order in which it passes them, and their colours. */
const PARTS: Readonly<Record<string, string>> = {
  ...{ read: '#b9c6d6', decode: '#1f4e8c', preprocess: '#8fc1e3', wait: '#cdd3da', infer: '#b5591f' },
  ...{ postprocess: '#f5bd77', track: '#365f2b', publish: '#b5d49c', unaccounted: '#8a95a3' },
};

/** One bar for each side: the mean time of a frame by part. */
export function stagePlot(
  sides: readonly { readonly name: string; readonly stagesMs: Readonly<Record<string, number>> }[],
): PlotSpec {
  const parts = Object.keys(PARTS).filter((part) => sides.some(({ stagesMs }) => (stagesMs[part] ?? 0) > 0));
  const rows = sides.flatMap(({ name, stagesMs }, i) => {
    let end = 0;
    const all = Object.values(stagesMs).reduce((a, b) => a + b, 0);
    return parts.map((part) => {
      const start = end;
      end += stagesMs[part] ?? 0;
      return { y: i * 62, part, start, end, title: part === parts[0] ? `${name}: ${ms(all)}` : '' };
    });
  });
  const scales: Scale[] = [
    { name: 'x', domain: [0, Math.max(...rows.map(({ end }) => end))], range: 'width', nice: true },
    { name: 'colour', type: 'ordinal', domain: parts, range: parts.map((part) => PARTS[part]!) },
  ];
  const axis: Axis = { scale: 'x', orient: 'bottom', title: 'mean time of a frame, ms' };
  const bar = { x: 'x:start', x2: 'x:end', y: below(22), height: 32, fill: 'colour:part', stroke: 'white' };
  const marks = [mark('text', { y: below(14), text: '=title', fontWeight: 600 }), mark('rect', bar)];
  const height = sides.length * 62 + 90;
  return { rows, scales, axes: [axis], marks, height, narrowHeight: height + 40, hasLegend: true };
}

/** Share of frames that are at most so old, one line for each side. */
export function latencyPlot(
  sides: readonly { readonly name: string; readonly latenciesMs: readonly number[] }[],
  limitMs: number | null,
): PlotSpec {
  const rows = sides.flatMap(({ name, latenciesMs }) => {
    const sorted = [...latenciesMs].sort((a, b) => a - b);
    const step = Math.max(1, Math.floor(sorted.length / 200));
    return sorted.flatMap((time, i) =>
      i % step === 0 || i === sorted.length - 1 ? [{ name, time, share: (i + 1) / sorted.length }] : [],
    );
  });
  const most = Math.max(limitMs ?? 0, ...rows.map(({ time }) => time));
  const scales: Scale[] = [
    { name: 'x', domain: [0, most * 1.05], range: 'width', nice: true },
    { name: 'y', domain: [0, 1], range: 'height' },
    { name: 'colour', type: 'ordinal', domain: sides.map(({ name }) => name), range: [OLD, NEW] },
  ];
  const axes: Axis[] = [
    { scale: 'x', orient: 'bottom', title: 'latency, ms' },
    { scale: 'y', orient: 'left', format: '.0%', title: 'share of the frames' },
  ];
  const curves: Mark = {
    ...{ type: 'group', from: { facet: { name: 'side', data: 'rows', groupby: 'name' } } },
    marks: [mark('line', { x: 'x:time', y: 'y:share', stroke: 'colour:name', strokeWidth: 2.5 }, 'side')],
  };
  const limit =
    limitMs === null
      ? []
      : [mark('rule', { x: { scale: 'x', value: limitMs }, y: 0, y2: { signal: 'height' }, ...LIMIT }, '')];
  return { rows, scales, axes, marks: [curves, ...limit], height: 300, hasLegend: true };
}

export interface ParetoMark {
  readonly fps: number;
  /** AP, or p99 in milliseconds where no AP is known. */
  readonly value: number;
  readonly kind: 'baseline' | 'best' | 'other' | 'refused' | 'inconclusive';
}

const KINDS: Readonly<Record<ParetoMark['kind'], string>> = {
  baseline: OLD!,
  best: NEW!,
  other: '#7aa7d8',
  refused: '#d98a8d',
  inconclusive: '#c9b079',
};

/** Accuracy against rate; each point has the number of its row in the table. */
export function paretoPlot(marks: readonly ParetoMark[], title: string, lowest: number | null): PlotSpec {
  const kinds = Object.keys(KINDS).filter((kind) => marks.some((one) => one.kind === kind)) as ParetoMark['kind'][];
  const values = [...marks.map(({ value }) => value), ...(lowest === null ? [] : [lowest])];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.12 || high * 0.05;
  const rates = marks.map(({ fps }) => fps);
  const edges = [Math.min(...rates) / 1.2, Math.max(...rates) * 1.2];
  const scales: Scale[] = [
    { name: 'x', type: 'log', domain: edges, range: 'width' },
    { name: 'y', domain: [low - pad, high + pad], range: 'height', zero: false },
    { name: 'colour', type: 'ordinal', domain: kinds, range: kinds.map((kind) => KINDS[kind]) },
  ];
  const axes: Axis[] = [
    { scale: 'x', orient: 'bottom', title: 'frames per second, logarithmic', values: roundValues(edges) },
    { scale: 'y', orient: 'left', title },
  ];
  const place = { x: 'x:fps', y: 'y:value' };
  const number = { text: '=number', fill: 'white', fontWeight: 700, align: 'center', baseline: 'middle' };
  const limit =
    lowest === null
      ? []
      : [mark('rule', { x: 0, x2: { signal: 'width' }, y: { scale: 'y', value: lowest }, ...LIMIT }, '')];
  return {
    ...{ rows: marks.map((one, i) => ({ ...one, number: String(i + 1) })), scales, axes, height: 380, hasLegend: true },
    marks: [
      ...limit,
      mark('symbol', { ...place, size: 330, fill: 'colour:kind', stroke: 'white' }),
      mark('text', { ...place, ...number }),
    ],
  };
}
