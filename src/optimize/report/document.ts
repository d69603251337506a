/**
 * A report as data: sections of blocks of text, tables and plots. Both renderers read the same objects, so the page and the
 * text cannot disagree. Text is plain: the renderers escape it.
 */

/** A piece of a sentence. */
export type Span =
  | string
  | { readonly kind: 'strong'; readonly text: string }
  /** A name, path or value as it is typed. */
  | { readonly kind: 'code'; readonly text: string }
  | { readonly kind: 'link'; readonly text: string; readonly url: string }
  /** The measurements that the figures before it come from. */
  | { readonly kind: 'measured'; readonly ids: readonly string[] };

export type Text = readonly Span[];

export type Tone = 'good' | 'bad' | 'neutral';

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

export interface Cell {
  readonly text: Text;
  /** A word such as a verdict, drawn as a label. */
  readonly tone?: Tone;
}

export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
  /** Ids of the rows, for links to them. */
  readonly rowIds?: readonly string[];
  /** Long tables scroll sideways on a phone; the others turn their rows into cards. */
  readonly isLong?: boolean;
}

/** A drawing for a wide and for a narrow screen, and the figures that it shows. */
export interface Plot {
  readonly title: string;
  /** One sentence about how to read it. */
  readonly caption: Text;
  readonly wide: string;
  readonly narrow: string;
  readonly table: Table;
}

/** A figure before and after, large. */
export interface KeyFigure {
  readonly label: string;
  readonly before: string;
  readonly after: string;
  readonly change: string;
  readonly tone: Tone;
}

export type Block =
  | { readonly kind: 'paragraph'; readonly text: Text }
  | { readonly kind: 'lead'; readonly sentences: readonly Text[] }
  | { readonly kind: 'heading'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly Text[] }
  | { readonly kind: 'key-figures'; readonly figures: readonly KeyFigure[] }
  | { readonly kind: 'table'; readonly table: Table }
  | { readonly kind: 'plot'; readonly plot: Plot }
  /** Lines to type or to copy into a file. */
  | { readonly kind: 'listing'; readonly language: 'sh' | 'yaml'; readonly lines: readonly string[] };

export interface Section {
  /** Unique in the report; the anchor of its heading. */
  readonly id: string;
  readonly title: string;
  readonly blocks: readonly Block[];
}

export interface ReportDocument {
  readonly title: string;
  /** One line under the title. */
  readonly subtitle: Text;
  readonly sections: readonly Section[];
  /** What a measurement's id shows when the pointer rests on it. */
  readonly measurementTitles: ReadonlyMap<string, string>;
}

export function paragraph(...text: Text): Block {
  return { kind: 'paragraph', text };
}

export function heading(text: string): Block {
  return { kind: 'heading', text };
}

export function code(text: string): Span {
  return { kind: 'code', text };
}

export function strong(text: string): Span {
  return { kind: 'strong', text };
}

export function link(text: string, url: string): Span {
  return { kind: 'link', text, url };
}

/** Names the measurements of the figures before it; nothing if there are none. */
export function measured(...ids: readonly string[]): Span {
  return { kind: 'measured', ids: [...new Set(ids)] };
}

/**
 * Makes a table.
 *
 * @param columns - titles; one that begins with `>` is aligned right, for numbers.
 * @throws RangeError if a row has another number of cells.
 */
export function tableOf(columns: readonly string[], rows: readonly (readonly (Span | Cell | Text)[])[]): Table {
  const wrong = rows.find((row) => row.length !== columns.length);
  if (wrong !== undefined)
    throw new RangeError(`a table of ${columns.length} columns has a row of ${wrong.length}: ${JSON.stringify(wrong)}`);
  return {
    columns: columns.map((title) => ({
      title: title.replace(/^>/, ''),
      align: title.startsWith('>') ? 'right' : 'left',
    })),
    rows: rows.map((row) => row.map(cellOf)),
  };
}

function cellOf(content: Span | Cell | Text): Cell {
  if (typeof content === 'string') return { text: [content] };
  if (Array.isArray(content)) return { text: content };
  return 'kind' in content ? { text: [content] } : (content as Cell);
}

/** Writes a word of a command so that a shell takes it as one. */
export function shellQuoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Every measurement that a document names, in order of appearance, without repeats. */
export function namedMeasurements(document: ReportDocument): readonly string[] {
  const ids = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isMeasured(value)) for (const id of value.ids) ids.add(id);
    else for (const part of Object.values(value)) visit(part);
  };
  visit(document.subtitle);
  visit(document.sections);
  return [...ids];
}

function isMeasured(value: object): value is { readonly kind: 'measured'; readonly ids: readonly string[] } {
  return 'kind' in value && value.kind === 'measured';
}
