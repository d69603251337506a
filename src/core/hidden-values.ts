import { looksLikeKey } from './looks-like-key.ts';

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
