import { type Plot, type Text, tableOf } from '../document.ts';
import { factor, ms, percent } from '../figures.ts';
import { horizontalAxis } from './axes.ts';
import { linearScale } from './scale.ts';
import { bothWidths, drawing, label, labelWidth, tag } from './svg.ts';

/** Parts of a frame's time in the order in which it passes them. Others follow, then what no part accounts for. */
const ORDER = ['read', 'decode', 'preprocess', 'wait', 'infer', 'postprocess', 'track', 'publish'];
const REST = 'unaccounted';
const BAR_HEIGHT = 34;
const ROW_HEIGHT = 68;
/** A bar below this share of the longest is drawn once more at its own scale. */
const ENLARGE_BELOW = 0.4;

export interface StageBar {
  readonly name: string;
  /** Milliseconds of each part. */
  readonly stagesMs: Readonly<Record<string, number>>;
}

/** Draws the time of a frame by stage as one bar each, with a common axis. Stages are segments in order. */
export function stageBars(title: string, caption: Text, bars: readonly StageBar[]): Plot {
  const stages = stagesOf(bars);
  const totals = bars.map(({ stagesMs }) => sum(stagesMs));
  return {
    title,
    caption,
    ...bothWidths((width) => draw(title, width, stages, bars)),
    table: tableOf(
      ['Stage', ...bars.flatMap(({ name }) => [`>${name}`, '>share'])],
      [
        ...stages.map((stage) => [
          stage,
          ...bars.flatMap(({ stagesMs }, i) => {
            const time = stagesMs[stage] ?? 0;
            return [ms(time), totals[i] === 0 ? '–' : percent(time / totals[i]!)];
          }),
        ]),
        ['whole', ...totals.flatMap((total) => [ms(total), ''])],
      ],
    ),
  };
}

/** Stages that take time in at least one bar. */
function stagesOf(bars: readonly StageBar[]): readonly string[] {
  const present = new Set(
    bars.flatMap(({ stagesMs }) => Object.keys(stagesMs).filter((stage) => stagesMs[stage]! > 0)),
  );
  const others = [...present].filter((stage) => !ORDER.includes(stage) && stage !== REST).sort();
  return [...ORDER, ...others, REST].filter((stage) => present.has(stage));
}

function sum(stagesMs: Readonly<Record<string, number>>): number {
  return Object.values(stagesMs).reduce((total, time) => total + time, 0);
}

function draw(title: string, width: number, stages: readonly string[], bars: readonly StageBar[]): string {
  const longest = Math.max(...bars.map(({ stagesMs }) => sum(stagesMs)));
  const scale = linearScale(0, longest, { from: 0, to: width - 16, most: width < 500 ? 5 : 9 });
  const parts: string[] = [];
  let y = 0;
  const axis = horizontalAxis(
    scale,
    { left: 0, right: width - 16, top: 14, bottom: bars.length * ROW_HEIGHT },
    'mean time of a frame, ms',
  );
  for (const bar of bars) {
    parts.push(
      drawBar(bar, stages, y, (time) => scale.at(time) - scale.at(0), `${bar.name}: ${ms(sum(bar.stagesMs))}`),
    );
    y += ROW_HEIGHT;
  }
  y += 52;
  for (const bar of bars) {
    const total = sum(bar.stagesMs);
    if (total === 0 || total >= longest * ENLARGE_BELOW) continue;
    const text = `${bar.name}, enlarged ${factor(longest / total)}`;
    const zoom = longest / total;
    parts.push(drawBar(bar, stages, y, (time) => (scale.at(time * zoom) - scale.at(0)) * 0.999, text));
    y += ROW_HEIGHT;
  }
  const legend = drawLegend(stages, y + 14, width);
  return drawing(width, legend.bottom, title, axis, ...parts, legend.markup);
}

function drawBar(
  { stagesMs }: StageBar,
  stages: readonly string[],
  y: number,
  lengthOf: (time: number) => number,
  text: string,
): string {
  const parts = [label(0, y + 16, text, { className: 'strong' })];
  let x = 0;
  for (const stage of stages) {
    const length = lengthOf(stagesMs[stage] ?? 0);
    if (length <= 0) continue;
    parts.push(tag('rect', { x, y: y + 24, width: length, height: BAR_HEIGHT, class: `segment ${classOf(stage)}` }));
    const name = ms(stagesMs[stage]!);
    const fits = [`${stage} ${name}`, name].find((candidate) => labelWidth(candidate) + 8 <= length);
    if (fits !== undefined)
      parts.push(label(x + length / 2, y + 24 + 21, fits, { anchor: 'middle', className: `on-${classOf(stage)}` }));
    x += length;
  }
  return parts.join('');
}

function drawLegend(stages: readonly string[], top: number, width: number): { markup: string; bottom: number } {
  let [x, y] = [0, top];
  const parts = stages.map((stage) => {
    const length = 20 + labelWidth(stage) + 16;
    if (x > 0 && x + length > width) [x, y] = [0, y + 24];
    const markup =
      tag('rect', { x: x + 0.5, y: y - 10.5, width: 13, height: 13, class: `segment ${classOf(stage)}` }) +
      label(x + 20, y, stage);
    x += length;
    return markup;
  });
  return { markup: parts.join(''), bottom: y + 10 };
}

function classOf(stage: string): string {
  return ORDER.includes(stage) || stage === REST ? `stage-${stage}` : 'stage-other';
}
