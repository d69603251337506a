/**
 * Characters that control a terminal instead of being shown: C0 and C1 controls but tab and newline, and those that change the
 * direction of the text around them.
 */
const OBEYED = /(?![\n\t])\p{Cc}|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** A line that continues a message begins with this, so that a name with a line break in it cannot pass for a line of its own. */
const CONTINUED = '    ';

/** Returns a message whose further lines are indented; see `terminalText`. */
export function terminalMessage(text: string): string {
  return terminalText(text).replaceAll('\n', `\n${CONTINUED}`);
}

/** Returns the text with a `?` in place of every character that would control a terminal. Names of files, streams and cameras may hold some. */
export function terminalText(text: string): string {
  return text.replace(OBEYED, '?');
}
