import { JOB_STATES } from '../../wire/protocol/fleet.ts';
import { FLEET_HOST_STATES, type FleetHost } from '../../wire/protocol/fleet-report.ts';
import type { FleetPort } from '../../wire/protocol/ports/fleet-port.ts';
import type { StreamReport } from '../../wire/protocol/report.ts';
import type { MetricSet } from './metric-set.ts';

const MS_PER_S = 1000;

/** Adds the figures of the fleet. Every state has a series from the start, so that queries see a 0 instead of a gap. */
export function fillFleetMetrics(set: MetricSet, port: FleetPort, streams: readonly StreamReport[]): void {
  const { hosts, placement, jobs, queue, scale } = port.fleet();
  fillHosts(set, hosts);
  for (const [state, count] of Object.entries(placement)) {
    set.gauge('sightline_fleet_streams', 'Ordered streams by placement.', { state }, count);
  }
  for (const { id: stream, host, fence } of streams) {
    if (host === undefined || fence === undefined) continue;
    set.gauge(
      'sightline_fleet_stream_fence',
      'Fence of the lease under which a host runs a stream.',
      { stream, host },
      fence,
    );
  }
  for (const state of JOB_STATES) {
    const count = jobs.filter((job) => job.state === state).length;
    set.gauge(
      'sightline_fleet_jobs',
      'Jobs by state: all unfinished ones and the newest finished ones.',
      { state },
      count,
    );
  }
  set.gauge('sightline_fleet_tasks', 'Tasks of jobs.', { state: 'waiting' }, queue.waiting);
  set.gauge('sightline_fleet_tasks', 'Tasks of jobs.', { state: 'active' }, queue.active);
  const age = queue.oldestWaitingMs / MS_PER_S;
  set.gauge('sightline_fleet_oldest_waiting_task_seconds', 'Age of the oldest waiting task.', {}, age);
  if (scale !== null) {
    set.gauge('sightline_fleet_load_ratio', 'Active and waiting load divided by capacity.', {}, scale.loadRatio);
    set.gauge('sightline_fleet_recommended_hosts', 'Recommended number of hosts.', {}, scale.recommendedHosts);
  }
  const { staleMessages, malformedMessages, busDropped } = port.figures();
  const stale = 'Dropped messages of hosts that had lost their lease.';
  set.counter('sightline_fleet_stale_messages_total', stale, {}, staleMessages);
  set.counter('sightline_fleet_malformed_messages_total', 'Messages that failed validation.', {}, malformedMessages);
  set.counter('sightline_fleet_bus_dropped_total', 'Messages that could not be published.', {}, busDropped);
}

function fillHosts(set: MetricSet, hosts: readonly FleetHost[]): void {
  for (const state of FLEET_HOST_STATES) {
    const count = hosts.filter((host) => host.state === state).length;
    set.gauge('sightline_fleet_hosts', 'Hosts by state.', { state }, count);
  }
  const present = hosts.filter(({ state }) => state !== 'silent');
  for (const { id: host, pipeline, capacityFps, liveFps, bulkFps, streams, segments } of present) {
    const labels = { host, pipeline };
    set.gauge(
      'sightline_fleet_host_capacity_fps',
      'Inferences per second that the host can sustain.',
      labels,
      capacityFps,
    );
    const load = 'Inferences per second that the host runs.';
    set.gauge('sightline_fleet_host_load_fps', load, { ...labels, kind: 'live' }, liveFps);
    set.gauge('sightline_fleet_host_load_fps', load, { ...labels, kind: 'bulk' }, bulkFps);
    set.gauge('sightline_fleet_host_streams', 'Streams that the host runs.', labels, streams);
    set.gauge('sightline_fleet_host_segments', 'Segments of jobs that the host runs.', labels, segments);
  }
  const capacity = present.reduce((sum, { capacityFps }) => sum + capacityFps, 0);
  set.gauge('sightline_fleet_capacity_fps', 'Total capacity of all hosts.', {}, capacity);
}
