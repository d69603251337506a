import type { StreamLease } from '../../base/core/stream-lease.ts';
import type { RunnerReport, StreamRunner } from '../../fleet/control/hosting/stream-runner.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { PipelineHost } from './pipeline-host.ts';

/**
 * Runs the fleet's streams on this host's pipeline, with the settings that their orders state. Each source is checked again
 * by this host's rules. @throws SOURCE_FORBIDDEN
 *
 * @param unfit - second stages of jobs that it cannot load, see `HostCard`.
 */
export function fleetRunner(host: PipelineHost, unfit: () => readonly string[] = () => []): StreamRunner {
  const { runtime, streams, rules } = host;
  const started = new Set<string>();
  return {
    async start(config: StreamConfig, lease: StreamLease): Promise<void> {
      await rules.admit(config);
      await streams.add(config, lease);
      started.add(config.id);
    },
    async standBy(config: StreamConfig, lease: StreamLease): Promise<boolean> {
      if (config.policy === 'file') return false;
      await this.start(config, lease);
      if (runtime.stream(config.id).input.policy === 'live') return true;
      await this.stop(config.id);
      return false;
    },
    hasResult: (streamId) =>
      started.has(streamId) && (runtime.stream(streamId).telemetry.frames(0).dropped['lease-lost'] ?? 0) > 0,
    async change(config: StreamConfig): Promise<void> {
      await streams.change(config.id, (current) => rules.replaced(current, config));
    },
    async stop(streamId: string): Promise<void> {
      if (started.delete(streamId)) await streams.remove(streamId);
    },
    // Failures of a stream that is being stopped are ignored.
    failureOf: (streamId) => (started.has(streamId) ? runtime.failureOf(streamId) : null),
    report: () => {
      const keys = unfit();
      return { ...loadOf(host), ...(keys.length === 0 ? {} : { unfit: keys }) };
    },
  };
}

function loadOf(host: PipelineHost): RunnerReport {
  const load = { liveFps: 0, bulkFps: 0, segments: 0 };
  const { streams, host: own } = host.report();
  for (const { policy, state, fps } of streams) {
    if (policy === 'live') load.liveFps += fps.inferred;
    else if (state !== 'ended' && state !== 'failed') {
      load.bulkFps += fps.inferred;
      load.segments += 1;
    }
  }
  const { capacitySeen } = host.runtime.overload;
  return {
    ...load,
    ...(capacitySeen === null || capacitySeen <= 0 ? {} : { capacityFps: capacitySeen }),
    ...(own.overload === undefined ? {} : { overload: own.overload.text }),
  };
}
