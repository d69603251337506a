import { redact } from '../core/redact.ts';
import type { StreamOrder } from '../protocol/fleet.ts';
import type { StatsBody } from '../protocol/fleet-bus.ts';
import type { FleetHost, PlacementReport } from '../protocol/fleet-report.ts';
import type { Percentiles, StreamReport, StreamState } from '../protocol/report.ts';
import type { FleetSnapshot } from './control-plane.ts';
import type { FenceWatch } from './fence-watch.ts';
import { waitingReason } from './waiting-reason.ts';

export interface FleetSight {
  readonly snapshot: FleetSnapshot;
  readonly hosts: readonly FleetHost[];
  /** Newest statistics of each host that is not silent. */
  readonly heard: ReadonlyMap<string, StatsBody>;
  readonly fences: FenceWatch;
}

export interface MergedStreams {
  /** One for each order, oldest order first. */
  readonly streams: readonly StreamReport[];
  readonly placement: PlacementReport;
}

/** Puts orders and what hosts say of them together: the orders say which streams there are, the highest fence who runs them. */
export function mergeStreams(sight: FleetSight): MergedStreams {
  const running = runningStreams(sight);
  const placement = { placed: 0, waiting: 0, paused: 0 };
  const orders = sight.snapshot.orders.toSorted((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1));
  const streams = orders.map((order) => {
    const report = running.get(order.id);
    placement[order.isPaused ? 'paused' : report === undefined ? 'waiting' : 'placed'] += 1;
    return report === undefined ? unplacedReport(order, sight) : { ...report, state: stateOf(order, report.state) };
  });
  return { streams, placement };
}

/** Of each stream the report of its newest holder; none where the newest holder has not spoken. */
function runningStreams({ heard, fences }: FleetSight): ReadonlyMap<string, StreamReport> {
  const running = new Map<string, StreamReport>();
  for (const [host, { streams }] of heard) {
    for (const report of streams) {
      const { id, fence = 0 } = report;
      if (fence < fences.highest(id) || fence < (running.get(id)?.fence ?? 0)) continue;
      running.set(id, { ...report, host });
    }
  }
  return running;
}

/** What an operator asked for and the host has not done yet shows at once. */
function stateOf({ isPaused }: StreamOrder, state: StreamState): StreamState {
  if (isPaused && (state === 'running' || state === 'starting' || state === 'reconnecting')) return 'pausing';
  return !isPaused && state === 'paused' ? 'starting' : state;
}

const NOTHING: Percentiles = { count: 0, p50: 0, p95: 0, p99: 0, max: 0 };

/** A stream that is ordered and that nobody runs. */
function unplacedReport(order: StreamOrder, { snapshot, hosts }: FleetSight): StreamReport {
  const { config, isPaused } = order;
  return {
    id: order.id,
    source: redact(config.source),
    state: isPaused ? 'paused' : 'starting',
    policy: config.policy === 'file' ? 'file' : 'live',
    seq: 0,
    fps: { in: 0, inferred: 0, published: 0 },
    target: { fps: config.target.fps ?? null, latencyMs: config.target.latencyMs ?? null },
    isMissing: { fps: false, latency: false },
    latencyMs: { window: NOTHING, total: NOTHING },
    stagesMs: { decode: NOTHING, preprocess: NOTHING, queue: NOTHING, infer: NOTHING, publish: NOTHING },
    frames: { in: 0, published: 0, inFlight: 0, dropped: {} },
    queueDepth: 0,
    decodeErrors: 0,
    reconnects: 0,
    width: null,
    height: null,
    priority: config.priority,
    weight: config.weight,
    zones: config.zones.map(({ id }) => ({ id, inside: 0 })),
    lines: config.lines.map(({ id }) => ({ id, leftToRight: 0, rightToLeft: 0 })),
    lastError: isPaused ? null : waitingReason(order, snapshot, hosts),
  };
}
