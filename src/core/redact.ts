const SECRET_PARAMETERS =
  /([?&](?:token|access_token|key|api_?key|password|passwd|pwd|secret|auth|sig|signature)=)[^&#\s]*/gi;
const UP_TO_LAST_AT = /([a-z][a-z0-9+.-]*:\/\/)(\S*)@/gi;

/**
 * Replaces user names, passwords and secret query parameters of every URL in a text, so that it can be printed.
 *
 * People do not percent-encode `@`, `/`, `?` or `#` in passwords, so everything up to the last `@` is removed if it may
 * hold credentials. A path with an `@` after a port number is shortened too; that is the cheaper mistake.
 */
export function redact(text: string): string {
  return text
    .replace(UP_TO_LAST_AT, (whole, scheme: string, before: string) =>
      mayHoldCredentials(before) ? `${scheme}***@` : whole,
    )
    .replace(SECRET_PARAMETERS, '$1***');
}

/** @param before - the text between `://` and the last `@`. */
function mayHoldCredentials(before: string): boolean {
  const authorityEnd = before.search(/[/?#]/);
  return authorityEnd < 0 || before.slice(0, authorityEnd).includes('@') || before.includes(':');
}
