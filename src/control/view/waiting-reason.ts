import type { StreamOrder } from '../../protocol/fleet.ts';
import type { FleetSnapshot } from '../control-plane.ts';

/** Explains in a sentence why no host runs a stream yet, from the state of the control plane. */
export function waitingReason(order: StreamOrder, snapshot: FleetSnapshot): string {
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
  return `It waits for capacity on ${able.length} hosts, where live streams take ${live.toFixed(0)} of ${capacity.toFixed(0)} inferences/s.`;
}
