const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Keys as live services issue them: `abcd-1234-efgh-5678`. */
const GROUPS = /^[0-9a-z]{4}(?:-[0-9a-z]{4}){3,}$/i;

/**
 * Returns whether a part of a path is a key rather than words: it changes between lower case, upper case and digits more often than
 * words and numbers do, or is written as keys are.
 */
export function looksLikeKey(part: string): boolean {
  const text = decoded(part);
  if (UUID.test(text) || GROUPS.test(text) || text.startsWith('eyJ')) return true;
  return text.split(/[^0-9a-z]+/i).some((token) => {
    const runs = token.match(/[a-z]+|[A-Z]+|[0-9]+/g)?.length ?? 0;
    const hasDigit = /[0-9]/.test(token);
    if (/^[0-9a-f]{16,}$/i.test(token)) return hasDigit;
    return token.length >= 12 && (hasDigit ? runs >= 5 : token.length / runs < 2);
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
