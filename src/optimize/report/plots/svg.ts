/** Small pieces of SVG. Colours are CSS variables of the page, so that a plot follows light and dark. */

/** Escapes text for HTML, SVG and the values of their attributes. */
export function escapeMarkup(text: string): string {
  return text.replace(
    /[&<>"']/g,
    (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[char]!,
  );
}

type Attributes = Readonly<Record<string, string | number>>;

function attributesOf(attributes: Attributes): string {
  return Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${typeof value === 'number' ? coordinate(value) : escapeMarkup(value)}"`)
    .join('');
}

/** At most two decimals: a hundredth of a pixel. */
export function coordinate(value: number): string {
  return String(Math.round(value * 100) / 100);
}

export function tag(name: string, attributes: Attributes, ...children: readonly string[]): string {
  if (children.length === 0) return `<${name}${attributesOf(attributes)}/>`;
  return `<${name}${attributesOf(attributes)}>${children.join('')}</${name}>`;
}

export interface LabelStyle {
  readonly anchor?: 'start' | 'middle' | 'end';
  /** Class of the page's style: `muted`, `strong`, or one of a fill. */
  readonly className?: string;
}

/** Text whose baseline is at y. */
export function label(
  x: number,
  y: number,
  text: string,
  { anchor = 'start', className = '' }: LabelStyle = {},
): string {
  return tag(
    'text',
    { x, y, 'text-anchor': anchor, ...(className === '' ? {} : { class: className }) },
    escapeMarkup(text),
  );
}

export function line(x1: number, y1: number, x2: number, y2: number, className: string): string {
  return tag('line', { x1, y1, x2, y2, class: className });
}

/** An element of the page with a drawing of this size; `title` is read aloud in its place. */
export function drawing(width: number, height: number, title: string, ...parts: readonly string[]): string {
  return tag(
    'svg',
    { viewBox: `0 0 ${coordinate(width)} ${coordinate(height)}`, role: 'img', 'aria-label': title },
    ...parts,
  );
}

/** Width of a label in pixels at the size of plots, 12 px, on the safe side for common sans-serif fonts. */
export function labelWidth(text: string): number {
  return text.length * 6.9;
}

/** Shortens a label to a width with an ellipsis. */
export function fitted(text: string, width: number): string {
  const most = Math.max(1, Math.floor(width / 6.9));
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** Widths that every plot is drawn for: pages on a desk and phones. */
export const PLOT_WIDTHS = { wide: 760, narrow: 340 } as const;

/** Draws one plot for both widths. */
export function bothWidths(draw: (width: number) => string): { wide: string; narrow: string } {
  return { wide: draw(PLOT_WIDTHS.wide), narrow: draw(PLOT_WIDTHS.narrow) };
}
