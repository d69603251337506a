import { amount } from '../../measure/report/figures.ts';
import type { Card, FirstScreen } from './first-screen.ts';

/** Makes the first screen as Markdown (GitHub's), to paste into a message. Names are escaped, so that none becomes markup. */
export function reportText({ headline, about, sentences, notes, cards, counts, next }: FirstScreen): string {
  const blocks = [
    `# ${plain(headline)}`,
    plain(about),
    plain(sentences.join(' ')),
    listOf(notes),
    cardsTable(cards),
    ...cards.map(({ title, points }) =>
      points.length === 0 ? '' : `${title}:\n\n${listOf(points.map((one) => one.text))}`,
    ),
    counts === null
      ? ''
      : [
          plain(counts.text),
          '',
          tableOf(
            ['Count', 'Before', 'After', 'Tolerated', ''],
            counts.rows.map((row) => [row.name, row.before, row.after, row.tolerated, row.state]),
          ),
        ].join('\n'),
    'What to do:',
    next.map(({ text, command }) => `- ${plain(text)}${command === null ? '' : ` ${typed(command)}`}`).join('\n'),
    'All figures are in `report.html` and, for programs, in `result.json`.',
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

function cardsTable(cards: readonly Card[]): string {
  if (cards.length === 0) return '';
  const names = [...new Set(cards.flatMap(({ figures }) => figures.map(({ name }) => name)))];
  const row = (name: string, value: (card: Card) => string): string[] => [name, ...cards.map(value)];
  return tableOf(
    ['', ...cards.map(({ title }) => title)],
    [
      row('frames per second', (card) => amount(card.fps)),
      row('against today', ({ times }) => times),
      ...names.map((name) => row(name, ({ figures }) => figures.find((one) => one.name === name)?.value ?? '')),
      row('detector', ({ configuration }) => configuration),
      row('pipeline', ({ file }) => file ?? ''),
    ],
  );
}

function tableOf(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(plain).join(' | ')} |`;
  return [line(heads), `|${' --- |'.repeat(heads.length)}`, ...rows.map(line)].join('\n');
}

function listOf(items: readonly string[]): string {
  return items.map((item) => `- ${plain(item)}`).join('\n');
}

/** Escapes characters that Markdown or HTML would read as markup; a line break would end a row. */
function plain(text: string): string {
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

/** A command as it is typed. Its fence is longer than any run of backticks inside. */
function typed(command: string): string {
  const line = command.replace(/\s*[\r\n]+\s*/g, ' ');
  const fence = '`'.repeat(Math.max(0, ...[...line.matchAll(/`+/g)].map(([run]) => run.length)) + 1);
  const pad = /^`|`$/.test(line) ? ' ' : '';
  return `${fence}${pad}${line}${pad}${fence}`;
}
