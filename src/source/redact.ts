const SECRET_PARAMETERS =
  /([?&](?:token|access_token|key|api_?key|password|passwd|pwd|secret|auth|sig|signature)=)[^&#\s]*/gi;
const USER_INFO = /([a-z][a-z0-9+.-]*:\/\/)[^/@\s]*@/gi;

/** Replaces user names, passwords and secret query parameters of every URL in a text, so that it can be printed. */
export function redact(text: string): string {
  return text.replace(USER_INFO, '$1***@').replace(SECRET_PARAMETERS, '$1***');
}
