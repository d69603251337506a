import type { Lease } from '../../protocol/fleet.ts';

/**
 * What a fence says of a message's sender. current: holds the lease; stale: held it before; newer: claims a lease that no
 * record has confirmed yet; foreign: uses the fence of another host.
 */
export type FenceVerdict = 'current' | 'stale' | 'newer' | 'foreign';

/** A snapshot may be as old as a call to the control plane may take (2 s); one that still says so after this is right. */
const LOWER_AFTER_MS = 3_000;

/**
 * Knows the newest lease of each stream, from the lease records and from nothing else. A host that was cut off goes on
 * publishing for a moment while another already runs its stream; and anything that can publish can claim any fence. So a
 * message raises no fence: until the record confirms a new holder, the old one counts.
 */
export class FenceWatch {
  readonly #newest = new Map<string, Pick<Lease, 'hostId' | 'fence'>>();
  /** Since when snapshots have had a lower fence than the newest, by stream. */
  readonly #lowerSinceMs = new Map<string, number>();

  judge(streamId: string, hostId: string, fence: number | null): FenceVerdict {
    const known = this.#newest.get(streamId);
    // A message of a stream that carries no fence comes from a host without a lease.
    if (fence === null || (known !== undefined && fence < known.fence)) return 'stale';
    if (known === undefined || fence > known.fence) return 'newer';
    return known.hostId === hostId ? 'current' : 'foreign';
  }

  /** A single record was read. Answers may overtake each other, so an older lease never replaces a newer one. */
  confirm(streamId: string, { hostId, fence }: Pick<Lease, 'hostId' | 'fence'>): void {
    if (fence > this.highest(streamId)) this.#newest.set(streamId, { hostId, fence });
  }

  /**
   * Takes the leases of a snapshot. Redis gives out rising fences, so a record with a lower one is old news, or the higher one
   * was never given out: it counts once snapshots have had it for some seconds, and no stream is hidden for good.
   */
  see(leases: ReadonlyMap<string, Pick<Lease, 'hostId' | 'fence'>>, nowMs: number): void {
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

  /** Highest confirmed fence; -1 where none is. */
  highest(streamId: string): number {
    return this.#newest.get(streamId)?.fence ?? -1;
  }

  /** Forgets the streams that are gone. */
  keepOnly(streamIds: ReadonlySet<string>): void {
    for (const id of this.#newest.keys()) if (!streamIds.has(id)) this.#newest.delete(id);
  }
}
