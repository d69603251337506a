import { JOB_STATES } from '../protocol/fleet.ts';
import { FLEET_HOST_STATES, type FleetHost } from '../protocol/fleet-report.ts';
import type { StreamReport } from '../protocol/report.ts';
import type { FleetPort } from './fleet-port.ts';
import type { MetricSet } from './metric-set.ts';

const MS_PER_S = 1000;

/** Adds the figures of the fleet. Every state has a series from the start, so that there is a zero to compare with. */
export function fillFleetMetrics(set: MetricSet, port: FleetPort, streams: readonly StreamReport[]): void {
  const { hosts, placement, jobs, queue, scale } = port.fleet();
  fillHosts(set, hosts);
  for (const [state, count] of Object.entries(placement)) {
    set.gauge('sightline_fleet_streams', 'Streams that are ordered, by what became of them.', { state }, count);
  }
  for (const { id: stream, host, fence } of streams) {
    if (host === undefined || fence === undefined) continue;
    set.gauge('sightline_fleet_stream_fence', 'Who runs a stream, and under which lease.', { stream, host }, fence);
  }
  for (const state of JOB_STATES) {
    const count = jobs.filter((job) => job.state === state).length;
    set.gauge('sightline_fleet_jobs', 'Jobs: all unfinished ones and the newest others.', { state }, count);
  }
  set.gauge('sightline_fleet_tasks', 'Tasks of jobs.', { state: 'waiting' }, queue.waiting);
  set.gauge('sightline_fleet_tasks', 'Tasks of jobs.', { state: 'active' }, queue.active);
  const age = queue.oldestWaitingMs / MS_PER_S;
  set.gauge('sightline_fleet_oldest_waiting_task_seconds', 'Age of the task that waits longest.', {}, age);
  if (scale !== null) {
    set.gauge('sightline_fleet_load_ratio', 'What is done and waits, of what can be done.', {}, scale.loadRatio);
    set.gauge('sightline_fleet_recommended_hosts', 'Hosts that the fleet should have.', {}, scale.recommendedHosts);
  }
  const { staleMessages, malformedMessages, busDropped } = port.figures();
  const stale = 'Messages of hosts that had lost their lease.';
  set.counter('sightline_fleet_stale_messages_total', stale, {}, staleMessages);
  set.counter('sightline_fleet_malformed_messages_total', 'Messages of another shape.', {}, malformedMessages);
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
    set.gauge('sightline_fleet_host_capacity_fps', 'Inferences a second that it sustains.', labels, capacityFps);
    const load = 'Inferences a second that it does.';
    set.gauge('sightline_fleet_host_load_fps', load, { ...labels, kind: 'live' }, liveFps);
    set.gauge('sightline_fleet_host_load_fps', load, { ...labels, kind: 'bulk' }, bulkFps);
    set.gauge('sightline_fleet_host_streams', 'Streams that it runs.', labels, streams);
    set.gauge('sightline_fleet_host_segments', 'Segments of jobs that it does.', labels, segments);
  }
  const capacity = present.reduce((sum, { capacityFps }) => sum + capacityFps, 0);
  set.gauge('sightline_fleet_capacity_fps', 'Of all hosts together.', {}, capacity);
}
