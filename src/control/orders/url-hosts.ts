/** White space, control characters and backslashes: browsers and ffmpeg disagree on what they do to a host. */
const UNCLEAR = /[\s\\\p{Cc}]/u;

/**
 * The host that a URL names, once as ffmpeg reads it (up to the first `/`, `?` or `#`, behind the last `@`) and once as URLs
 * are read by rule, where that differs.
 *
 * @returns names or addresses without brackets and ports; null where it names none, or unclearly.
 */
export function urlHosts(text: string): readonly string[] | null {
  if (UNCLEAR.test(text) || !URL.canParse(text)) return null;
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(text)?.[1] ?? '';
  const place = authority.slice(authority.lastIndexOf('@') + 1);
  const written = bare(place.startsWith('[') ? place.replace(/\][^\]]*$/, ']') : place.replace(/:\d*$/, ''));
  const parsed = bare(new URL(text).hostname);
  return written === '' || parsed === '' ? null : [...new Set([written, parsed])];
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, '').toLowerCase();
}
