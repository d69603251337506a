/**
 * Characters that a terminal obeys instead of showing them: C0 and C1 controls but tab and newline, and those that change the
 * direction of the text around them.
 */
const OBEYED = /(?![\n\t])\p{Cc}|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Returns the text with a `?` in place of every character that a terminal would obey. Names of files, streams and cameras may hold some. */
export function terminalText(text: string): string {
  return text.replace(OBEYED, '?');
}
