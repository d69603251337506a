import type { Block, Plot, ReportDocument, Span, Table, Text } from './document.ts';

/** Renders a report as Markdown (GitHub's): the same text and tables; plots become the tables of their figures. */
export function renderMarkdown({ title, subtitle, sections }: ReportDocument): string {
  const parts = [
    `# ${escapeText(title)}`,
    textOf(subtitle),
    ...sections.flatMap(({ title: name, blocks }) => [`## ${escapeText(name)}`, ...blocks.flatMap(renderBlock)]),
  ];
  return `${parts.join('\n\n')}\n`;
}

function renderBlock(block: Block): readonly string[] {
  switch (block.kind) {
    case 'paragraph':
      return [textOf(block.text)];
    case 'lead':
      return block.sentences.map(textOf);
    case 'heading':
      return [`### ${escapeText(block.text)}`];
    case 'list':
      return [block.items.map((item) => `- ${textOf(item)}`).join('\n')];
    case 'key-figures': {
      const rows = block.figures.map(({ label, before, after, change }) => [label, before, after, change]);
      return [
        renderRows(
          ['Figure', 'Before', 'After', 'Change'],
          rows.map((row) => row.map(escapeText)),
          [],
        ),
      ];
    }
    case 'table':
      return [renderTable(block.table)];
    case 'plot':
      return renderPlot(block.plot);
    case 'listing':
      return [listingOf(block.language, block.lines)];
  }
}

function renderPlot({ title, caption, table }: Plot): readonly string[] {
  return [`### ${escapeText(title)}`, textOf(caption), renderTable(table)];
}

function renderTable({ columns, rows, rowIds }: Table): string {
  const cells = rows.map((row, i) =>
    row.map(({ text }, column) => {
      const anchor = rowIds !== undefined && column === 0 ? `<a id="${escapeAttribute(rowIds[i]!)}"></a>` : '';
      return anchor + textOf(text).trim();
    }),
  );
  return renderRows(
    columns.map(({ title }) => escapeText(title)),
    cells,
    columns.map(({ align }) => align),
  );
}

function renderRows(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  aligns: readonly string[],
): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(titles),
    line(titles.map((_, i) => (aligns[i] === 'right' ? '---:' : '---'))),
    ...rows.map((row) => line(row)),
  ].join('\n');
}

function textOf(text: Text): string {
  return text.map(spanOf).join('');
}

function spanOf(span: Span): string {
  if (typeof span === 'string') return escapeText(span);
  switch (span.kind) {
    case 'strong':
      return `**${escapeText(span.text)}**`;
    case 'code':
      return codeOf(span.text);
    case 'link':
      return `[${escapeText(span.text)}](${span.url})`;
    case 'measured':
      return span.ids.length === 0
        ? ''
        : ` [${span.ids.map((id) => escapeText(id)).join(' ')}](#${encodeURIComponent(span.ids[0]!)})`;
  }
}

/** Characters that Markdown or HTML would read as markup; line breaks would end a table's row. */
function escapeText(text: string): string {
  return text
    .replace(/[\\*_[\]|]/g, (char) => `\\${char}`)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('`', '&#96;')
    .replace(/\s*[\r\n]+\s*/g, ' ');
}

function escapeAttribute(text: string): string {
  return escapeText(text).replaceAll('"', '&quot;');
}

/** A fenced block, with a fence that is longer than any run of backticks inside. */
function listingOf(language: string, lines: readonly string[]): string {
  const content = lines.join('\n');
  const fence = '`'.repeat(Math.max(3, longestRun(content) + 1));
  return `${fence}${language}\n${content}\n${fence}`;
}

function longestRun(text: string): number {
  return Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
}

/** A code span. Its fence is longer than any run of backticks inside; a bar would end a table's cell. */
function codeOf(text: string): string {
  const line = text.replace(/\s*[\r\n]+\s*/g, ' ').replaceAll('|', '\\|');
  const fence = '`'.repeat(longestRun(line) + 1);
  const pad = line.startsWith('`') || line.endsWith('`') ? ' ' : '';
  return `${fence}${pad}${line}${pad}${fence}`;
}
