import { describe, expect, it } from 'vitest';
import { busyLines } from '../../../../src/optimize/report/plots/busy-lines.ts';
import { gainWaterfall } from '../../../../src/optimize/report/plots/gain-waterfall.ts';
import { latencyCurve } from '../../../../src/optimize/report/plots/latency-curve.ts';
import { type ParetoMark, paretoPlot } from '../../../../src/optimize/report/plots/pareto-plot.ts';
import { linearScale, logScale } from '../../../../src/optimize/report/plots/scale.ts';
import { stageBars } from '../../../../src/optimize/report/plots/stage-bars.ts';

interface Rectangle {
  readonly x: number;
  readonly width: number;
}

/** Rectangles of a class, in order. */
function rectangles(svg: string, className: string): Rectangle[] {
  return [...svg.matchAll(/<rect ([^>]*)\/>/g)]
    .map(([, attributes]) =>
      Object.fromEntries([...attributes!.matchAll(/(\S+)="([^"]*)"/g)].map((m) => [m[1]!, m[2]!])),
    )
    .filter((attributes) => attributes.class?.split(' ').includes(className))
    .map((attributes) => ({ x: Number(attributes.x), width: Number(attributes.width) }));
}

describe('scales', () => {
  it('have round ticks that enclose the values', () => {
    const scale = linearScale(0, 89, { from: 0, to: 100, most: 6 });
    expect(scale.ticks).toEqual([0, 20, 40, 60, 80, 100]);
    expect(scale.at(45)).toBe(45);
  });

  it('have equal distances for equal ratios if they are logarithmic', () => {
    const scale = logScale(12, 430, { from: 0, to: 300, most: 8 });
    expect(scale.ticks).toEqual([10, 20, 50, 100, 200, 500]);
    expect(scale.at(40) - scale.at(20)).toBeCloseTo(scale.at(200) - scale.at(100));
  });

  it('do not fail on a single value', () => {
    expect(linearScale(0, 0, { from: 0, to: 10, most: 5 }).ticks.length).toBeGreaterThan(1);
    expect(logScale(5, 5, { from: 0, to: 10, most: 5 }).ticks.length).toBeGreaterThan(1);
  });
});

describe('stage bars', () => {
  const plot = stageBars(
    'Stages',
    [],
    [
      { name: 'Before', stagesMs: { decode: 20, infer: 60 } },
      { name: 'After', stagesMs: { decode: 10, infer: 10 } },
    ],
  );

  it('draw each stage as long as its time', () => {
    const [slow, fast, enlarged] = rectangles(plot.wide, 'stage-infer');
    expect(slow!.width / fast!.width).toBeCloseTo(6, 2);
    // The bar of 20 ms is drawn again as long as the one of 80 ms.
    expect(enlarged!.width / fast!.width).toBeCloseTo(4, 1);
  });

  it('put stages one after the other in the order of a frame', () => {
    const [decode] = rectangles(plot.wide, 'stage-decode');
    const [infer] = rectangles(plot.wide, 'stage-infer');
    expect(infer!.x).toBeCloseTo(decode!.x + decode!.width, 1);
  });

  it('list the same figures as a table, with the whole', () => {
    expect(plot.table.rows.at(-1)!.map(({ text }) => text.join(''))).toEqual([
      'whole',
      '80\u00a0ms',
      '',
      '20\u00a0ms',
      '',
    ]);
  });

  it('show stages that have no colour of their own', () => {
    const other = stageBars('Stages', [], [{ name: 'Before', stagesMs: { decode: 20, resample: 5, unaccounted: 1 } }]);
    expect(rectangles(other.wide, 'stage-other').length).toBeGreaterThan(0);
    expect(other.table.rows.map(([name]) => name!.text[0])).toEqual(['decode', 'resample', 'unaccounted', 'whole']);
  });
});

describe('gain waterfall', () => {
  it('draws equal gains with equal lengths, each where the one before ends', () => {
    const gains = [1.5, 2, 2].map((measured) => ({ name: 'x', predicted: null, measured }));
    const { wide } = gainWaterfall('Gains', [], { startFps: 20, endFps: 120 }, gains);
    const [first, second, third] = rectangles(wide, 'bar-gain');
    expect(second!.width).toBeCloseTo(third!.width, 1);
    expect(second!.width / first!.width).toBeCloseTo(Math.log(2) / Math.log(1.5), 1);
    expect(second!.x).toBeCloseTo(first!.x + first!.width, 1);
  });

  it('draws a loss apart from gains', () => {
    const gains = [{ name: 'x', predicted: 1.2, measured: 0.8 }];
    const { wide } = gainWaterfall('Gains', [], { startFps: 20, endFps: 16 }, gains);
    expect(rectangles(wide, 'bar-loss')).toHaveLength(1);
    expect(rectangles(wide, 'bar-gain')).toHaveLength(0);
  });
});

describe('latency curve', () => {
  it('shows percentiles by the nearest-rank rule', () => {
    const latenciesMs = Array.from({ length: 200 }, (_, i) => 200 - i);
    const { table } = latencyCurve('Latency', [], [{ name: 'Before', latenciesMs }], null);
    expect(table.rows.map(([, cell]) => cell!.text.join('').replace('\u00a0', ' '))).toEqual([
      '100 ms',
      '180 ms',
      '190 ms',
      '198 ms',
      '200',
    ]);
  });

  it('marks the target only where there is one', () => {
    const samples = [{ name: 'Before', latenciesMs: [10, 20, 30] }];
    expect(latencyCurve('Latency', [], samples, 50).wide).toContain('target');
    expect(latencyCurve('Latency', [], samples, null).wide).not.toContain('target');
  });
});

describe('Pareto plot', () => {
  const mark = (fps: number, ap: number | null, kind: ParetoMark['kind'] = 'front'): ParetoMark => ({
    name: [`at ${fps}`],
    fps,
    ap,
    p99Ms: 1000 / fps,
    cpuMsPerFrame: null,
    kind,
    measured: { kind: 'measured', ids: [] },
  });

  it('leaves refused points out of the front line', () => {
    const front = (marks: readonly ParetoMark[]) => /class="front"/.test(paretoPlot('Pareto', [], marks, null).wide);
    expect(front([mark(20, 0.4), mark(90, 0.3)])).toBe(true);
    expect(front([mark(20, 0.4), mark(90, 0.3, 'refused')])).toBe(false);
  });

  it('moves points apart that would cover each other', () => {
    const { wide } = paretoPlot('Pareto', [], [mark(100, 0.3), mark(100.5, 0.3), mark(20, 0.4)], null);
    const centres = [...wide.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="10"/g)].map((m) => [
      Number(m[1]),
      Number(m[2]),
    ]);
    const [a, b] = centres as [number[], number[]];
    expect(Math.hypot(a[0]! - b[0]!, a[1]! - b[1]!)).toBeGreaterThanOrEqual(25);
  });

  it('falls back to the p99 where accuracy was not measured', () => {
    expect(paretoPlot('Pareto', [], [mark(20, null), mark(90, null)], null).wide).toContain('p99, ms, lower is better');
  });
});

describe('busy lines', () => {
  it('shades windows that do not count and leaves them out of the mean', () => {
    const window = (infer: number, isDiscarded: boolean) => ({
      seconds: 1,
      fps: 20,
      busyRatio: { decode: 0.1, preprocess: 0.1, infer, main: 0 },
      isDiscarded,
    });
    const windows = [window(0.5, false), window(1, true), window(0.7, false)];
    const { wide, table } = busyLines('Busy', [], [{ name: 'Before', windows }]);
    // One in the panel, one in the legend.
    expect(rectangles(wide, 'discarded')).toHaveLength(2);
    const infer = table.rows.find(([stage]) => stage!.text[0] === 'infer')!;
    expect(infer.map(({ text }) => text.join('').replace('\u00a0', ' '))).toEqual(['infer', '60 %', '70 %']);
  });
});
