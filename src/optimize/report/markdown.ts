import { DASH } from './figures.ts';
import type { PlotSpec } from './plots.ts';

/**
 * Markdown (GitHub's) from templates. What a template interpolates is escaped unless it is Markdown itself, so no name, label or
 * path can become markup.
 */
export class Markdown {
  readonly source: string;
  /** What it shows as drawings, by name. */
  readonly plots: ReadonlyMap<string, PlotSpec>;

  constructor(source: string, plots: ReadonlyMap<string, PlotSpec> = new Map()) {
    this.source = source;
    this.plots = plots;
  }

  toString(): string {
    return this.source;
  }
}

export type Content = string | Markdown;

/** Makes Markdown of a template: its own text as it is, strings between escaped. */
export function md(parts: TemplateStringsArray, ...values: readonly Content[]): Markdown {
  const source = parts.map((part, i) => part + (i < values.length ? sourceOf(values[i]!) : '')).join('');
  return new Markdown(source, plotsIn(values));
}

function plotsIn(contents: readonly Content[]): ReadonlyMap<string, PlotSpec> {
  return new Map(contents.flatMap((content) => (content instanceof Markdown ? [...content.plots] : [])));
}

function sourceOf(content: Content): string {
  return content instanceof Markdown ? content.source : escaped(content);
}

/** Characters that Markdown or HTML would read as markup; a line break would end a row. */
function escaped(text: string): string {
  return text
    .replace(/[\\*_[\]|~#]/g, '\\$&')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('`', '&#96;')
    .replace(/\s*[\r\n]+\s*/g, ' ')
    .replace(/^(\s*)([-+=])(?=\s|=|$)/, '$1\\$2')
    .replace(/^(\s*\d+)([.)])(?=\s)/, '$1\\$2');
}

export function joined(contents: readonly Content[], separator: string): Markdown {
  return new Markdown(contents.map(sourceOf).join(separator), plotsIn(contents));
}

/** Paragraphs, tables and other blocks, one below the other. Empty ones are left out. */
export function blocks(...contents: readonly Content[]): Markdown {
  return joined(
    contents.filter((content) => sourceOf(content) !== ''),
    '\n\n',
  );
}

export const NOTHING = new Markdown('');

export function strong(text: string): Markdown {
  return md`**${text}**`;
}

export function link(text: string, url: string): Markdown {
  return md`[${text}](${new Markdown(url)})`;
}

/** A name, path or value as it is typed. The fence is longer than any run of backticks inside; a bar would end a cell. */
export function code(text: string): Markdown {
  const line = text.replace(/\s*[\r\n]+\s*/g, ' ').replaceAll('|', '\\|');
  const fence = '`'.repeat(longestRun(line) + 1);
  const pad = /^`|`$/.test(line) || line === '' ? ' ' : '';
  return new Markdown(`${fence}${pad}${line}${pad}${fence}`);
}

/** Lines to type or to copy into a file. */
export function listing(language: 'sh' | 'yaml', lines: readonly string[]): Markdown {
  const content = lines.map((line) => line.replace(/[\r\n]+/g, ' ')).join('\n');
  const fence = '`'.repeat(Math.max(3, longestRun(content) + 1));
  return new Markdown(`${fence}${language}\n${content}\n${fence}`);
}

function longestRun(text: string): number {
  return Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
}

export function list(items: readonly Content[]): Markdown {
  return joined(
    items.map((item) => md`- ${item}`),
    '\n',
  );
}

export function numbered(items: readonly Content[]): Markdown {
  return joined(
    items.map((item, i) => md`${new Markdown(`${i + 1}. `)}${item}`),
    '\n',
  );
}

/** How the cells of a table follow from its rows, by title. A title that begins with `>` is aligned right, for numbers. */
export type Columns<Row> = Readonly<Record<string, (row: Row, place: number) => Content | null>>;

/** Makes a table; nothing without rows. A cell that is null is a dash. */
export function table<Row>(rows: readonly Row[], columns: Columns<Row>): Markdown {
  if (rows.length === 0) return NOTHING;
  const line = (cells: readonly Content[]): Markdown => md`| ${joined(cells, ' | ')} |`;
  const titles = Object.keys(columns);
  return joined(
    [
      line(titles.map((title) => title.replace(/^>/, ''))),
      line(titles.map((title) => new Markdown(title.startsWith('>') ? '---:' : '---'))),
      ...rows.map((row, place) => line(Object.values(columns).map((cell) => cell(row, place) ?? DASH))),
    ],
    '\n',
  );
}

/** A chapter that opens on a click. Its title is fixed text. */
export function folded(title: string, ...contents: readonly Content[]): Markdown {
  const body = blocks(...contents);
  if (body.source === '') return NOTHING;
  return md`<details>\n<summary>${new Markdown(title)}</summary>\n\n${body}\n\n</details>`;
}

/** More measurements of one figure are a number. */
const MOST_IDS = 2;

/** Names the measurements that the figures before it come from; nothing without any. */
export function measured(...ids: readonly string[]): Markdown {
  const own = [...new Set(ids)];
  if (own.length === 0) return NOTHING;
  const shown = own.slice(0, MOST_IDS).map((id) => link(id, `#${encodeURIComponent(id)}`));
  const rest =
    own.length > MOST_IDS ? [link(`+${own.length - MOST_IDS}`, `#${encodeURIComponent(own[MOST_IDS]!)}`)] : [];
  return md` ${joined([...shown, ...rest], ' ')}`;
}

/** The place that `measured` leads to. */
export function anchor(id: string): Markdown {
  return new Markdown(`<a id="${encodeURIComponent(id)}"></a>${escaped(id)}`);
}

/** A drawing, in a file of the folder `plots`; its text is read aloud in its place. */
export function image(name: string, text: string, plot: PlotSpec): Markdown {
  return new Markdown(md`![${text}](plots/${new Markdown(name)}.svg)`.source, new Map([[name, plot]]));
}

/** Writes a word of a command so that a shell takes it as one. */
export function shellQuoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
