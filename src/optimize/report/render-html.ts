import { Marked, type Token, type Tokens } from 'marked';
import type { Markdown } from './markdown.ts';
import type { Plot } from './plots.ts';
import { REPORT_STYLE } from './report-style.ts';

export interface Report {
  readonly title: string;
  readonly body: Markdown;
  /** Tone of the title. Only a good report has anything in green. */
  readonly tone: 'good' | 'bad' | 'neutral';
}

/** Nothing is loaded and nothing runs, whatever a name in the report contains. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";
/** The only HTML that a report has in its Markdown. All other is shown as text. */
const ALLOWED_HTML = /^(?:<details>\s*<summary>[^<>]*<\/summary>|<\/details>|<a id="[\w%.-]+">|<\/a>)\s*$/;
const ALLOWED_LINK = /^(?:#|https:\/\/|review\.html$)/;
/** Verdicts, where they stand in bold. */
const TONES: Readonly<Record<string, 'good' | 'bad' | 'neutral'>> = {
  ...{ met: 'good', passed: 'good', better: 'good', steady: 'good', yes: 'good' },
  ...{ missed: 'bad', refused: 'bad', worse: 'bad', failed: 'bad', grows: 'bad', no: 'bad', differs: 'bad' },
  ...{ inconclusive: 'neutral', unclear: 'neutral', 'not judged': 'neutral', 'not enough frames': 'neutral' },
};

/**
 * Renders a report as one page that needs no network and no script.
 *
 * @param plots - the drawings of its body, by name.
 */
export function renderHtml({ title, body, tone }: Report, plots: ReadonlyMap<string, Plot> = new Map()): string {
  const marked = new Marked({
    gfm: true,
    // A name that looks like an address is no link.
    tokenizer: { url: () => undefined, autolink: () => undefined },
    renderer: {
      html: ({ text }) => (ALLOWED_HTML.test(text) ? text : escapeHtml(text)),
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens);
        return ALLOWED_LINK.test(href) ? `<a href="${escapeHtml(href)}">${text}</a>` : text;
      },
      image: ({ href, text }) => figureOf(plots.get(/^plots\/([\w-]+)\.svg$/.exec(href)?.[1] ?? ''), text),
      strong({ text, tokens }) {
        const own = TONES[text];
        const shown = own === 'good' && tone !== 'good' ? 'neutral' : own;
        return `<strong${shown === undefined ? '' : ` class="tone ${shown}"`}>${this.parser.parseInline(tokens)}</strong>`;
      },
      table({ header, rows }) {
        const cell = (tag: string, { tokens, align }: Tokens.TableCell, column: string): string =>
          `<${tag}${align === 'right' ? ' class="right"' : ''}${column}>${this.parser.parseInline(tokens)}</${tag}>`;
        const head = header.map((one) => cell('th', one, '')).join('');
        const body = rows.map((row) => {
          const cells = row.map((one, i) => cell('td', one, ` data-title="${escapeHtml(header[i]!.text)}"`));
          return `<tr>${cells.join('')}</tr>`;
        });
        const kind = header.length > MOST_NARROW_COLUMNS ? ' cards' : '';
        return `<div class="table${kind}"><table><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table></div>\n`;
      },
    },
  });
  const { front, chapters } = splitAtChapters(marked.lexer(body.source));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escapeHtml(title)}</title>
<style>${REPORT_STYLE}</style>
</head>
<body class="${tone}">
<main>
<header>${marked.parser(front[0]!)}</header>
<div class="front">${front
    .slice(1)
    .map((part) => `<section>${marked.parser(part)}</section>`)
    .join('\n')}</div>
${marked.parser(chapters)}
</main>
</body>
</html>
`;
}

/** Tables with more columns turn into cards on a phone. */
const MOST_NARROW_COLUMNS = 3;

/** The open page, in parts that begin with a heading of the third rank, and what follows. */
function splitAtChapters(tokens: readonly Token[]): { readonly front: readonly Token[][]; readonly chapters: Token[] } {
  const first = tokens.findIndex((token) => token.type === 'html' || (token.type === 'heading' && token.depth === 2));
  const end = first < 0 ? tokens.length : first;
  const front: Token[][] = [[]];
  for (const token of tokens.slice(0, end)) {
    if (token.type === 'heading' && token.depth === 3) front.push([]);
    front.at(-1)!.push(token);
  }
  return { front, chapters: tokens.slice(end) };
}

function figureOf(plot: Plot | undefined, text: string): string {
  if (plot === undefined) return escapeHtml(text);
  const drawing = (svg: string, kind: string): string =>
    svg.replace('<svg ', `<svg role="img" aria-label="${escapeHtml(text)}" data-width="${kind}" `);
  return drawing(plot.wide, 'wide') + drawing(plot.narrow, 'narrow');
}

function escapeHtml(text: string): string {
  return text.replace(
    /[&<>"']/g,
    (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[char]!,
  );
}
