import type { FleetSnapshot } from '../../src/fleet/control/control-plane.ts';
import { planFleet } from '../../src/fleet/control/planning/plan-fleet.ts';
import type { PlanOptions } from '../../src/fleet/control/planning/plan-options.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';

const STREAM_FPS = 10;
const ROUNDS = 10;

export interface PlanCost {
  readonly streams: number;
  readonly hosts: number;
  /** CPU milliseconds of a round without changes, and of one after the loss of a host. */
  readonly quietMs: number;
  readonly lostHostMs: number;
}

/** Measures planning for an artificial fleet in which every stream is placed, without Redis. */
export function planAlone(streams: number, hosts: number, plan: PlanOptions): PlanCost {
  const snapshot = settledFleet(streams, hosts, plan.fillRatio);
  let { memory } = planFleet(snapshot, null, plan);
  let nowMs = snapshot.nowMs + 60_000;
  const quietMs = cpuMs(() => {
    for (let i = 0; i < ROUNDS; i++) ({ memory } = planFleet({ ...snapshot, nowMs: nowMs++ }, memory, plan));
  });
  const lostHostMs = cpuMs(() => planFleet({ ...snapshot, nowMs, hosts: snapshot.hosts.slice(1) }, memory, plan));
  return { streams, hosts, quietMs: quietMs / ROUNDS, lostHostMs };
}

function settledFleet(streams: number, hostCount: number, fillRatio: number): FleetSnapshot {
  const streamsPerHost = streams / hostCount;
  const settings = parseStream({ id: 's', source: 'rtsp://camera.example/1', maxFps: STREAM_FPS }, {});
  const card = { pipeline: 'made-up', model: 'none', url: null, startedMs: 0, version: '0.0.0' };
  const load = { liveFps: 0, bulkFps: 0, streams: streamsPerHost, segments: 0 };
  const capacityFps = (1.5 * streamsPerHost * STREAM_FPS) / fillRatio;
  const ids = Array.from({ length: streams }, (_, i) => `s${i}`);
  return {
    nowMs: 1_700_000_000_000,
    hosts: Array.from({ length: hostCount }, (_, i) => ({ ...card, ...load, id: `host-${i}`, capacityFps })),
    draining: new Set(),
    orders: ids.map((id) => ({
      id,
      pipeline: card.pipeline,
      config: { ...settings, id },
      isPaused: false,
      wantedHost: null,
      createdMs: 0,
      revision: 1,
    })),
    assignments: new Map(ids.map((id, i) => [id, { hostId: `host-${i % hostCount}`, maxFps: null, sinceMs: 0 }])),
    leases: new Map(),
  };
}

function cpuMs(run: () => unknown): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
