import { counted } from '../../../base/core/counted.ts';
import { modelsOf } from '../../../settings/config/stream.ts';
import type { Assignment, HostCard, StreamOrder } from '../../../wire/protocol/fleet.ts';
import type { FleetSnapshot } from '../control-plane.ts';
import { MoveBudget } from './move-budget.ts';
import { canRun, type Room } from './pack-streams.ts';
import { NoteWriter, type PlanNote, type RoundBefore } from './plan-notes.ts';
import type { PlanOptions } from './plan-options.ts';
import { type PipelineMemory, type PlannedStream, planPipeline } from './plan-pipeline.ts';
import { downToHundredths } from './rate-ladder.ts';
import { demandFps } from './stream-demand.ts';

/** What a leader keeps from one round to the next; a new leader starts with null. */
export interface PlanMemory extends RoundBefore {
  readonly startedMs: number;
  readonly plannedMs: number;
  readonly tokens: number;
}

export interface FleetPlan {
  /** Assignments to write; null removes a stream from its host. */
  readonly changes: ReadonlyMap<string, Assignment | null>;
  readonly notes: readonly PlanNote[];
  /** Streams that do not run because no host has room, and why. */
  readonly refused: ReadonlyMap<string, string>;
  /** Input of the next round, once the changes are written. */
  readonly memory: PlanMemory;
}

/**
 * Decides which host runs which stream, at which rate. Pure: the same snapshot and memory give the same plan.
 *
 * Hosts are filled up to `capacityFps * fillRatio`, lowest relative load first. While a pipeline lacks room, rates fall: the
 * lowest priority first, all its streams evenly, to 10 % of what they want or 1 frame/s; then the next priority. Streams
 * are refused only when all are at that floor, lowest priorities first. A stream keeps its host unless the host is gone or
 * draining, an operator wants another, or other streams find no room.
 */
export function planFleet(snapshot: FleetSnapshot, memory: PlanMemory | null, options: PlanOptions): FleetPlan {
  const { nowMs, hosts, draining, orders, assignments } = snapshot;
  const previous = memory === null ? null : withClock(memory, nowMs);
  const startedMs = previous?.startedMs ?? nowMs;
  const budget =
    previous === null
      ? MoveBudget.full(options.movesPerSecond)
      : MoveBudget.after(options.movesPerSecond, previous.tokens, nowMs - previous.plannedMs);
  const notes = new NoteWriter(snapshot, previous);
  const changes = new Map<string, Assignment | null>();
  const refused = new Map<string, string>();
  const pipelines = new Map<string, PipelineMemory>();
  const live = new Set(hosts.map(({ id }) => id));

  const active = orders.filter(({ isPaused }) => !isPaused);
  for (const [pipeline, ofPipeline] of byPipeline(active)) {
    const rooms = roomsOf(hosts, pipeline, draining, options.fillRatio);
    const largest = [...rooms.values()].reduce((most, { fps }) => Math.max(most, fps), 0);
    const all = ofPipeline.map((order) => plannedStream(order, assignments.get(order.id), largest, live));
    const isSettled = nowMs - startedMs >= options.settleMs;
    const hostRooms = [...rooms.values()];
    // Those that no host can run would press the rates of all others.
    const unable = new Set(all.filter((stream) => rooms.size > 0 && !hostRooms.some((room) => canRun(room, stream))));
    for (const { id, models } of unable) if (isSettled) refused.set(id, whyUnable(pipeline, models!));
    const streams = all.filter((stream) => !unable.has(stream));
    const plan = planPipeline({
      streams,
      rooms,
      memory: previous?.pipelines.get(pipeline) ?? null,
      nowMs,
      isSettled,
      budget,
      options,
    });
    pipelines.set(pipeline, plan.memory);
    const waiting = new Set(isSettled ? [] : [...unable].map(({ id }) => id));
    for (const order of ofPipeline) {
      if (waiting.has(order.id)) continue;
      const assignment = assignmentOf(order, plan.hosts, plan.rates, nowMs);
      if (!isSame(assignment, assignments.get(order.id) ?? null)) changes.set(order.id, assignment);
    }
    for (const id of plan.refused) refused.set(id, whyRefused(pipeline, rooms));
    notes.ofPipeline(pipeline, { changes, rates: plan.rates, streams, refused, rateCut: plan.memory.rateCut });
  }
  const running = new Set(active.map(({ id }) => id));
  for (const id of assignments.keys()) if (!running.has(id)) changes.set(id, null);

  const next = {
    startedMs,
    plannedMs: nowMs,
    tokens: budget.tokens,
    pipelines,
    hosts: live,
    refused: new Set(refused.keys()),
  };
  return { changes, notes: notes.all, refused, memory: next };
}

/**
 * Moves the times of a memory back with the control plane's clock, which a fail-over can set back. Otherwise no rate would change
 * until the clock has caught up.
 */
function withClock(memory: PlanMemory, nowMs: number): PlanMemory {
  const backMs = memory.plannedMs - nowMs;
  if (backMs <= 0) return memory;
  const pipelines = Array.from(memory.pipelines, ([name, pipeline]): [string, PipelineMemory] => {
    const { rateChangedMs, rebalancedMs } = pipeline;
    return [name, { ...pipeline, rateChangedMs: rateChangedMs - backMs, rebalancedMs: rebalancedMs - backMs }];
  });
  return { ...memory, startedMs: memory.startedMs - backMs, plannedMs: nowMs, pipelines: new Map(pipelines) };
}

function byPipeline(orders: readonly StreamOrder[]): Map<string, StreamOrder[]> {
  const groups = new Map<string, StreamOrder[]>();
  for (const order of orders) {
    const group = groups.get(order.pipeline);
    if (group === undefined) groups.set(order.pipeline, [order]);
    else group.push(order);
  }
  return groups;
}

function roomsOf(
  hosts: readonly HostCard[],
  pipeline: string,
  draining: ReadonlySet<string>,
  fillRatio: number,
): Map<string, Room> {
  const ready = hosts.filter((host) => host.pipeline === pipeline && !draining.has(host.id));
  return new Map(
    ready.map(({ id, capacityFps, models }) => [id, { hostId: id, fps: capacityFps * fillRatio, models }]),
  );
}

/** @param largest - room of the largest ready host, inferences a second; 0 if there is none. */
function plannedStream(
  order: StreamOrder,
  assignment: Assignment | undefined,
  largest: number,
  live: ReadonlySet<string>,
): PlannedStream {
  const demand = demandFps(order.config);
  // One host must run it, so its demand is capped at the largest host. Otherwise all other streams would be held back for nothing.
  return {
    id: order.id,
    priority: order.config.priority,
    wantFps: largest > 0 && demand > largest ? downToHundredths(largest) : demand,
    wantedHost: order.wantedHost,
    currentHost: assignment?.hostId ?? null,
    grantedFps: assignment?.maxFps ?? null,
    models: modelsOf(order.config).filter((name) => name !== undefined),
    isRunning: assignment !== undefined && live.has(assignment.hostId),
  };
}

function assignmentOf(
  order: StreamOrder,
  hosts: ReadonlyMap<string, string>,
  rates: ReadonlyMap<string, number>,
  nowMs: number,
): Assignment | null {
  const hostId = hosts.get(order.id);
  if (hostId === undefined) return null;
  const rate = rates.get(order.id)!;
  return { hostId, maxFps: rate < demandFps(order.config) ? rate : null, sinceMs: nowMs };
}

function isSame(a: Assignment | null, b: Assignment | null): boolean {
  return a?.hostId === b?.hostId && a?.maxFps === b?.maxFps;
}

function whyUnable(pipeline: string, models: readonly string[]): string {
  return `no ready host of pipeline "${pipeline}" has the detectors that it names: ${models.join(', ')}`;
}

function whyRefused(pipeline: string, rooms: ReadonlyMap<string, Room>): string {
  if (rooms.size === 0) return `no host runs pipeline "${pipeline}"`;
  return `pipeline "${pipeline}" has ${counted(rooms.size, 'ready host')}, full with every rate of this priority and below at its floor`;
}
