import type { HostCard } from '../../../wire/protocol/fleet.ts';
import type { StatsBody } from '../../../wire/protocol/fleet-bus.ts';
import type { FleetHost } from '../../../wire/protocol/fleet-report.ts';
import type { FleetSnapshot } from '../control-plane.ts';

/** A host is silent after this time, three to five missed reports. Its streams then count as not running. */
const SILENT_MS = 5_000;
/** A silent host is listed for this long, so that an operator can see which one it was. */
const REMOVE_AFTER_MS = 30_000;
/** A host that reported within this time and is no longer listed has left cleanly; a dead host falls silent first. */
const JUST_REPORTED_MS = 2_500;

/** Limit of hosts that report and are not listed: new hosts within their first second, and forged ones. */
const MAX_UNLISTED = 100;

interface WatchedHost {
  card: HostCard;
  isDraining: boolean;
  lastSeenMs: number;
}

interface ReceivedStats {
  readonly body: StatsBody;
  readonly atMs: number;
}

/** The hosts of the fleet and the last statistics of each. Times are of the gateway's wall clock, milliseconds. */
export class HostWatch {
  readonly #hosts = new Map<string, WatchedHost>();
  readonly #stats = new Map<string, ReceivedStats>();

  /**
   * Takes the listed hosts. A dead host stays listed until its lease expires, so being listed does not update `lastSeenMs`.
   *
   * @param isFollowing - their statistics are received; if not, the list is all that is known.
   */
  update(snapshot: FleetSnapshot, nowMs: number, isFollowing: boolean): void {
    const listed = new Set(snapshot.hosts.map(({ id }) => id));
    for (const card of snapshot.hosts) {
      const lastSeenMs = (isFollowing ? this.#hosts.get(card.id)?.lastSeenMs : undefined) ?? nowMs;
      this.#hosts.set(card.id, { card, isDraining: snapshot.draining.has(card.id), lastSeenMs });
    }
    for (const id of this.#hosts.keys())
      if (!listed.has(id) && (!isFollowing || this.#hasJustReported(id, nowMs))) this.#remove(id);
  }

  /**
   * Takes the newest statistics of a host, which need not be listed yet.
   *
   * @returns false if they were not kept, because too many hosts that are not listed report.
   */
  takeStats(hostId: string, body: StatsBody, nowMs: number): boolean {
    const isNew = !this.#stats.has(hostId) && !this.#hosts.has(hostId);
    if (isNew && this.#stats.size >= this.#hosts.size + MAX_UNLISTED) return false;
    this.#stats.set(hostId, { body, atMs: nowMs });
    const host = this.#hosts.get(hostId);
    if (host !== undefined) host.lastSeenMs = nowMs;
    return true;
  }

  /** Returns the hosts, sorted by name; a host without reports for 30 s is removed. */
  hosts(nowMs: number): readonly FleetHost[] {
    for (const [id, { lastSeenMs }] of this.#hosts) if (nowMs - lastSeenMs > REMOVE_AFTER_MS) this.#remove(id);
    return [...this.#hosts.values()]
      .map(({ card, isDraining, lastSeenMs }): FleetHost => {
        const isSilent = nowMs - lastSeenMs > SILENT_MS;
        return {
          ...card,
          state: isSilent ? 'silent' : isDraining ? 'draining' : 'ready',
          lastSeenMs: Math.floor(lastSeenMs),
        };
      })
      .sort((left, right) => (left.id < right.id ? -1 : 1));
  }

  /** Returns the last statistics of each host that is not silent. */
  fresh(nowMs: number): ReadonlyMap<string, StatsBody> {
    for (const [id, { atMs }] of this.#stats) if (nowMs - atMs > REMOVE_AFTER_MS) this.#stats.delete(id);
    const fresh = [...this.#stats].filter(([, { atMs }]) => nowMs - atMs <= SILENT_MS);
    return new Map(fresh.map(([id, { body }]) => [id, body]));
  }

  #hasJustReported(id: string, nowMs: number): boolean {
    const stats = this.#stats.get(id);
    return stats !== undefined && nowMs - stats.atMs <= JUST_REPORTED_MS;
  }

  #remove(id: string): void {
    this.#hosts.delete(id);
    this.#stats.delete(id);
  }
}
