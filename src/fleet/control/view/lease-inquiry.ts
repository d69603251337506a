import type { Clock } from '../../../base/core/clock.ts';
import type { Incidents } from '../../../base/flow/incidents.ts';
import type { Lease } from '../../../wire/protocol/fleet.ts';

/** Shortest time between two lookups, however many messages claim a new lease. */
const GAP_MS = 250;
/** Records in one lookup. The remaining ones are in the next. */
const MAX_STREAMS = 500;

export interface LeaseInquiryOptions {
  /** Reads lease records; rejects while the control plane does not answer. */
  readonly read: (streamIds: readonly string[]) => Promise<ReadonlyMap<string, Lease>>;
  /** Receives the records found, none if they could not be read, and the number of the lookup. */
  readonly onAnswer: (leases: ReadonlyMap<string, Lease>, lookup: number) => void;
  readonly clock: Clock;
  readonly incidents: Incidents;
}

/** Looks up the lease records of streams for which a message carried an unconfirmed fence. */
export class LeaseInquiry {
  readonly #options: LeaseInquiryOptions;
  readonly #wanted = new Set<string>();
  #isReading = false;
  /** Lookups started so far. */
  #lookups = 0;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #stopTimer: (() => void) | null = null;
  #isClosed = false;

  constructor(options: LeaseInquiryOptions) {
    this.#options = options;
  }

  /** @returns number of the next lookup, which reads the record unless more than `MAX_STREAMS` streams are pending. */
  ask(streamId: string): number {
    this.#wanted.add(streamId);
    const lookup = this.#lookups + 1;
    this.#readSoon();
    return lookup;
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
    const streamIds = [...this.#wanted].slice(0, MAX_STREAMS);
    for (const id of streamIds) this.#wanted.delete(id);
    this.#isReading = true;
    this.#lookups += 1;
    const lookup = this.#lookups;
    this.#readAtMs = clock.now();
    let leases: ReadonlyMap<string, Lease> = new Map();
    try {
      leases = await read(streamIds);
    } catch {
      // While the control plane is unreachable no host gets a lease either; the next message triggers another lookup.
    }
    this.#isReading = false;
    if (this.#isClosed) return;
    if (this.#wanted.size > 0) this.#readSoon();
    onAnswer(leases, lookup);
  }
}
