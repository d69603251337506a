import type { Lease } from '../../protocol/fleet.ts';

/**
 * What a fence says of a message's sender. current: holds the lease; stale: held it before; newer: claims a lease that no
 * record has confirmed yet; foreign: uses the fence of another host.
 */
export type FenceVerdict = 'current' | 'stale' | 'newer' | 'foreign';

/**
 * Knows the newest lease of each stream, from the lease records and from nothing else. A host that was cut off goes on
 * publishing for a moment while another already runs its stream; and anything that can publish can claim any fence. So a
 * message raises no fence: until the record confirms a new holder, the old one counts.
 */
export class FenceWatch {
  readonly #newest = new Map<string, Pick<Lease, 'hostId' | 'fence'>>();

  judge(streamId: string, hostId: string, fence: number | null): FenceVerdict {
    const known = this.#newest.get(streamId);
    // A message of a stream that carries no fence comes from a host without a lease.
    if (fence === null || (known !== undefined && fence < known.fence)) return 'stale';
    if (known === undefined || fence > known.fence) return 'newer';
    return known.hostId === hostId ? 'current' : 'foreign';
  }

  /** A record was read. Answers may overtake each other, so an older lease never replaces a newer one. */
  confirm(streamId: string, { hostId, fence }: Pick<Lease, 'hostId' | 'fence'>): void {
    if (fence > this.highest(streamId)) this.#newest.set(streamId, { hostId, fence });
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
