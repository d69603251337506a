import { hostname } from 'node:os';
import { basename, extname, join } from 'node:path';
import type { Command } from 'commander';
import { ID_PATTERN } from '../base/core/ids.ts';
import { Incidents } from '../base/flow/incidents.ts';
import { limitPools } from '../base/process/allocator.ts';
import type { ControlPlane } from '../fleet/control/control-plane.ts';
import { openMemoryControlPlane } from '../fleet/control/memory/memory-control-plane.ts';
import { openRedisControlPlane } from '../fleet/control/redis/redis-control-plane.ts';
import { packageRoot } from '../network/store/package-root.ts';
import type { GatewayLogger } from '../serve/gateway/gateway-options.ts';
import { JoinedHost } from '../serve/host/joined-host.ts';
import { stopped } from '../serve/host/open-gateway.ts';
import { SettingsReloader } from '../serve/host/settings-reloader.ts';
import { loadPipeline } from '../serve/pipeline/load-pipeline.ts';
import type { PipelineConfig } from '../serve/pipeline/pipeline.ts';
import { check } from '../settings/config/check.ts';
import { fleetConfig } from '../settings/config/fleet-config.ts';
import { modelConfig } from '../settings/config/model-config.ts';
import { type CliIo, note } from './cli-io.ts';
import { addFlags, type FlagsOf, flagTable, given, repeated } from './flag-values.ts';
import { FLEET_FLAG, type FleetFlags } from './fleet-access.ts';
import { untilStopped } from './interruption.ts';
import { openTracedLog } from './log.ts';
import { SERVER_FLAGS } from './server-flags.ts';

const FLAGS = flagTable({
  ...FLEET_FLAG,
  ...SERVER_FLAGS,
  '--id <name>': 'name in the fleet (default: host name and process id)',
  '--capacity <fps>': ['inferences per second that this host can sustain (default: measured)', Number],
  '--model <name>': 'detector instead of that of the file: name, path of a manifest or of an ONNX file',
  '--root <folder>': ['folder below which files may be read and written; repeatable', repeated, []],
});
type HostFlags = FlagsOf<typeof FLAGS>;

const HELP = `
Examples:
  sightline host --redis redis://10.0.0.5:6379 --root /srv/footage --root /srv/results
  sightline host pipelines/fleet-host.yaml --id gpu-1 --port 8081

Joins the fleet of a Redis: measures the capacity of this machine, runs live streams and segments of files, and shows the
whole fleet on its dashboard. Hosts with the same pipeline share the same work; with
--model a host runs another pipeline, FILE'S NAME-MODEL. Without Redis it is a fleet of one host, and
its jobs end with it. Streams of the pipeline file are added to the fleet unless it already has one of that name. Files are
read and written only below the folders of --root (fleet.roots). A service, which has no terminal, adds the streams that are
new in its file on SIGHUP. Ctrl-C hands the streams to other hosts, then stops.`;

export function addHost(program: Command, io: CliIo): void {
  const command = program.command('host').argument('[pipeline]', 'YAML file (default: pipelines/fleet-host.yaml)');
  addFlags(command, FLAGS)
    .addHelpText('after', HELP)
    .action((path: string | undefined, flags: HostFlags) => host(path, flags, io));
}

async function host(path: string | undefined, flags: HostFlags, io: CliIo): Promise<void> {
  limitPools();
  const file = path ?? join(packageRoot(), 'pipelines/fleet-host.yaml');
  const config = configOf(loadPipeline(file, io.environment.variables), flags);
  const { log, tracing } = await openTracedLog(io, flags.log, config);
  const incidents = new Incidents((text) => log.warn({}, text));
  const reloader = new SettingsReloader(
    {
      path: file,
      apply: ({ streams }) => joined.orderStreams(streams),
      onFailure: ({ code, message }) => log.warn({ code }, `${message}; no stream was added`),
    },
    io,
  );
  let joined: JoinedHost;
  const control = await openControl(config, flags, io, log, incidents);
  try {
    const id = config.fleet.hostId ?? defaultId();
    await untilStopped(io, async () => {
      const parts = { control, log, incidents, context: io, tracing };
      joined = await JoinedHost.open({ id, config, address: flags, ...parts });
      try {
        note(io, `\n  Sightline is live at ${joined.url}\n`);
        await joined.join();
        reloader.start();
        await stopped(io.stop);
        await reloader.stop();
        log.info({}, 'leaving the fleet');
      } finally {
        await joined.leave();
      }
    });
  } finally {
    await control.close();
  }
}

/** Flags override the file. */
function configOf(file: PipelineConfig, { id, capacity, root, model }: HostFlags): PipelineConfig {
  const config = model === undefined ? file : withModel(file, model);
  const flags = given({ hostId: id, capacityFps: capacity, roots: root.length === 0 ? undefined : root });
  return { ...config, fleet: check(fleetConfig, { ...config.fleet, ...flags }, 'fleet') };
}

/** Hosts of one pipeline run the same detector, so with another one it is another pipeline. */
export function withModel(config: PipelineConfig, model: string): PipelineConfig {
  if (model === config.model.name) return config;
  const name = basename(model, extname(model));
  return {
    ...config,
    name: `${config.name}-${name}`,
    model: check(modelConfig, { ...config.model, name: model }, '--model'),
  };
}

async function openControl(
  { fleet: { leaseMs } }: PipelineConfig,
  { redis }: FleetFlags,
  { environment }: CliIo,
  log: GatewayLogger,
  incidents: Incidents,
): Promise<ControlPlane> {
  const url = redis ?? environment.redisUrl;
  if (url === undefined || url === '') {
    log.info({}, 'no Redis configured (--redis or REDIS_URL): this host is a fleet of one');
    return openMemoryControlPlane({ leaseMs, incidents });
  }
  return openRedisControlPlane({
    url,
    caFile: environment.redisCaFile ?? null,
    fleetKeys: environment.fleetKeys ?? null,
    leaseMs,
    onNotice: (text) => log.warn({}, text),
    onAdvice: (text) => log.warn({}, text),
    incidents,
  });
}

function defaultId(): string {
  const id = `${hostname()}-${process.pid}`.replace(/[^A-Za-z0-9._-]/g, '-').slice(-64);
  return ID_PATTERN.test(id) ? id : `host-${process.pid}`;
}
