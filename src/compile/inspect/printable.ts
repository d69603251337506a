const MAX_CHARACTERS = 80;

/** Cleans text from a file for a one-line message: removes control characters and line breaks, and limits the length. */
export function printable(text: string): string {
  const clean = text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '?');
  return clean.length > MAX_CHARACTERS ? `${clean.slice(0, MAX_CHARACTERS - 3)}...` : clean;
}
