import { counted } from '../../../base/core/counted.ts';
import type { QueueReport, ScaleReport } from '../../../wire/protocol/fleet-report.ts';
import type { FleetSnapshot } from '../control-plane.ts';
import { demandFps } from './stream-demand.ts';

export interface ScaleOptions {
  /** Pipeline whose hosts are counted; null counts all, which requires that all hosts are alike. */
  readonly pipeline: string | null;
  readonly fillRatio: number;
  /** Segments that a host processes at once. */
  readonly tasksPerHost: number;
  readonly minHosts: number;
  readonly maxHosts: number;
  /** Share of the capacity for live streams; the rest is a reserve while a new host starts. */
  readonly targetRatio: number;
  /** Time between two steps up; each at most doubles the number of hosts. */
  readonly upCooldownMs: number;
  /** The recommendation falls to the highest need within this time. */
  readonly downWindowMs: number;
}

export const SCALE_DEFAULTS = {
  targetRatio: 0.8,
  upCooldownMs: 30_000,
  downWindowMs: 300_000,
} as const satisfies Partial<ScaleOptions>;

interface Need {
  readonly atMs: number;
  readonly hosts: number;
}

/**
 * Recommends how many hosts a fleet should have.
 *
 *     needed = ceil(max(live / targetRatio, active + waiting) / capacity of a mean host)
 *
 * The recommendation rises at once, then not again before `upCooldownMs`, and falls to the highest need of the last
 * `downWindowMs`: a load that goes up and down within that time changes nothing. Time is the control plane's clock.
 */
export class ScaleAdvisor {
  readonly #options: ScaleOptions;
  /** Needs within the window that no later one reaches, oldest and highest first. */
  #needs: Need[] = [];
  #recommended: number | null = null;
  #sinceMs = 0;
  #raisedMs = Number.NEGATIVE_INFINITY;
  #advisedMs = Number.NEGATIVE_INFINITY;
  /** Of a mean host, last known value; 0 before the first host. */
  #hostCapacity = 0;

  constructor(options: ScaleOptions) {
    this.#options = options;
  }

  /** Must be called about once a second. */
  advise(snapshot: FleetSnapshot, queue: QueueReport): ScaleReport {
    const { nowMs } = snapshot;
    if (nowMs < this.#advisedMs) this.#moveBack(this.#advisedMs - nowMs);
    this.#advisedMs = nowMs;
    const load = fleetLoad(snapshot, queue, this.#options);
    if (load.hosts > 0) this.#hostCapacity = load.capacity / load.hosts;
    const needed = this.#clamp(this.#needed(load, queue));
    // On the first call the past is unknown: assume that the present hosts were needed.
    const before = this.#recommended ?? this.#clamp(load.hosts);
    if (this.#recommended === null) this.#remember(nowMs, before);
    this.#remember(nowMs, needed);
    const recommended = this.#clamp(this.#step(before, needed, nowMs));
    if (recommended !== this.#recommended) this.#sinceMs = nowMs;
    if (recommended > before) this.#raisedMs = nowMs;
    this.#recommended = recommended;
    return {
      loadRatio: toHundredths(this.#ratio(load)),
      active: toHundredths(load.active),
      waiting: toHundredths(load.waiting),
      capacity: toHundredths(load.capacity),
      queueDepth: queue.waiting,
      oldestWaitingS: queue.oldestWaitingMs / 1000,
      hosts: load.hosts,
      recommendedHosts: recommended,
      reason: reasonOf(load, queue, recommended, needed),
      sinceMs: Math.floor(this.#sinceMs),
    };
  }

  #needed({ live, active, waiting }: FleetLoad, queue: QueueReport): number {
    if (this.#hostCapacity === 0) return live > 0 || queue.waiting > 0 ? 1 : 0;
    // Without a host the rate of tasks is unknown; one host is enough to measure it.
    const fps = Math.max(live / this.#options.targetRatio, active + waiting);
    const hosts = Math.ceil(fps / this.#hostCapacity - 1e-6);
    return queue.waiting + queue.active > 0 ? Math.max(1, hosts) : hosts;
  }

  #step(before: number, needed: number, nowMs: number): number {
    if (needed > before) {
      if (nowMs - this.#raisedMs < this.#options.upCooldownMs) return before;
      return Math.min(needed, Math.max(before + 1, before * 2));
    }
    return Math.min(before, this.#needs[0]!.hosts);
  }

  #remember(atMs: number, hosts: number): void {
    while (this.#needs.length > 0 && this.#needs.at(-1)!.hosts <= hosts) this.#needs.pop();
    this.#needs.push({ atMs, hosts });
    while (this.#needs[0]!.atMs < atMs - this.#options.downWindowMs) this.#needs.shift();
  }

  /**
   * Moves all times back with the control plane's clock, which a fail-over can set back. Otherwise it would recommend no more hosts
   * until the clock has caught up.
   */
  #moveBack(byMs: number): void {
    this.#needs = this.#needs.map(({ atMs, hosts }) => ({ atMs: atMs - byMs, hosts }));
    this.#sinceMs -= byMs;
    this.#raisedMs -= byMs;
  }

  #clamp(hosts: number): number {
    const { minHosts, maxHosts } = this.#options;
    return Math.min(maxHosts, Math.max(minHosts, hosts));
  }

  /** Without a ready host, relative to the last known mean host. */
  #ratio({ active, waiting, capacity }: FleetLoad): number {
    const against = capacity > 0 ? capacity : this.#hostCapacity;
    if (against > 0) return (active + waiting) / against;
    return active + waiting > 0 ? 1 : 0;
  }
}

function reasonOf(
  { active, waiting, capacity, hosts }: FleetLoad,
  queue: QueueReport,
  recommended: number,
  needed: number,
): string {
  const use = `${active.toFixed(0)} of ${capacity.toFixed(0)} inferences/s on ${counted(hosts, 'host')} are in use, ${waiting.toFixed(0)} wait`;
  const tasks =
    queue.waiting === 0
      ? ''
      : `, ${counted(queue.waiting, 'task')} queued (oldest ${(queue.oldestWaitingMs / 1000).toFixed(0)} s)`;
  const now = needed === recommended ? '' : `; ${counted(needed, 'host')} would be needed now`;
  return `${use}${tasks}${now}.`;
}

function toHundredths(value: number): number {
  return Math.round(value * 100) / 100;
}

interface FleetLoad {
  /** Ready hosts: alive and not draining. */
  readonly hosts: number;
  /** Inferences a second that live streams may use on them: `capacityFps * fillRatio` of each. */
  readonly capacity: number;
  /** Inferences a second that ordered streams want, running or not; paused ones want nothing. */
  readonly live: number;
  /** Inferences a second that streams are granted and segments use, the latter up to what live streams leave. */
  readonly active: number;
  /** Inferences a second that streams lack, and that the queued tasks would use if they started now. */
  readonly waiting: number;
}

/**
 * Adds up the demand on a fleet and its capacity.
 *
 * @param pipeline - null counts all pipelines.
 * @param tasksPerHost - segments that a host processes at once: a queued task needs this fraction of a mean host.
 */
function fleetLoad(
  { hosts, draining, orders, assignments }: FleetSnapshot,
  queue: QueueReport,
  options: { readonly pipeline: string | null; readonly fillRatio: number; readonly tasksPerHost: number },
): FleetLoad {
  const isOurs = (pipeline: string): boolean => options.pipeline === null || pipeline === options.pipeline;
  const ours = hosts.filter((host) => isOurs(host.pipeline));
  const ready = ours.filter(({ id }) => !draining.has(id));
  const capacity = ready.reduce((sum, { capacityFps }) => sum + capacityFps * options.fillRatio, 0);
  const alive = new Set(hosts.map(({ id }) => id));
  let [live, granted] = [0, 0];
  for (const order of orders) {
    if (order.isPaused || !isOurs(order.pipeline)) continue;
    const demand = demandFps(order.config);
    live += demand;
    const assignment = assignments.get(order.id);
    if (assignment !== undefined && alive.has(assignment.hostId))
      granted += Math.min(demand, assignment.maxFps ?? demand);
  }
  // Segments use all idle capacity: without this bound they would demand more hosts without end.
  const bulk = Math.min(
    ours.reduce((sum, { bulkFps }) => sum + bulkFps, 0),
    Math.max(0, capacity - granted),
  );
  const taskFps = ready.length === 0 ? 0 : capacity / ready.length / options.tasksPerHost;
  return {
    hosts: ready.length,
    capacity,
    live,
    active: granted + bulk,
    waiting: live - granted + queue.waiting * taskFps,
  };
}
