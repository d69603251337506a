import type { QueueReport } from '../../protocol/fleet-report.ts';
import type { FleetSnapshot } from '../control-plane.ts';
import { demandFps } from './stream-demand.ts';

export interface FleetLoad {
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
