import { describe, expect, it } from 'vitest';
import {
  drawPlots,
  gainPlot,
  latencyPlot,
  type PlotSpec,
  paretoPlot,
  stagePlot,
} from '../../../../src/optimize/report/plots.ts';

async function draw(spec: PlotSpec): Promise<{ wide: string; narrow: string }> {
  return (await drawPlots(new Map([['one', spec]]))).get('one')!;
}

/** Numbers of the attribute of elements that a pattern finds. */
function numbers(svg: string, pattern: RegExp): number[] {
  return [...svg.matchAll(pattern)].map(([, number]) => Number(number));
}

/** Widths of the bars, paths `M x,y h WIDTH v HEIGHT`, of a colour. */
function barsOf(svg: string, colour: string): number[] {
  return numbers(svg, new RegExp(`<path d="M[\\d.,]+h([\\d.]+)v[^"]*" fill="${colour}"`, 'g'));
}

const gain = (name: string, measured: number, predicted: number | null = null) => ({
  name,
  measured,
  predicted,
  interval: null,
});

describe('the plot of gains', () => {
  it('shows equal ratios as equal lengths, and their product as the sum of the lengths', async () => {
    const { wide, narrow } = await draw(gainPlot([gain('a', 2, 2.2), gain('b', 2), gain('c', 1.5)], gain('all', 6)));
    const [first, second, third] = barsOf(wide, '#1f5fae');
    expect(second).toBeCloseTo(first!, 3);
    expect(barsOf(wide, '#1a212b')[0]).toBeCloseTo(first! + second! + third!, 3);
    expect(barsOf(narrow, '#1f5fae')[0]).toBeLessThan(first!);
    expect(wide).toContain('>×6<');
  });

  it('shows a step that was slower in another colour', async () => {
    const { wide } = await draw(gainPlot([gain('a', 2), gain('b', 0.9)], gain('all', 1.8)));
    expect([barsOf(wide, '#1f5fae').length, barsOf(wide, '#b5591f').length]).toEqual([1, 1]);
  });
});

describe('the plot of stages', () => {
  it('has a bar for each part in the order in which a frame passes them, as long as its time', async () => {
    const stagesMs = { infer: 30, decode: 10, wait: 0 };
    const { wide } = await draw(stagePlot([{ name: 'before', stagesMs }]));
    const [decode, infer] = [barsOf(wide, '#1f4e8c')[0]!, barsOf(wide, '#b5591f')[0]!];
    expect(infer / decode).toBeCloseTo(3, 3);
    expect(wide.indexOf('>decode<')).toBeLessThan(wide.indexOf('>infer<'));
    expect(wide).not.toContain('>wait<');
    expect(wide.replaceAll('\u00a0', ' ')).toContain('before: 40 ms');
  });
});

describe('plots of little or of odd data', () => {
  const point = { fps: 20, value: 0.3, kind: 'baseline' } as const;
  it.each([
    ['one gain of nothing', gainPlot([gain('a', 1)], gain('all', 1))],
    ['a very large gain', gainPlot([gain('a', 5000, 0.1)], gain('all', 5000))],
    ['a stage without time', stagePlot([{ name: 'before', stagesMs: { infer: 0 } }])],
    ['one latency', latencyPlot([{ name: 'before', latenciesMs: [3] }], null)],
    ['equal latencies and a limit', latencyPlot([{ name: 'before', latenciesMs: Array(3000).fill(7) }], 5)],
    ['two equal points', paretoPlot([point, { ...point, kind: 'best' }], 'AP', null)],
    ['a point of zero', paretoPlot([point, { ...point, value: 0, kind: 'refused' }], 'AP', 0.28)],
    ['hostile names', gainPlot([gain('</text><script>alert(1)</script>', 2)], gain('"><img>', 2))],
  ])('are drawn: %s', async (_, spec) => {
    for (const svg of Object.values(await draw(spec))) {
      expect(svg).toMatch(/^<svg .*<\/svg>$/s);
      expect(svg).not.toMatch(/NaN|Infinity|undefined|<script|<img/);
    }
  });

  it('nothing is loaded for a report without plots', async () => {
    expect(await drawPlots(new Map())).toEqual(new Map());
  });
});
