import type { QueueReport } from '../../protocol/fleet-report.ts';
import type { FleetSnapshot } from '../control-plane.ts';
import { demandFps } from './stream-demand.ts';

export interface FleetLoad {
  /** Hosts that are ready: heard of, and not drained. */
  readonly hosts: number;
  /** Inferences a second that live streams may fill on them: `capacityFps * fillRatio` of each. */
  readonly capacity: number;
  /** Inferences a second that ordered streams want, whoever runs them; paused ones want nothing. */
  readonly live: number;
  /** Inferences a second that streams are granted and segments take, the latter as far as live streams leave room. */
  readonly active: number;
  /** Inferences a second that streams are short of, and that the queued tasks would take if they were begun now. */
  readonly waiting: number;
}

/**
 * Adds up what is asked of a fleet and what it has.
 *
 * @param pipeline - null counts those of all.
 * @param tasksPerHost - segments that a host does at once: a queued task asks for this part of a mean host.
 */
export function fleetLoad(
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
  // Segments take whatever is left over: without the bound they would ask for more hosts to fill, for ever.
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
