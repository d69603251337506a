const BUCKET_MS = 250;
const BUCKETS = 20;

/** Time in which events are counted. */
export const RATE_WINDOW_MS = (BUCKETS - 1) * BUCKET_MS;

/** Events per second over the last five seconds, counted, never taken from a source's nominal rate. */
export class RateMeter {
  readonly #counts = new Uint32Array(BUCKETS);
  readonly #startedMs: number;
  #bucket: number;

  constructor(nowMs: number) {
    this.#startedMs = nowMs;
    this.#bucket = Math.floor(nowMs / BUCKET_MS);
  }

  add(nowMs: number): void {
    this.#advance(nowMs);
    this.#counts[this.#bucket % BUCKETS]! += 1;
  }

  /** Leaves out the current bucket, which is incomplete. Meters younger than five seconds divide by their age. */
  perSecond(nowMs: number): number {
    this.#advance(nowMs);
    let sum = 0;
    for (let i = 1; i < BUCKETS; i++) sum += this.#counts[(this.#bucket - i + BUCKETS * 2) % BUCKETS]!;
    const fullMs = this.#bucket * BUCKET_MS - Math.max(this.#startedMs, (this.#bucket - BUCKETS + 1) * BUCKET_MS);
    return fullMs <= 0 ? 0 : (sum * 1000) / fullMs;
  }

  #advance(nowMs: number): void {
    const bucket = Math.floor(nowMs / BUCKET_MS);
    if (bucket - this.#bucket >= BUCKETS) this.#counts.fill(0);
    else for (let b = this.#bucket + 1; b <= bucket; b++) this.#counts[b % BUCKETS] = 0;
    if (bucket > this.#bucket) this.#bucket = bucket;
  }
}
