/** Each hidden text, and what is shown in its place; the longest first, since one may be a part of another. */
let hidden: readonly (readonly [text: string, shown: string])[] = [];

/** Shorter texts would be replaced inside of words that say something else. */
const LEAST_CHARS = 4;

/**
 * Makes `withoutHidden` replace a secret value from now on, in this thread. The parts of an address that can be secret are hidden too,
 * since messages name them one by one: user, password, query, and parts of the path that look like a key. Its host and
 * other parts of its path are not: other streams may have the same, and they are shown of every address.
 *
 * @param shown - such as `${env:CAMERA_PASSWORD}`.
 */
export function hideValue(value: string, shown: string): void {
  const texts = secretsOf(value).flatMap((text) => [text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1)]);
  const added = texts.filter((text) => text.length >= LEAST_CHARS).map((text) => [text, shown] as const);
  hidden = [...new Map([...added, ...hidden])].sort(([a], [b]) => b.length - a.length);
}

function secretsOf(value: string): string[] {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(value) || !URL.canParse(value)) return [value];
  const { username, password, pathname, search, hash } = new URL(value);
  const isPlace = username + password + search + hash === '' && /^\/?$/.test(pathname);
  return isPlace ? [] : [value, username, password, search, ...pathname.split('/').filter(looksLikeKey)];
}

/** Returns a text without the values that are hidden; the text itself if it has none. */
export function withoutHidden(text: string): string {
  return hidden.reduce(
    (rest, [value, shown]) => (rest.includes(value) ? rest.replaceAll(value, () => shown) : rest),
    text,
  );
}

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

/** Returns percent codes as what they mean; a text with a percent sign that begins none is not encoded, and stays. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
