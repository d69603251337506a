import type { Lease } from '../../../wire/protocol/fleet.ts';

/**
 * What the fence of a message says about its sender. current: it holds the lease; stale: it held an older one; newer: it
 * claims a lease that no record has confirmed yet; foreign: it uses another host's fence.
 */
export type FenceVerdict = 'current' | 'stale' | 'newer' | 'foreign';

/** A snapshot is at most as old as the timeout of a control plane call (2 s); a lower fence that lasts longer than this is real. */
const LOWER_AFTER_MS = 3_000;

/**
 * Tracks the newest lease of each stream, from the lease records only. A host that was cut off publishes for a moment while
 * another host already runs its stream, and anything that can publish can claim any fence. So messages never raise a fence:
 * until a record confirms a new holder, the old one counts.
 */
export class FenceWatch {
  readonly #newest = new Map<string, Pick<Lease, 'hostId' | 'fence'>>();
  /** Since when snapshots have had a lower fence than the newest, by stream. */
  readonly #lowerSinceMs = new Map<string, number>();

  judge(streamId: string, hostId: string, fence: number | null): FenceVerdict {
    const known = this.#newest.get(streamId);
    // A stream's message without a fence comes from a host without a lease.
    if (fence === null || (known !== undefined && fence < known.fence)) return 'stale';
    if (known === undefined || fence > known.fence) return 'newer';
    return known.hostId === hostId ? 'current' : 'foreign';
  }

  /** Takes a single lease record. Replies may arrive out of order, so an older lease never replaces a newer one. */
  confirm(streamId: string, { hostId, fence }: Pick<Lease, 'hostId' | 'fence'>): void {
    if (fence > this.highest(streamId)) this.#newest.set(streamId, { hostId, fence });
  }

  /**
   * Takes the leases of a snapshot. Redis gives out rising fences, so a record with a lower fence is outdated, or the higher
   * one was never given out. The lower one counts once snapshots have shown it for some seconds, so that no stream stays hidden.
   */
  update(leases: ReadonlyMap<string, Pick<Lease, 'hostId' | 'fence'>>, nowMs: number): void {
    for (const [streamId, lease] of leases) {
      const sinceMs = this.#lowerSinceMs.get(streamId);
      if (lease.fence >= this.highest(streamId)) {
        this.#lowerSinceMs.delete(streamId);
        this.confirm(streamId, lease);
      } else if (sinceMs === undefined) this.#lowerSinceMs.set(streamId, nowMs);
      else if (nowMs - sinceMs >= LOWER_AFTER_MS) {
        this.#lowerSinceMs.delete(streamId);
        this.#newest.set(streamId, { hostId: lease.hostId, fence: lease.fence });
      }
    }
    for (const id of this.#lowerSinceMs.keys()) if (!leases.has(id)) this.#lowerSinceMs.delete(id);
  }

  /** Returns the highest confirmed fence; -1 if there is none. */
  highest(streamId: string): number {
    return this.#newest.get(streamId)?.fence ?? -1;
  }

  /** Removes all other streams. */
  keepOnly(streamIds: ReadonlySet<string>): void {
    for (const id of this.#newest.keys()) if (!streamIds.has(id)) this.#newest.delete(id);
  }
}
