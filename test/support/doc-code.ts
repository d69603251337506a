import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The pages for users and contributors. */
export const DOC_PAGES: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

export interface DocBlock {
  readonly page: string;
  /** Of a fence; empty for an indented block. */
  readonly language: string;
  readonly lines: readonly string[];
}

/** Returns the code blocks of a page, fenced or indented by four spaces. Empty lines inside a block belong to it. */
export function blocksOf(page: string): DocBlock[] {
  const blocks: { page: string; language: string; lines: string[] }[] = [];
  let open: (typeof blocks)[number] | null = null;
  let isFenced = false;
  let isAfterEmpty = true;
  for (const line of readFileSync(page, 'utf8').split('\n')) {
    const fence = /^```(\w*)/.exec(line);
    if (fence !== null) {
      isFenced = !isFenced;
      open = isFenced ? { page, language: fence[1]!, lines: [] } : null;
      if (open !== null) blocks.push(open);
      continue;
    }
    const isCode = isFenced || (line.startsWith('    ') && (open !== null || isAfterEmpty));
    if (isCode) {
      if (open === null) {
        open = { page, language: '', lines: [] };
        blocks.push(open);
      }
      open.lines.push(isFenced ? line : line.slice(4));
    } else if (line === '') open?.lines.push('');
    else open = null;
    isAfterEmpty = line === '';
  }
  return blocks;
}

/** What a page may tell its reader to run. */
const PROGRAMS =
  /^(?:sightline|npx|npm|node|git|curl|docker|export|printf|openssl|ffmpeg|python3?|pip3?|sudo|apt|apt-get|kubectl|helm|redis-cli|sh|bash|cd|cp|mkdir|[A-Z_]+=\S+ \w+)\b/;

export interface DocCommand {
  readonly page: string;
  /** As a shell takes it, without its comment. Continued lines are one. */
  readonly text: string;
}

/** Returns the command lines of a page: of a block whose lines begin with `$`, those; of others, lines that begin with a program. */
export function commandsOf(page: string): DocCommand[] {
  return blocksOf(page)
    .filter(({ language }) => ['', 'sh', 'bash', 'shell', 'console'].includes(language))
    .flatMap(({ lines }) => {
      const joined = lines
        .join('\n')
        .replaceAll(/\\\n\s*/g, '')
        .split('\n');
      const isDialogue = joined.some((line) => line.startsWith('$ '));
      return joined
        .filter((line) => (isDialogue ? line.startsWith('$ ') : PROGRAMS.test(line)))
        .map((line) => ({
          page,
          text: line
            .replace(/^\$ /, '')
            .replace(/\s+#.*$/, '')
            .trim(),
        }));
    });
}

/** Splits a command as a shell does, as far as the pages need it. */
export function shellWords(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]!);
}
