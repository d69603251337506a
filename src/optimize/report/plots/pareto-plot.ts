import { type Plot, type Span, type Text, tableOf } from '../document.ts';
import { amount, fps, ms, score } from '../figures.ts';
import { horizontalAxis, verticalAxis } from './axes.ts';
import { linearScale, logScale, type Scale } from './scale.ts';
import { bothWidths, drawing, label, labelWidth, line, tag } from './svg.ts';

const HEIGHT = 330;
const RADIUS = 10;

export interface ParetoMark {
  readonly name: Text;
  readonly fps: number;
  readonly p99Ms: number;
  /** null if it was not measured. */
  readonly ap: number | null;
  readonly cpuMsPerFrame: number | null;
  readonly kind: 'baseline' | 'front' | 'best' | 'refused';
  readonly measured: Span;
}

/**
 * Draws accuracy against rate, or the 99th percentile against rate where accuracy was not measured. Points have the numbers of
 * the table's rows. @param lowestAp - accuracy that is still allowed; null if there is no such limit.
 */
export function paretoPlot(title: string, caption: Text, marks: readonly ParetoMark[], lowestAp: number | null): Plot {
  const hasAp = marks.every(({ ap }) => ap !== null);
  return {
    title,
    caption,
    ...bothWidths((width) => draw(title, width, marks, hasAp, lowestAp)),
    table: tableOf(
      ['Point', 'Configuration', '>AP', '>Rate', '>p99', '>CPU a frame'],
      marks.map((mark, i) => [
        `${i + 1}`,
        [...mark.name, ...(mark.kind === 'front' ? [] : [` (${mark.kind})`]), mark.measured],
        mark.ap === null ? '–' : score(mark.ap),
        fps(mark.fps),
        ms(mark.p99Ms),
        mark.cpuMsPerFrame === null ? '–' : ms(mark.cpuMsPerFrame),
      ]),
    ),
  };
}

function draw(
  title: string,
  width: number,
  marks: readonly ParetoMark[],
  hasAp: boolean,
  lowestAp: number | null,
): string {
  const frame = { left: 52, right: width - 18, top: 44, bottom: HEIGHT };
  const rates = marks.map((mark) => mark.fps);
  const x = logScale(Math.min(...rates) * 0.9, Math.max(...rates) * 1.1, {
    from: frame.left,
    to: frame.right,
    most: width < 500 ? 7 : 10,
  });
  const values = marks.map((mark) => (hasAp ? mark.ap! : mark.p99Ms));
  const shown = hasAp && lowestAp !== null ? [...values, lowestAp] : values;
  const pad = (Math.max(...shown) - Math.min(...shown)) * 0.12 || Math.max(...shown) * 0.05;
  const y = linearScale(Math.max(0, Math.min(...shown) - pad), Math.max(...shown) + pad, {
    from: frame.bottom,
    to: frame.top,
    most: 6,
  });
  const placed = spread(marks.map((mark, i) => ({ x: x.at(mark.fps), y: y.at(values[i]!) })));
  const parts = [
    verticalAxis(y, frame, hasAp ? 'average precision, higher is better' : 'p99, ms, lower is better'),
    horizontalAxis(x, frame, 'frames per second, logarithmic'),
  ];
  if (hasAp && lowestAp !== null) parts.push(limitLine(y.at(lowestAp), frame, lowestAp));
  parts.push(frontLine(marks, values, hasAp, x, y));
  marks.forEach((mark, i) => {
    const at = placed[i]!;
    const own = { x: x.at(mark.fps), y: y.at(values[i]!) };
    if (Math.hypot(own.x - at.x, own.y - at.y) > 1)
      parts.push(
        line(own.x, own.y, at.x, at.y, 'connector'),
        tag('circle', { cx: own.x, cy: own.y, r: 2.5, class: 'pin' }),
      );
    parts.push(
      shapeOf(mark.kind, at.x, at.y),
      label(at.x, at.y + 4, `${i + 1}`, { anchor: 'middle', className: `on-${mark.kind}` }),
    );
  });
  return drawing(width, HEIGHT + 82, title, ...parts, legend(HEIGHT + 70, marks, width < 500 ? 14 : 30));
}

function limitLine(at: number, { left, right }: { left: number; right: number }, lowestAp: number): string {
  const text = `lowest allowed, ${amount(lowestAp)}`;
  return (
    line(left, at, right, at, 'target') +
    label(right - 2, at - 6, text, { anchor: 'end', className: 'target-text halo' })
  );
}

/** A staircase through the points that no other beats in both figures. */
function frontLine(
  marks: readonly ParetoMark[],
  values: readonly number[],
  hasAp: boolean,
  x: Scale,
  y: Scale,
): string {
  const isBetter = (a: number, b: number): boolean => (hasAp ? a > b : a < b);
  const allowed = marks.map((mark, i) => ({ rate: mark.fps, value: values[i]!, kind: mark.kind }));
  const candidates = allowed.filter(({ kind }) => kind !== 'refused').sort((a, b) => b.rate - a.rate);
  const front: typeof candidates = [];
  for (const point of candidates)
    if (front.length === 0 || isBetter(point.value, front.at(-1)!.value)) front.push(point);
  if (front.length < 2) return '';
  const [first, ...others] = front;
  const steps = others.map(({ rate, value }) => `V${y.at(value).toFixed(1)}H${x.at(rate).toFixed(1)}`);
  return tag('path', {
    d: `M${x.at(first!.rate).toFixed(1)} ${y.at(first!.value).toFixed(1)}${steps.join('')}`,
    class: 'front',
  });
}

function shapeOf(kind: ParetoMark['kind'], cx: number, cy: number): string {
  if (kind === 'baseline')
    return tag('rect', {
      x: cx - RADIUS,
      y: cy - RADIUS,
      width: 2 * RADIUS,
      height: 2 * RADIUS,
      class: 'mark-baseline',
    });
  if (kind === 'refused')
    return tag('path', {
      d: `M${cx.toFixed(1)} ${(cy - 13).toFixed(1)}l13 13l-13 13l-13 -13z`,
      class: 'mark-refused',
    });
  return tag('circle', { cx, cy, r: kind === 'best' ? RADIUS + 2 : RADIUS, class: `mark-${kind}` });
}

function legend(y: number, marks: readonly ParetoMark[], gap: number): string {
  const kinds = (['baseline', 'front', 'best', 'refused'] as const).filter((kind) =>
    marks.some((m) => m.kind === kind),
  );
  let x = 14;
  return kinds
    .map((kind) => {
      const markup = shapeOf(kind, x, y - 4) + label(x + 20, y, kind);
      x += 20 + labelWidth(kind) + gap;
      return markup;
    })
    .join('');
}

/** Moves marks that would cover each other apart, the later one upwards or downwards. */
function spread(points: readonly { readonly x: number; readonly y: number }[]): readonly { x: number; y: number }[] {
  const least = 2 * RADIUS + 5;
  const placed: { x: number; y: number }[] = [];
  for (const point of points) {
    const offsets = [0, 1, -1, 2, -2, 3, -3, 4, -4].flatMap((n) => [
      { x: point.x, y: point.y + n * least },
      { x: point.x + n * least, y: point.y },
    ]);
    const isFree = (at: { x: number; y: number }): boolean =>
      at.y > 30 &&
      at.y < HEIGHT - 10 &&
      at.x > 60 &&
      placed.every((other) => Math.hypot(other.x - at.x, other.y - at.y) >= least);
    placed.push(offsets.find(isFree) ?? point);
  }
  return placed;
}
