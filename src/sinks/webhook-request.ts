import { SightlineError } from '../errors/sightline-error.ts';
import { parseRetryAfterMs } from './retry-delay.ts';

/** What became of one attempt. `reason` holds no address, no header and no body. */
export type Attempt =
  | { readonly kind: 'delivered' }
  | {
      readonly kind: 'failed';
      readonly reason: string;
      readonly isFinal: boolean;
      readonly retryAfterMs: number | null;
    };

/** Where a webhook goes: credentials taken out of the address (fetch refuses them there) and put into a header. */
export interface Destination {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** For messages: scheme and host only, since paths and queries of webhooks are often secrets. */
  readonly shownUrl: string;
}

/** Answers that say "later": too slow, too early, too many. All of 5xx is tried again as well. */
const RETRYABLE_STATUS: ReadonlySet<number> = new Set([408, 425, 429]);

/** @throws CONFIG_INVALID when `url` is not an http or https address; the message does not repeat it. */
export function parseDestination(id: string, url: string, headers: Readonly<Record<string, string>>): Destination {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new SightlineError('CONFIG_INVALID', `sink ${id}: url: expected an http:// or https:// address`, {
      sink: id,
    });
  }
  const own: Record<string, string> = { 'content-type': 'application/json' };
  if (parsed.username !== '' || parsed.password !== '') {
    const pair = `${decodePart(parsed.username)}:${decodePart(parsed.password)}`;
    own.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
    parsed.username = '';
    parsed.password = '';
  }
  return { url: parsed.href, headers: { ...own, ...headers }, shownUrl: parsed.origin };
}

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A bare percent sign: the user did not encode it, so it is taken as it stands.
    return text;
  }
}

/** Posts once. Never throws; `signal` ends the attempt, its reason an Error whose message is shown. */
export async function attemptPost(
  post: typeof fetch,
  destination: Destination,
  body: string,
  idempotencyKey: string,
  signal: AbortSignal,
): Promise<Attempt> {
  try {
    const response = await post(destination.url, {
      method: 'POST',
      headers: { ...destination.headers, 'idempotency-key': idempotencyKey },
      body,
      signal,
      // A redirect would turn a POST into a GET, or carry the credentials to another host.
      redirect: 'manual',
    });
    await response.body?.cancel();
    return judge(response);
  } catch (thrown) {
    const reason = signal.aborted ? (signal.reason as Error).message : describe(thrown);
    return { kind: 'failed', reason, isFinal: false, retryAfterMs: null };
  }
}

function judge(response: Response): Attempt {
  const { status } = response;
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  const isRedirect = status >= 300 && status < 400;
  return {
    kind: 'failed',
    reason: `the server answered ${status}${isRedirect ? ' (a redirect; set url to where it leads)' : ''}`,
    isFinal: status < 500 && !RETRYABLE_STATUS.has(status),
    retryAfterMs: parseRetryAfterMs(response.headers.get('retry-after'), Date.now()),
  };
}

/** fetch says only "fetch failed"; what happened is in the cause. */
function describe(thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  if (!(cause instanceof Error)) return String(cause);
  const code = (cause as NodeJS.ErrnoException).code;
  return code === undefined || cause.message.includes(code) ? cause.message : `${cause.message} (${code})`;
}
