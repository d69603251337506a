import type { Block, Cell, KeyFigure, Plot, ReportDocument, Section, Span, Table, Text } from './document.ts';
import { escapeMarkup } from './plots/svg.ts';
import { REPORT_STYLE } from './report-style.ts';

/** Nothing is loaded and nothing runs, whatever a name in the report contains. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";
/** More measurements of one figure are shown as a number. */
const MOST_IDS = 2;
/** Tables with more columns turn into cards on a phone. */
const MOST_NARROW_COLUMNS = 3;

/** Renders a report as one page that needs no network and no script. */
export function renderHtml(document: ReportDocument): string {
  const span = spanRenderer(document.measurementTitles);
  const text = (content: Text): string => content.map(span).join('');
  const links = document.sections.map(
    ({ id, title }) => `<li><a href="#${escapeMarkup(id)}">${escapeMarkup(title)}</a></li>`,
  );
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`,
    '<meta name="color-scheme" content="light dark">',
    `<title>${escapeMarkup(document.title)}</title>`,
    `<style>${REPORT_STYLE}</style>`,
    '</head>',
    '<body>',
    '<div class="page">',
    `<header><h1>${escapeMarkup(document.title)}</h1><p class="subtitle">${text(document.subtitle)}</p></header>`,
    '<div class="columns">',
    `<nav aria-label="Sections"><ol>${links.join('')}</ol></nav>`,
    `<main>${document.sections.map((section) => renderSection(section, text)).join('\n')}</main>`,
    '</div>',
    '</div>',
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

type RenderText = (content: Text) => string;

function renderSection({ id, title, blocks }: Section, text: RenderText): string {
  const content = blocks.map((block) => renderBlock(block, text)).join('\n');
  return `<section id="${escapeMarkup(id)}"><h2>${escapeMarkup(title)}</h2>\n${content}\n</section>`;
}

function renderBlock(block: Block, text: RenderText): string {
  switch (block.kind) {
    case 'paragraph':
      return `<p>${text(block.text)}</p>`;
    case 'lead':
      return `<div class="lead">${block.sentences.map((sentence) => `<p>${text(sentence)}</p>`).join('')}</div>`;
    case 'heading':
      return `<h3>${escapeMarkup(block.text)}</h3>`;
    case 'list':
      return `<ul>${block.items.map((item) => `<li>${text(item)}</li>`).join('')}</ul>`;
    case 'key-figures':
      return `<dl class="key-figures count-${block.figures.length}">${block.figures.map(renderKeyFigure).join('')}</dl>`;
    case 'table':
      return renderTable(block.table, text);
    case 'plot':
      return renderPlot(block.plot, text);
    case 'listing':
      return `<pre><code>${block.lines.map(escapeMarkup).join('\n')}</code></pre>`;
  }
}

function renderKeyFigure({ label, before, after, change, tone }: KeyFigure): string {
  return [
    `<div><dt>${escapeMarkup(label)}</dt>`,
    `<dd class="after">${escapeMarkup(after)}</dd>`,
    `<dd class="before">before ${escapeMarkup(before)}</dd>`,
    `<dd class="change ${tone}">${escapeMarkup(change)}</dd></div>`,
  ].join('');
}

function renderPlot({ title, caption, wide, narrow, table }: Plot, text: RenderText): string {
  return [
    `<figure><h3>${escapeMarkup(title)}</h3><figcaption>${text(caption)}</figcaption>`,
    wide.replace('<svg ', '<svg class="wide" '),
    narrow.replace('<svg ', '<svg class="narrow" '),
    `<details><summary>The figures of this plot</summary>${renderTable(table, text)}</details></figure>`,
  ].join('\n');
}

function renderTable({ columns, rows, rowIds, isLong }: Table, text: RenderText): string {
  const head = columns
    .map(({ title, align }) => `<th scope="col"${classOf(align)}>${escapeMarkup(title)}</th>`)
    .join('');
  const body = rows.map((row, i) => {
    const id = rowIds === undefined ? '' : ` id="${escapeMarkup(rowIds[i]!)}"`;
    const cells = row.map((cell, column) => renderCell(cell, columns[column]!.title, columns[column]!.align, text));
    return `<tr${id}>${cells.join('')}</tr>`;
  });
  const kind = isLong === true ? ' long' : columns.length > MOST_NARROW_COLUMNS ? ' cards' : ' small';
  return `<div class="table${kind}"><table><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table></div>`;
}

function renderCell(cell: Cell, title: string, align: 'left' | 'right', text: RenderText): string {
  const content = text(cell.text);
  const marked = cell.tone === undefined ? content : `<span class="tone ${cell.tone}">${content}</span>`;
  const classes = [...(align === 'right' ? ['right'] : []), ...(content === '' ? ['blank'] : [])].join(' ');
  return `<td${classes === '' ? '' : ` class="${classes}"`} data-title="${escapeMarkup(title)}"><span>${marked}</span></td>`;
}

function classOf(align: 'left' | 'right'): string {
  return align === 'right' ? ' class="right"' : '';
}

function spanRenderer(titles: ReadonlyMap<string, string>): (span: Span) => string {
  const anchor = (id: string, shown: string): string =>
    `<a href="#${escapeMarkup(id)}" title="${escapeMarkup(titles.get(id) ?? id)}">${escapeMarkup(shown)}</a>`;
  return (span) => {
    if (typeof span === 'string') return escapeMarkup(span);
    switch (span.kind) {
      case 'strong':
        return `<strong>${escapeMarkup(span.text)}</strong>`;
      case 'code':
        return `<code>${escapeMarkup(span.text)}</code>`;
      case 'link':
        return `<a href="${escapeMarkup(span.url)}" rel="noreferrer">${escapeMarkup(span.text)}</a>`;
      case 'measured': {
        if (span.ids.length === 0) return '';
        const shown = span.ids.slice(0, MOST_IDS).map((id) => anchor(id, id));
        const others = span.ids.length - MOST_IDS;
        const more = others > 0 ? [anchor(span.ids[MOST_IDS]!, `${others} more`)] : [];
        return `<span class="measured">${[...shown, ...more].join(' ')}</span>`;
      }
    }
  };
}
