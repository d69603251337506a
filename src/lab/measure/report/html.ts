import { DASH } from './figures.ts';

/** HTML that is written as it is. */
export class Html {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

/** What a template takes: text is escaped, parts of a list follow each other, and null is nothing. */
export type Content = string | number | Html | readonly Content[] | null;

/** Makes HTML of a template: its own text as it is, what stands between escaped, so that no name becomes markup. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.map((part, i) => part + (i < values.length ? sourceOf(values[i]!) : '')).join(''));
}

export const NOTHING = new Html('');

function sourceOf(content: Content): string {
  if (content === null) return '';
  if (content instanceof Html) return content.source;
  return typeof content === 'object' ? content.map(sourceOf).join('') : escaped(String(content));
}

const CHARACTERS: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => CHARACTERS[char]!);
}

function isEmpty(content: Content): boolean {
  return sourceOf(content) === '';
}

/** A name, path or value as it is typed. */
export function code(text: string): Html {
  return html`<code>${text}</code>`;
}

/** Lines to type or to copy into a file. */
export function listing(lines: readonly string[]): Html {
  return html`<pre><code>${lines.join('\n')}</code></pre>`;
}

/** A list; nothing without items. */
export function list(items: readonly Content[]): Html {
  return items.length === 0 ? NOTHING : html`<ul>${items.map((item) => html`<li>${item}</li>`)}</ul>`;
}

export type Tone = 'good' | 'bad' | 'neutral';

const TONES: Readonly<Record<string, Tone>> = {
  met: 'good',
  passed: 'good',
  better: 'good',
  steady: 'good',
  yes: 'good',
  missed: 'bad',
  refused: 'bad',
  worse: 'bad',
  failed: 'bad',
  grows: 'bad',
  no: 'bad',
  differs: 'bad',
};

/** A verdict in one word, coloured by what it says. */
export function verdict(word: string): Html {
  return html`<strong class="tone ${TONES[word] ?? 'neutral'}">${word}</strong>`;
}

/** How the cells of a table follow from its rows, by title. A title that begins with `>` is aligned right, for numbers. */
export type Columns<Row> = Readonly<Record<string, (row: Row, place: number) => Content>>;

/** More columns turn into cards on a phone. */
const MOST_NARROW_COLUMNS = 3;

/** Makes a table; nothing without rows. A cell that is null is a dash. */
export function table<Row>(rows: readonly Row[], columns: Columns<Row>): Html {
  if (rows.length === 0) return NOTHING;
  const heads = Object.keys(columns).map((title) => ({
    name: title.replace(/^>/, ''),
    isRight: title.startsWith('>'),
  }));
  const cells = Object.values(columns);
  const classOf = (place: number): Html => (heads[place]!.isRight ? html` class="right"` : NOTHING);
  const line = (row: Row, place: number): Html =>
    html`<tr>${cells.map((cell, i) => html`<td${classOf(i)} data-title="${heads[i]!.name}">${cell(row, place) ?? DASH}</td>`)}</tr>`;
  return html`<div class="table${heads.length > MOST_NARROW_COLUMNS ? ' cards' : ''}"><table><thead><tr>${heads.map(
    ({ name }, i) => html`<th${classOf(i)}>${name}</th>`,
  )}</tr></thead><tbody>${rows.map(line)}</tbody></table></div>`;
}

/** A chapter that opens on a click; nothing without content. */
export function folded(title: string, ...contents: readonly Content[]): Html {
  return contents.every(isEmpty) ? NOTHING : html`<details><summary>${title}</summary>${contents}</details>`;
}

/** More measurements of one figure are a number. */
const MOST_IDS = 2;

/** Names the measurements that the figures before it come from; nothing without any. */
export function measured(...ids: readonly string[]): Html {
  const own = [...new Set(ids)];
  const link = (id: string, text: string): Html => html` <a href="#${encodeURIComponent(id)}">${text}</a>`;
  const rest = own.length > MOST_IDS ? [link(own[MOST_IDS]!, `+${own.length - MOST_IDS}`)] : [];
  return html`${own.slice(0, MOST_IDS).map((id) => link(id, id))}${rest}`;
}

/** The place that `measured` leads to. */
export function anchor(id: string): Html {
  return html`<a id="${encodeURIComponent(id)}"></a>${id}`;
}

/** Writes a word of a command so that a shell takes it as one. */
export function shellQuoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
