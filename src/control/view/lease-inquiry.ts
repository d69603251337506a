import type { Clock } from '../../core/clock.ts';
import type { Lease } from '../../protocol/fleet.ts';
import type { Incidents } from '../../telemetry/incidents.ts';

/** Looks at the records at most this often, however many messages claim a new lease. */
const GAP_MS = 250;
/** Records of one look. Those that are left out are in the next one. */
const MOST_STREAMS = 500;

export interface LeaseInquiryOptions {
  /** Reads lease records; rejects while the control plane does not answer. */
  readonly read: (streamIds: readonly string[]) => Promise<ReadonlyMap<string, Lease>>;
  /** Gets the records that were found, none where they could not be read, and the number of the look. */
  readonly onAnswer: (leases: ReadonlyMap<string, Lease>, look: number) => void;
  readonly clock: Clock;
  readonly incidents: Incidents;
}

/** Looks up the lease records of streams of which a message carried a fence that nothing has confirmed. */
export class LeaseInquiry {
  readonly #options: LeaseInquiryOptions;
  readonly #wanted = new Set<string>();
  #isReading = false;
  /** Looks begun since the start. */
  #looks = 0;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #stopTimer: (() => void) | null = null;
  #isClosed = false;

  constructor(options: LeaseInquiryOptions) {
    this.#options = options;
  }

  /** @returns number of the look that will have the answer; a later one where very many streams are asked for. */
  ask(streamId: string): number {
    this.#wanted.add(streamId);
    const look = this.#looks + 1;
    this.#readSoon();
    return look;
  }

  close(): void {
    this.#isClosed = true;
    this.#stopTimer?.();
  }

  #readSoon(): void {
    if (this.#isReading || this.#isClosed || this.#stopTimer !== null) return;
    const { clock, incidents } = this.#options;
    const waitMs = this.#readAtMs + GAP_MS - clock.now();
    if (waitMs <= 0) {
      incidents.run('the lease inquiry', () => this.#read());
      return;
    }
    this.#stopTimer = incidents.clock('the lease inquiry', clock).setTimer(() => {
      this.#stopTimer = null;
      this.#readSoon();
    }, waitMs);
  }

  async #read(): Promise<void> {
    const { read, onAnswer, clock } = this.#options;
    const streamIds = [...this.#wanted].slice(0, MOST_STREAMS);
    for (const id of streamIds) this.#wanted.delete(id);
    this.#isReading = true;
    this.#looks += 1;
    const look = this.#looks;
    this.#readAtMs = clock.now();
    let leases: ReadonlyMap<string, Lease> = new Map();
    try {
      leases = await read(streamIds);
    } catch {
      // Where nobody answers, nobody gets a lease either; the next message asks again.
    }
    this.#isReading = false;
    if (this.#isClosed) return;
    if (this.#wanted.size > 0) this.#readSoon();
    onAnswer(leases, look);
  }
}
