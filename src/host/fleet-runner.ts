import type { StreamConfig } from '../config/stream.ts';
import type { RunLease, RunnerReport, StreamRunner } from '../control/hosting/stream-runner.ts';
import type { PipelineHost } from './pipeline-host.ts';

/** Runs the fleet's streams on this host's pipeline, which checks each source. @throws SOURCE_FORBIDDEN */
export function fleetRunner(host: PipelineHost): StreamRunner {
  const configs = new Map<string, StreamConfig>();
  return {
    async start(config: StreamConfig, lease: RunLease): Promise<void> {
      await host.addStream(config, lease);
      configs.set(config.id, config);
    },
    async change(config: StreamConfig): Promise<void> {
      await host.changeStream(config.id, changesOf(configs.get(config.id), config));
      configs.set(config.id, config);
    },
    async stop(streamId: string): Promise<void> {
      if (configs.delete(streamId)) await host.removeStream(streamId);
    },
    // Failures of a stream that is being stopped are ignored.
    failureOf: (streamId) => (configs.has(streamId) ? host.runtime.failureOf(streamId) : null),
    report: () => loadOf(host),
  };
}

/** Returns only the settings that differ, since some can change without a new connection. */
function changesOf(before: StreamConfig | undefined, after: StreamConfig): Partial<StreamConfig> {
  const keys = new Set([...Object.keys(before ?? {}), ...Object.keys(after)]) as Set<keyof StreamConfig>;
  const changed = [...keys].filter((key) => JSON.stringify(before?.[key]) !== JSON.stringify(after[key]));
  return Object.fromEntries(changed.map((key) => [key, after[key]]));
}

function loadOf(host: PipelineHost): RunnerReport {
  const load = { liveFps: 0, bulkFps: 0, segments: 0 };
  for (const { policy, state, fps } of host.report().streams) {
    if (policy === 'live') load.liveFps += fps.inferred;
    else if (state !== 'ended' && state !== 'failed') {
      load.bulkFps += fps.inferred;
      load.segments += 1;
    }
  }
  return load;
}
