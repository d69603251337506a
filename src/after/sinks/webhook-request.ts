import { createHmac } from 'node:crypto';
import { decoded } from '../../base/core/hidden-values.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { type Attempt, reasonOf } from './transport.ts';

/** Target of a webhook. Credentials are moved from the address, where fetch refuses them, to a header. */
export interface Destination {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Key of the signature; null if requests are not signed. */
  readonly secret: string | null;
  /** For messages: scheme and host only, since paths and queries of webhooks are often secrets. */
  readonly shownUrl: string;
}

/** Request timeout, too early, too many requests. Every 5xx is retried as well. */
const RETRYABLE_STATUS: ReadonlySet<number> = new Set([408, 425, 429]);

/** @throws CONFIG_INVALID if `url` is not an http or https address; the message does not contain it. */
export function parseDestination(
  id: string,
  url: string,
  headers: Readonly<Record<string, string>>,
  secret: string | null = null,
): Destination {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new SightlineError('CONFIG_INVALID', `sink ${id}: url: expected an http:// or https:// address`, {
      sink: id,
    });
  }
  const base: Record<string, string> = {};
  if (parsed.username !== '' || parsed.password !== '') {
    const pair = `${decoded(parsed.username)}:${decoded(parsed.password)}`;
    base.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
    parsed.username = '';
    parsed.password = '';
  }
  return { url: parsed.href, headers: { ...base, ...headers }, secret, shownUrl: parsed.origin };
}

/** What is posted. */
export interface PostBody {
  readonly contentType: string;
  readonly content: string | Uint8Array<ArrayBuffer>;
  /** Where below the address it goes, if not to that itself. */
  readonly target?: { readonly path: string; readonly query: URLSearchParams };
  readonly headers?: Readonly<Record<string, string>>;
  /** The same for the same records. */
  readonly key: string;
}

/** Posts once. Never throws. `signal` ends the attempt; its reason must be an Error, whose message is reported. */
export async function attemptPost(
  post: typeof fetch,
  destination: Destination,
  { contentType, content, target, headers = {}, key }: PostBody,
  signal: AbortSignal,
): Promise<Attempt> {
  try {
    const response = await post(addressOf(destination.url, target), {
      method: 'POST',
      headers: {
        'content-type': contentType,
        ...headers,
        ...destination.headers,
        'idempotency-key': key,
        ...signatureOf(destination.secret, content),
      },
      body: content,
      signal,
      // A redirect would turn a POST into a GET, or carry the credentials to another host.
      redirect: 'manual',
    });
    await response.body?.cancel();
    return attemptOf(response);
  } catch (thrown) {
    const reason = signal.aborted ? (signal.reason as Error).message : reasonOf(thrown);
    return { kind: 'failed', reason, isFinal: false, retryAfterMs: null };
  }
}

function addressOf(text: string, target: PostBody['target']): string {
  if (target === undefined) return text;
  const url = new URL(text);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/${target.path}`;
  for (const [name, value] of target.query) url.searchParams.append(name, value);
  return url.href;
}

/**
 * Returns the headers that prove who sent a body, and when: HMAC-SHA256 of `TIME.BODY`, in hexadecimal digits. TIME is in
 * seconds since 1970, so that a receiver can refuse requests that were recorded and sent again.
 */
function signatureOf(secret: string | null, body: PostBody['content']): Record<string, string> {
  if (secret === null) return {};
  const time = Math.floor(Date.now() / 1000);
  const digest = createHmac('sha256', secret).update(`${time}.`).update(body).digest('hex');
  return { 'sightline-timestamp': `${time}`, 'sightline-signature': `sha256=${digest}` };
}

function attemptOf(response: Response): Attempt {
  const { status } = response;
  if (status >= 200 && status < 300) return { kind: 'delivered', answer: `answered ${status}` };
  const isRedirect = status >= 300 && status < 400;
  return {
    kind: 'failed',
    reason: `the server answered ${status}${isRedirect ? ' (a redirect; set url to where it leads)' : ''}`,
    isFinal: status < 500 && !RETRYABLE_STATUS.has(status),
    retryAfterMs: parseRetryAfterMs(response.headers.get('retry-after'), Date.now()),
  };
}

/**
 * Parses a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3).
 *
 * @param wallMs - now, milliseconds since 1970.
 * @returns milliseconds from now, not negative; null if the header is absent or cannot be parsed.
 */
export function parseRetryAfterMs(header: string | null, wallMs: number): number | null {
  if (header === null) return null;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - wallMs);
}
