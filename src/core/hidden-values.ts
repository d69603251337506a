/** Each hidden text, and what is shown in its place; the longest first, since one may be a part of another. */
let hidden: readonly (readonly [text: string, shown: string])[] = [];

/** Shorter texts would be replaced inside of words that say something else. */
const LEAST_CHARS = 4;

/**
 * Makes `withoutHidden` replace a secret value from now on, in this thread. The parts of an address are hidden too, since messages name
 * them one by one: host, user, password, path, query.
 *
 * @param shown - such as `${env:CAMERA_PASSWORD}`.
 */
export function hideValue(value: string, shown: string): void {
  const texts = [value, ...partsOf(value)].flatMap((text) => [
    text,
    encodeURIComponent(text),
    JSON.stringify(text).slice(1, -1),
  ]);
  const added = texts.filter((text) => text.length >= LEAST_CHARS).map((text) => [text, shown] as const);
  hidden = [...new Map([...added, ...hidden])].sort(([a], [b]) => b.length - a.length);
}

function partsOf(value: string): string[] {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(value) || !URL.canParse(value)) return [];
  const { host, hostname, username, password, pathname, search } = new URL(value);
  return [host, hostname, asciiOf(hostname), username, password, pathname, search];
}

/** Name servers are asked for the ASCII form of a host, and errors name it. */
function asciiOf(hostname: string): string {
  try {
    return new URL(`http://${decodeURIComponent(hostname)}`).hostname;
  } catch {
    return hostname;
  }
}

/** Returns a text without the values that are hidden; the text itself if it has none. */
export function withoutHidden(text: string): string {
  return hidden.reduce(
    (rest, [value, shown]) => (rest.includes(value) ? rest.replaceAll(value, () => shown) : rest),
    text,
  );
}
