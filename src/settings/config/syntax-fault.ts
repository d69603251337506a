import { ParseError } from '@marcbachmann/cel-js';

const CLOSERS: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };
/** What people write of other languages, and what CEL has for it. */
const MEANT: Readonly<Record<string, string>> = {
  '=': 'write == to compare',
  '&': 'write && to combine',
  '|': 'write || to combine',
  ',': 'write decimals with a point, as 0.5',
  and: 'write &&',
  or: 'write ||',
};

/** Says what is wrong with the text of a condition that the library refuses, and where. @param error - of the library. */
export function syntaxFault(text: string, error: unknown): string {
  const { message: whole, code, range } = error as Error & { code?: string; range?: { readonly start: number } };
  const message = whole.split('\n', 1)[0]!;
  if (range === undefined) return message;
  const at = (index: number): string => `at character ${index + 1}`;
  if (!(error instanceof ParseError) || message.startsWith('Exceeded')) return `${message} ${at(range.start)}`;
  if (code === 'unterminated_string') return `the text that begins ${at(range.start)} has no closing quote`;
  const { open, extra } = brackets(text);
  if (extra !== null) return `it has "${text[extra]}" ${at(extra)}, and nothing that it closes`;
  const last = open.at(-1);
  const isAtEnd = text.slice(range.start).trim() === '';
  if (isAtEnd && code === 'expected_token' && last !== undefined)
    return `the "${text[last]}" ${at(last)} is not closed`;
  if (isAtEnd && message.startsWith('Expected COLON')) return `it ends ${at(range.start)} without the ":" of its "?"`;
  if (isAtEnd) return text.trim() === '' ? 'it is empty' : `it ends ${at(range.start)}, where something is missing`;
  const { word, start } = wordAt(text, range.start);
  const hint = MEANT[word.toLowerCase()];
  return `it cannot be read from "${word}" ${at(start)} on${hint === undefined ? '' : `: ${hint}`}`;
}

/** The word of a text that has a character, or the character itself. */
function wordAt(text: string, index: number): { word: string; start: number } {
  for (const { 0: word, index: start } of text.matchAll(/[A-Za-z_]\w*/g))
    if (start <= index && index < start + word.length) return { word, start };
  return { word: text[index]!, start: index };
}

/** Brackets outside of quotes that are open at the end, and the first that closes none. */
function brackets(text: string): { open: number[]; extra: number | null } {
  const open: number[] = [];
  // Quoted texts and comments are matched as a whole.
  for (const { 0: token, index } of text.matchAll(/"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|\/\/[^\n]*|[()[\]{}]/g)) {
    if ('([{'.includes(token)) open.push(index);
    else if (Object.hasOwn(CLOSERS, token)) {
      if (text[open.at(-1) ?? -1] !== CLOSERS[token]) return { open, extra: index };
      open.pop();
    }
  }
  return { open, extra: null };
}
