import type { HostCard } from '../../protocol/fleet.ts';
import type { StatsBody } from '../../protocol/fleet-bus.ts';
import type { FleetHost } from '../../protocol/fleet-report.ts';
import type { FleetSnapshot } from '../control-plane.ts';

/** Three to five reports missed. Streams of a host that is silent for longer count as run by nobody. */
export const SILENT_MS = 5_000;
/** Long enough for an operator to see which host it was. */
const FORGET_MS = 30_000;
/** A host that reported until now and is gone from the list has left in order; one that died fell silent first. */
const JUST_HEARD_MS = 2_500;

/** Hosts that report and are on no list: new ones for a second, and whatever a forger invents. */
const MOST_UNLISTED = 100;

interface WatchedHost {
  card: HostCard;
  isDraining: boolean;
  lastSeenMs: number;
}

interface Heard {
  readonly body: StatsBody;
  readonly atMs: number;
}

/** Which hosts the fleet has and what each said last. Times are the gateway's own wall clock, milliseconds. */
export class HostWatch {
  readonly #hosts = new Map<string, WatchedHost>();
  readonly #heard = new Map<string, Heard>();

  /** Takes the list of those that beat. One that died stays on it until its lease ends: being listed is no sign of life. */
  see(snapshot: FleetSnapshot, nowMs: number): void {
    const listed = new Set(snapshot.hosts.map(({ id }) => id));
    for (const card of snapshot.hosts) {
      const lastSeenMs = this.#hosts.get(card.id)?.lastSeenMs ?? nowMs;
      this.#hosts.set(card.id, { card, isDraining: snapshot.draining.has(card.id), lastSeenMs });
    }
    for (const id of this.#hosts.keys()) if (!listed.has(id) && this.#wasJustHeard(id, nowMs)) this.#forget(id);
  }

  /**
   * Takes the newest statistics of a host, which need not be on the list yet.
   *
   * @returns false where they were not kept: too many hosts report that are on no list.
   */
  hear(hostId: string, body: StatsBody, nowMs: number): boolean {
    const isNew = !this.#heard.has(hostId) && !this.#hosts.has(hostId);
    if (isNew && this.#heard.size >= this.#hosts.size + MOST_UNLISTED) return false;
    this.#heard.set(hostId, { body, atMs: nowMs });
    const host = this.#hosts.get(hostId);
    if (host !== undefined) host.lastSeenMs = nowMs;
    return true;
  }

  /** By name; those not heard of for a while are gone. */
  hosts(nowMs: number): readonly FleetHost[] {
    for (const [id, { lastSeenMs }] of this.#hosts) if (nowMs - lastSeenMs > FORGET_MS) this.#forget(id);
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

  /** What hosts that are not silent said last. */
  fresh(nowMs: number): ReadonlyMap<string, StatsBody> {
    for (const [id, { atMs }] of this.#heard) if (nowMs - atMs > FORGET_MS) this.#heard.delete(id);
    const fresh = [...this.#heard].filter(([, { atMs }]) => nowMs - atMs <= SILENT_MS);
    return new Map(fresh.map(([id, { body }]) => [id, body]));
  }

  #wasJustHeard(id: string, nowMs: number): boolean {
    const heard = this.#heard.get(id);
    return heard !== undefined && nowMs - heard.atMs <= JUST_HEARD_MS;
  }

  #forget(id: string): void {
    this.#hosts.delete(id);
    this.#heard.delete(id);
  }
}
