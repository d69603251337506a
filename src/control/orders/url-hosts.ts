/** White space, control characters and backslashes: URL parsers and ffmpeg treat them differently in a host. */
const AMBIGUOUS = /[\s\\\p{Cc}]/u;

/**
 * Returns the host of a URL as ffmpeg reads it (up to the first `/`, `?` or `#`, after the last `@`) and, if different, as the
 * URL standard defines it.
 *
 * @returns names or addresses without brackets and ports; null if the host is missing or ambiguous.
 */
export function urlHosts(text: string): readonly string[] | null {
  if (AMBIGUOUS.test(text) || !URL.canParse(text)) return null;
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(text)?.[1] ?? '';
  const place = authority.slice(authority.lastIndexOf('@') + 1);
  const written = bare(place.startsWith('[') ? place.replace(/\][^\]]*$/, ']') : place.replace(/:\d*$/, ''));
  const parsed = bare(new URL(text).hostname);
  return written === '' || parsed === '' ? null : [...new Set([written, parsed])];
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, '').toLowerCase();
}
