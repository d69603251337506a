/** Why a request with a picture was refused. */
const REQUEST_REFUSALS = ['queue-full', 'size', 'invalid', 'deadline', 'hung-up'] as const;
export type RequestRefusal = (typeof REQUEST_REFUSALS)[number];

/** What became of a request. */
export type RequestOutcome = 'answered' | 'failed' | RequestRefusal;

/** Counts requests: received = answered + the sum of refused + failed + in flight, at any moment. */
export class RequestLedger {
  received = 0;
  answered = 0;
  failed = 0;
  inFlight = 0;
  /** Of the answered ones, those whose result was known. */
  cached = 0;
  /** Of the answered ones, those that the candidate of a roll-out had failed. */
  fallback = 0;
  readonly refused = Object.fromEntries(REQUEST_REFUSALS.map((reason) => [reason, 0])) as Record<
    RequestRefusal,
    number
  >;

  receive(): void {
    this.received += 1;
    this.inFlight += 1;
  }

  /** Call it once for each request. */
  settle(outcome: RequestOutcome): void {
    this.inFlight -= 1;
    if (outcome === 'answered' || outcome === 'failed') this[outcome] += 1;
    else this.refused[outcome] += 1;
  }
}

/**
 * Returns what became of a request.
 *
 * @param status - of the reply; null if the client did not wait for it.
 */
export function outcomeOf(status: number | null): RequestOutcome {
  if (status === null) return 'hung-up';
  if (status < 400) return 'answered';
  return BY_STATUS[status] ?? (status < 500 ? 'invalid' : 'failed');
}

const BY_STATUS: Readonly<Record<number, RequestOutcome>> = { 413: 'size', 429: 'queue-full', 504: 'deadline' };
