import type { FleetSummary } from '../control/view/fleet-summary.ts';
import type { FleetHost } from '../protocol/fleet-report.ts';
import type { StreamReport } from '../protocol/report.ts';
import { table } from './table.ts';

/** Formats the streams with their hosts, then the hosts, then the missed targets and the last error of each stream that has any. */
export function summaryText({ hosts, streams, overload }: FleetSummary): string {
  const parts = [streams.length === 0 ? 'No streams. `sightline streams add` adds one.' : streamsTable(streams)];
  parts.push('', hosts.length === 0 ? 'No hosts. `sightline host` starts one.' : hostsTable(hosts));
  const overloads = hosts.flatMap((host) => (host.overload === undefined ? [] : `${host.id}: ${host.overload}`));
  if (overload !== undefined) overloads.push(overload);
  if (overloads.length > 0) parts.push('', ...overloads);
  const faults = streams.flatMap((stream) =>
    [stream.missReasons?.fps, stream.missReasons?.latency, stream.trackProblem, errorText(stream)]
      .filter((text) => text != null)
      .map((text) => `${stream.id}: ${text}`),
  );
  if (faults.length > 0) parts.push('', ...faults);
  return parts.join('\n');
}

/** The newest error and its time; null if there is none. */
function errorText({ state, lastError, lastErrorAtMs = null }: StreamReport): string | null {
  if (lastError === null || lastErrorAtMs === null) return lastError;
  const time = new Date(lastErrorAtMs).toISOString().replace(/\.\d+Z$/, 'Z');
  return state === 'running' ? `last error, at ${time}: ${lastError}` : `${lastError} (since ${time})`;
}

function streamsTable(streams: readonly StreamReport[]): string {
  const head = ['stream', 'state', 'host', 'fps', 'p50', 'p99', 'fence', 'source'];
  const rows = streams.map(({ id, state, sign, host, fence, fps, latencyMs: { window }, source }) => [
    id,
    sign == null ? state : `${state}, ${sign.name}`,
    host ?? '-',
    host === undefined ? '-' : fps.published.toFixed(1),
    window.count === 0 ? '-' : `${window.p50.toFixed(0)} ms`,
    window.count === 0 ? '-' : `${window.p99.toFixed(0)} ms`,
    `${fence ?? '-'}`,
    source,
  ]);
  return table([head, ...rows]);
}

function hostsTable(hosts: readonly FleetHost[]): string {
  const head = ['host', 'state', 'live', 'bulk', 'capacity', 'streams', 'segments', 'pipeline'];
  const rows = hosts.map(({ id, state, liveFps, bulkFps, capacityFps, streams, segments, pipeline }) => [
    id,
    state,
    `${liveFps.toFixed(0)} fps`,
    `${bulkFps.toFixed(0)} fps`,
    `${capacityFps.toFixed(0)} fps`,
    `${streams}`,
    `${segments}`,
    pipeline,
  ]);
  return table([head, ...rows]);
}
