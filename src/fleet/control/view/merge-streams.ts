import { counted } from '../../../base/core/counted.ts';
import { redact } from '../../../base/core/redact.ts';
import type { StreamOrder } from '../../../wire/protocol/fleet.ts';
import type { StatsBody, StreamFailure } from '../../../wire/protocol/fleet-bus.ts';
import type { PlacementReport } from '../../../wire/protocol/fleet-report.ts';
import type { Percentiles, StreamReport, StreamState } from '../../../wire/protocol/report.ts';
import type { FleetSnapshot } from '../control-plane.ts';
import type { FenceWatch } from './fence-watch.ts';

export interface StreamView {
  readonly snapshot: FleetSnapshot;
  /** Newest statistics of each host that is not silent. */
  readonly stats: ReadonlyMap<string, StatsBody>;
  readonly fences: FenceWatch;
}

export interface MergedStreams {
  /** One for each order, oldest order first. */
  readonly streams: readonly StreamReport[];
  readonly placement: PlacementReport;
}

/** Merges orders with the hosts' reports: the orders define which streams exist, the lease records which host runs each. */
export function mergeStreams(view: StreamView): MergedStreams {
  const running = newest(view, ({ streams }) => streams);
  const failures = newest(view, (body) => body.failures);
  const placement = { placed: 0, waiting: 0, paused: 0 };
  const orders = view.snapshot.orders.toSorted((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1));
  const streams = orders.map((order) => {
    const report = running.get(order.id);
    placement[order.isPaused ? 'paused' : report === undefined ? 'waiting' : 'placed'] += 1;
    if (report !== undefined) return { ...report, state: stateOf(order, report.state) };
    const failure = failures.get(order.id);
    return failure === undefined || order.isPaused ? waitingReport(order, view) : failedReport(order, failure);
  });
  return { streams, placement };
}

/** Returns what one host has to report of its own streams, and by the leases which others run. */
export function ownStreams(
  { orders, leases, nowMs }: FleetSnapshot,
  host: string,
  reports: readonly StreamReport[],
): MergedStreams {
  const holderOf = (id: string): string | undefined => {
    const lease = leases.get(id);
    return lease !== undefined && lease.expiresMs > nowMs ? lease.hostId : undefined;
  };
  const placement = { placed: 0, waiting: 0, paused: 0 };
  for (const { id, isPaused } of orders)
    placement[isPaused ? 'paused' : holderOf(id) === undefined ? 'waiting' : 'placed'] += 1;
  return { streams: reports.flatMap((report) => (holderOf(report.id) === host ? { ...report, host } : [])), placement };
}

/** Returns for each stream the entry from the holder of its newest confirmed lease, if that host has reported one. */
function newest<T extends { readonly id: string; readonly fence?: number }>(
  { stats, fences }: StreamView,
  pick: (body: StatsBody) => readonly T[],
): ReadonlyMap<string, T & { readonly host: string }> {
  const found = new Map<string, T & { readonly host: string }>();
  for (const [host, body] of stats) {
    for (const entry of pick(body)) {
      const { id, fence = null } = entry;
      if (fences.judge(id, host, fence) === 'current') found.set(id, { ...entry, host });
    }
  }
  return found;
}

/** Shows a pause or resume at once, before the host has carried it out. */
function stateOf({ isPaused }: StreamOrder, state: StreamState): StreamState {
  if (isPaused && (state === 'running' || state === 'starting' || state === 'reconnecting')) return 'pausing';
  return !isPaused && state === 'paused' ? 'starting' : state;
}

const NOTHING: Percentiles = { count: 0, p50: 0, p95: 0, p99: 0, max: 0 };

function waitingReport(order: StreamOrder, { snapshot }: StreamView): StreamReport {
  if (order.isPaused) return { ...emptyReport(order), state: 'paused' };
  return { ...emptyReport(order), state: 'starting', lastError: waitingReason(order, snapshot) };
}

function failedReport(order: StreamOrder, failure: StreamFailure & { readonly host: string }): StreamReport {
  const { host, fence, message } = failure;
  return { ...emptyReport(order), state: 'failed', host, fence, lastError: message };
}

/** Returns the report of a stream that does not run yet. */
export function emptyReport({ id, config }: Pick<StreamOrder, 'id' | 'config'>): Omit<StreamReport, 'state'> {
  return {
    id,
    source: redact(config.source),
    policy: config.policy === 'file' ? 'file' : 'live',
    seq: 0,
    fps: { in: 0, inferred: 0, published: 0 },
    target: { fps: config.target.fps ?? null, latencyMs: config.target.latencyMs ?? null },
    isMissing: { fps: false, latency: false },
    latencyMs: { window: NOTHING, total: NOTHING },
    stagesMs: { decode: NOTHING, preprocess: NOTHING, queue: NOTHING, infer: NOTHING, publish: NOTHING },
    frames: { in: 0, published: 0, inFlight: 0, dropped: {} },
    results: { inferred: 0, tracked: 0, unchanged: 0, cached: 0 },
    queueDepth: 0,
    decodeErrors: 0,
    reconnects: 0,
    width: null,
    height: null,
    priority: config.priority,
    weight: config.weight,
    zones: config.zones.map((zone) => ({ id: zone.id, inside: 0 })),
    lines: config.lines.map((line) => ({ id: line.id, leftToRight: 0, rightToLeft: 0 })),
    lastError: null,
    lastErrorAtMs: null,
  };
}

/** Explains in a sentence why no host runs a stream yet, from the state of the control plane. */
function waitingReason(order: StreamOrder, snapshot: FleetSnapshot): string {
  const { hosts, draining } = snapshot;
  const lease = snapshot.leases.get(order.id);
  if (lease !== undefined && lease.expiresMs > snapshot.nowMs) {
    return `Host ${lease.hostId} has taken it and has not reported yet.`;
  }
  const able = hosts.filter(({ pipeline }) => pipeline === order.pipeline);
  const assigned = snapshot.assignments.get(order.id);
  if (assigned !== undefined) {
    const isHere = able.some(({ id }) => id === assigned.hostId);
    if (isHere) return `Host ${assigned.hostId} is assigned to it and has not taken it yet.`;
    return `Host ${assigned.hostId} does not respond; the stream moves to another host.`;
  }
  if (able.length === 0) {
    const others = [...new Set(hosts.map(({ pipeline }) => pipeline))].join(', ');
    const here = others === '' ? 'there is no host at all' : `hosts run ${others}`;
    return `No host runs pipeline "${order.pipeline}": ${here}.`;
  }
  const { wantedHost } = order;
  if (wantedHost !== null && !able.some(({ id }) => id === wantedHost)) {
    return `Host ${wantedHost}, which was chosen for it, is not in the fleet; moving it to "auto" leaves the choice to the fleet.`;
  }
  if (able.every(({ id }) => draining.has(id))) return 'All hosts of its pipeline are being drained.';
  const capacity = able.reduce((sum, { capacityFps }) => sum + capacityFps, 0);
  const live = able.reduce((sum, { liveFps }) => sum + liveFps, 0);
  return `It waits for capacity on ${counted(able.length, 'host')}, where live streams take ${live.toFixed(0)} of ${capacity.toFixed(0)} inferences/s.`;
}
