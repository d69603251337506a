import { type Plot, type Text, tableOf } from '../document.ts';
import { ms, percent, whole } from '../figures.ts';
import { horizontalAxis, verticalAxis } from './axes.ts';
import { linearScale, logScale, type Scale } from './scale.ts';
import { bothWidths, drawing, label, labelWidth, line, tag } from './svg.ts';

const SHARES = [0.5, 0.9, 0.95, 0.99];
/** Shares with a dot on the curve. */
const MARKED = [0.5, 0.99];
/** Points of a curve; more would not be seen. */
const POINTS = 200;
const HEIGHT = 300;

export interface LatencySample {
  readonly name: string;
  /** In any order; at least one. */
  readonly latenciesMs: readonly number[];
}

/** Draws which share of the frames was ready within which time, one curve a sample. */
export function latencyCurve(
  title: string,
  caption: Text,
  samples: readonly LatencySample[],
  limitMs: number | null,
): Plot {
  const sorted = samples.map(({ name, latenciesMs }) => ({ name, times: [...latenciesMs].sort((a, b) => a - b) }));
  return {
    title,
    caption,
    ...bothWidths((width) => draw(title, width, sorted, limitMs)),
    table: tableOf(
      ['Share of frames', ...sorted.map(({ name }) => `>${name}`)],
      [
        ...SHARES.map((share) => [percent(share), ...sorted.map(({ times }) => ms(quantile(times, share)))]),
        ['frames in the sample', ...sorted.map(({ times }) => whole(times.length))],
      ],
    ),
  };
}

/** By the nearest-rank rule. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

interface Curve {
  readonly name: string;
  readonly times: readonly number[];
}

function draw(title: string, width: number, curves: readonly Curve[], limitMs: number | null): string {
  const frame = { left: 48, right: width - 14, top: 56, bottom: HEIGHT };
  const all = curves.flatMap(({ times }) => [Math.max(0.1, times[0]!), times.at(-1)!]);
  const extent = limitMs === null ? all : [...all, limitMs];
  const most = width < 500 ? 6 : 12;
  const x = logScale(Math.min(...extent), Math.max(...extent), { from: frame.left, to: frame.right, most });
  const y = linearScale(0, 1, { from: frame.bottom, to: frame.top, most: 6 });
  const percentAxis: Scale = { ticks: y.ticks.map((tick) => Math.round(tick * 100)), at: (tick) => y.at(tick / 100) };
  const parts = [
    verticalAxis(percentAxis, frame, 'share of frames that are ready', ' %'),
    horizontalAxis(x, frame, 'captured to published, ms, logarithmic'),
  ];
  if (limitMs !== null) {
    const at = x.at(limitMs);
    const text = `target ${ms(limitMs)}`;
    const half = labelWidth(text) / 2;
    const middle = Math.min(Math.max(at, frame.left + half), frame.right - half);
    parts.push(
      line(at, frame.top, at, frame.bottom, 'target'),
      label(middle, frame.top - 8, text, { anchor: 'middle', className: 'target-text halo' }),
    );
  }
  for (const [i, { times }] of curves.entries())
    parts.push(tag('path', { d: pathOf(times, x, y), class: `curve series-${i + 1}` }));
  for (const [i, { times }] of curves.entries())
    for (const share of MARKED) {
      const at = { cx: x.at(quantile(times, share)), cy: y.at(share), r: 4.5 };
      parts.push(tag('circle', { ...at, class: `dot series-${i + 1}` }));
    }
  return drawing(width, HEIGHT + 80, title, ...parts, legendOf(curves, HEIGHT + 70));
}

function legendOf(curves: readonly Curve[], y: number): string {
  let x = 0;
  return curves
    .map(({ name }, i) => {
      const markup =
        tag('path', { d: `M${x} ${y - 4}h30`, class: `curve series-${i + 1}` }) + label(x + 38, y, name, {});
      x += 38 + labelWidth(name) + 24;
      return markup;
    })
    .join('');
}

function pathOf(times: readonly number[], x: Scale, y: Scale): string {
  const count = Math.min(POINTS, times.length);
  const points = Array.from({ length: count }, (_, i) => {
    const rank = Math.round(((i + 1) / count) * times.length);
    return `${x.at(times[rank - 1]!).toFixed(1)} ${y.at(rank / times.length).toFixed(1)}`;
  });
  return `M${x.at(times[0]!).toFixed(1)} ${y.at(0).toFixed(1)}L${points.join('L')}`;
}
