import { BUSY_STAGES, type BusyStage } from '../../../protocol/report.ts';
import { type Plot, type Text, tableOf } from '../document.ts';
import { percent } from '../figures.ts';
import type { ReportWindow } from '../report-input.ts';
import { horizontalAxis, verticalAxis } from './axes.ts';
import { linearScale, type Scale } from './scale.ts';
import { bothWidths, drawing, label, labelWidth, line, tag } from './svg.ts';

const PANEL_HEIGHT = 150;
const PANEL_GAP = 96;

export interface BusyPanel {
  readonly name: string;
  /** In order; at least one. */
  readonly windows: readonly ReportWindow[];
}

/** Draws the busy share of each stage over time, one panel a trial; windows that did not count are shaded. */
export function busyLines(title: string, caption: Text, panels: readonly BusyPanel[]): Plot {
  return {
    title,
    caption,
    ...bothWidths((width) => draw(title, width, panels)),
    table: tableOf(
      ['Stage', ...panels.flatMap(({ name }) => [`>${name}, mean`, '>highest'])],
      BUSY_STAGES.map((stage) => [
        stage,
        ...panels.flatMap(({ windows }) => {
          const shares = windows.filter((window) => !window.isDiscarded).map(({ busyRatio }) => busyRatio[stage]);
          if (shares.length === 0) return ['–', '–'];
          return [percent(shares.reduce((a, b) => a + b, 0) / shares.length), percent(Math.max(...shares))];
        }),
      ]),
    ),
  };
}

function draw(title: string, width: number, panels: readonly BusyPanel[]): string {
  const frame = { left: 48, right: width - 14 };
  const parts = panels.map((panel, i) => drawPanel(panel, { ...frame, top: 40 + i * (PANEL_HEIGHT + PANEL_GAP) }));
  const legendTop = panels.length * (PANEL_HEIGHT + PANEL_GAP) + 20;
  const legend = drawLegend(
    legendTop,
    width,
    panels.some(({ windows }) => windows.some((window) => window.isDiscarded)),
  );
  return drawing(width, legend.bottom, title, ...parts, legend.markup);
}

function drawPanel(
  { name, windows }: BusyPanel,
  { left, right, top }: { readonly left: number; readonly right: number; readonly top: number },
): string {
  const bottom = top + PANEL_HEIGHT;
  const spans: { readonly from: number; readonly to: number }[] = [];
  for (const { seconds } of windows) {
    const from = spans.at(-1)?.to ?? 0;
    spans.push({ from, to: from + seconds });
  }
  const end = spans.at(-1)!.to;
  const full = linearScale(0, end, { from: left, to: right, most: right - left < 400 ? 5 : 9 });
  // The data fills the width: ticks beyond its end are left out.
  const x: Scale = {
    ticks: full.ticks.filter((tick) => tick <= end + 1e-9),
    at: (seconds) => left + (seconds / end) * (right - left),
  };
  const y = linearScale(0, 100, { from: bottom, to: top, most: 5 });
  const frame = { left, right, top, bottom };
  const shaded = spans.flatMap(({ from, to }, i) =>
    windows[i]!.isDiscarded
      ? [tag('rect', { x: x.at(from), y: top, width: x.at(to) - x.at(from), height: PANEL_HEIGHT, class: 'discarded' })]
      : [],
  );
  const curves = BUSY_STAGES.map((stage) => {
    const points = windows.flatMap(({ busyRatio }, i) => {
      const height = y.at(Math.min(1, busyRatio[stage]) * 100).toFixed(1);
      return [`${x.at(spans[i]!.from).toFixed(1)} ${height}`, `${x.at(spans[i]!.to).toFixed(1)} ${height}`];
    });
    return tag('path', { d: `M${points.join('L')}`, class: `curve busy-${stage}` });
  });
  return [
    ...shaded,
    label(0, top - 24, name, { className: 'strong' }),
    verticalAxis(y, { ...frame, top: top + 6 }, '', ' %'),
    horizontalAxis(x, frame, 'seconds of the trial'),
    ...curves,
  ].join('');
}

const NAMES: Readonly<Record<BusyStage, string>> = {
  decode: 'decode',
  preprocess: 'preprocess',
  infer: 'infer',
  main: 'main thread',
};

function drawLegend(top: number, width: number, hasDiscarded: boolean): { markup: string; bottom: number } {
  let [x, y] = [0, top];
  const entry = (mark: (x: number, y: number) => string, text: string): string => {
    const length = 34 + labelWidth(text) + 18;
    if (x > 0 && x + length > width) [x, y] = [0, y + 24];
    const markup = mark(x, y) + label(x + 34, y, text);
    x += length;
    return markup;
  };
  const entries = BUSY_STAGES.map((stage) =>
    entry((atX, atY) => line(atX, atY - 4, atX + 26, atY - 4, `curve busy-${stage}`), NAMES[stage]),
  );
  if (hasDiscarded)
    entries.push(
      entry(
        (atX, atY) => tag('rect', { x: atX, y: atY - 11, width: 26, height: 14, class: 'discarded' }),
        'not counted',
      ),
    );
  return { markup: entries.join(''), bottom: y + 10 };
}
