const MOST_CHARACTERS = 80;

/** Makes text from a file fit for one line of a message: no control characters, no line breaks, not too long. */
export function printable(text: string): string {
  const clean = text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '?');
  return clean.length > MOST_CHARACTERS ? `${clean.slice(0, MOST_CHARACTERS - 3)}...` : clean;
}
