import { type Scale, tickText } from './scale.ts';
import { label, labelWidth, line } from './svg.ts';

/** Space that a plot leaves around its data, in pixels. */
export interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Draws a horizontal axis at the bottom with its grid, its ticks and, below them, what it measures in which unit. */
export function horizontalAxis(scale: Scale, { left, right, top, bottom }: Frame, title: string, unit = ''): string {
  let freeFrom = Number.NEGATIVE_INFINITY;
  const ticks = scale.ticks.map((tick) => {
    const x = scale.at(tick);
    const text = `${tickText(tick)}${unit}`;
    const half = labelWidth(text) / 2;
    const grid = line(x, top, x, bottom, 'grid');
    if (x - half < freeFrom) return grid;
    freeFrom = x + half + 8;
    return grid + label(Math.max(x, half + 1), bottom + 18, text, { anchor: 'middle', className: 'muted' });
  });
  return [
    ...ticks,
    line(left, bottom, right, bottom, 'axis'),
    label((left + right) / 2, bottom + 38, title, { anchor: 'middle', className: 'muted' }),
  ].join('');
}

/** A title above an axis stays in the first line of a plot, so that labels fit below it. */
const TITLE_MOST = 14;

/** Draws a vertical axis on the left with its grid and ticks, and what it measures above it. */
export function verticalAxis(scale: Scale, { left, right, top }: Frame, title: string, unit = ''): string {
  const decimals = Math.max(...scale.ticks.map((tick) => tickText(tick).split('.')[1]?.length ?? 0));
  const ticks = scale.ticks.map((tick) => {
    const y = scale.at(tick);
    return (
      line(left, y, right, y, 'grid') +
      label(left - 8, y + 4, `${tickText(tick, decimals)}${unit}`, { anchor: 'end', className: 'muted' })
    );
  });
  return ticks.join('') + label(0, Math.min(top - 14, TITLE_MOST), title, { className: 'muted' });
}
