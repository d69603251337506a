import { type Plot, type Text, tableOf } from '../document.ts';
import { amount, factor, fps } from '../figures.ts';
import { horizontalAxis } from './axes.ts';
import { logScale } from './scale.ts';
import { bothWidths, drawing, fitted, label, labelWidth, line, tag } from './svg.ts';

const ROW = 34;
const BAR = 18;
/** Row height where the label stands above its bar. */
const NARROW_ROW = 48;

export interface Gain {
  readonly name: string;
  /** Ratio of frames per second; null if it was not predicted. */
  readonly predicted: number | null;
  readonly measured: number;
}

/**
 * Draws how changes, one after the other, lead from one rate to another, with what was predicted for each. The end is where all of
 * them together were measured.
 */
export function gainWaterfall(
  title: string,
  caption: Text,
  { startFps, endFps }: { readonly startFps: number; readonly endFps: number },
  gains: readonly Gain[],
): Plot {
  const ends = [startFps];
  for (const { measured } of gains) ends.push(ends.at(-1)! * measured);
  return {
    title,
    caption,
    ...bothWidths((width) => draw(title, width, ends, endFps, gains)),
    table: tableOf(
      ['Change', '>Predicted', '>Measured', '>Rate after it'],
      [
        ['baseline', '', '', fps(startFps)],
        ...gains.map(({ name, predicted, measured }, i) => [
          name,
          predicted === null ? '–' : factor(predicted),
          factor(measured),
          fps(ends[i + 1]!),
        ]),
        ['best, measured', '', '', fps(endFps)],
      ],
    ),
  };
}

function draw(title: string, width: number, ends: readonly number[], endFps: number, gains: readonly Gain[]): string {
  const isNarrow = width < 500;
  const row = isNarrow ? NARROW_ROW : ROW;
  const left = isNarrow ? 6 : 250;
  const right = width - (isNarrow ? 16 : 60);
  const predictions = gains.map(({ predicted }, i) => ends[i]! * (predicted ?? 1));
  const all = [...ends, endFps, ...predictions].filter((rate) => rate > 0);
  const scale = logScale(Math.min(...all), Math.max(...all), { from: left, to: right, most: isNarrow ? 7 : 10 });
  const bottom = (gains.length + 2) * row + 4;
  const parts = [horizontalAxis(scale, { left, right, top: 8, bottom }, 'frames per second, logarithmic')];
  const place = (i: number): number => i * row + (isNarrow ? 24 : 8);
  const nameAt = (i: number, text: string): string =>
    isNarrow
      ? label(0, place(i) - 7, fitted(text, width))
      : label(left - 14, place(i) + 14, fitted(text, left - 14), { anchor: 'end' });

  const marker = (i: number, name: string, rate: number): string =>
    nameAt(i, name) +
    tag('rect', { x: scale.at(rate) - 3, y: place(i), width: 6, height: BAR, class: 'mark-total' }) +
    beside(scale.at(rate) - 3, scale.at(rate) + 3, place(i) + 14, amount(rate), left, width);

  parts.push(marker(0, 'baseline', ends[0]!));
  gains.forEach(({ name, measured }, i) => {
    const [from, to] = [scale.at(ends[i]!), scale.at(ends[i + 1]!)];
    const [low, high] = [Math.min(from, to), Math.max(from, to)];
    const y = place(i + 1);
    parts.push(
      line(from, place(i) + BAR, from, y, 'connector'),
      nameAt(i + 1, name),
      tag('rect', {
        x: low,
        y,
        width: Math.max(1, high - low),
        height: BAR,
        class: to < from ? 'bar-loss' : 'bar-gain',
      }),
    );
    if (gains[i]!.predicted !== null) {
      const at = scale.at(predictions[i]!);
      parts.push(line(at, y - 4, at, y + BAR + 4, 'mark-predicted'));
    }
    const edge = Math.max(high, gains[i]!.predicted === null ? high : scale.at(predictions[i]!));
    parts.push(beside(low, edge, y + 14, factor(measured), left, width));
  });
  const last = gains.length + 1;
  parts.push(line(scale.at(ends.at(-1)!), place(last - 1) + BAR, scale.at(ends.at(-1)!), place(last), 'connector'));
  parts.push(marker(last, 'best', endFps));
  return drawing(width, bottom + 46, title, ...parts);
}

/** A value right of a bar, or left of it where there is no room. */
function beside(low: number, high: number, y: number, text: string, left: number, width: number): string {
  const isRoomy = high + 8 + labelWidth(text) <= width || low - 8 - labelWidth(text) < left;
  return isRoomy
    ? label(high + 8, y, text, { className: 'strong halo' })
    : label(low - 8, y, text, { anchor: 'end', className: 'strong halo' });
}
