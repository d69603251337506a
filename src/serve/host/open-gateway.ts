import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { History } from '../../after/history/history.ts';
import type { Recorder } from '../../after/recording/recorder.ts';
import { MIB } from '../../base/disk/given-file.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import { descriptorsFor, descriptorsForConnections } from '../../base/process/descriptor-limit.ts';
import type { Tracing } from '../../frame/telemetry/tracing/open-tracing.ts';
import { packageRoot } from '../../network/store/package-root.ts';
import { durationMs } from '../../settings/config/duration.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { LimitsConfig } from '../../settings/config/limits.ts';
import type { EventKind, EventMessage } from '../../wire/protocol/feed.ts';
import type { FleetPort } from '../../wire/protocol/ports/fleet-port.ts';
import type { RuntimePort } from '../../wire/protocol/ports/runtime-port.ts';
import type { PipelineSummary } from '../../wire/protocol/rest.ts';
import { tokensFileOf } from '../gateway/gateway-access.ts';
import type { Gateway, GatewayLogger } from '../gateway/gateway-options.ts';
import type { RequestPort } from '../gateway/requests/request-port.ts';
import { startGateway } from '../gateway/server.ts';
import { loadPipeline } from '../pipeline/load-pipeline.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import type { HostRollouts } from './host-rollouts.ts';
import { knownModels } from './known-models.ts';
import type { ProcessContext } from './process-context.ts';

const WARNINGS: ReadonlySet<EventKind> = new Set([
  'stream-warning',
  'target-missed',
  'overload-began',
  'sink-failed',
  'disk-stalled',
  'engine-failed',
  'engine-restarted',
  'lane-restarted',
  'lane-failed',
  'rollout-held',
  'rollout-rolled-back',
  'access-failed',
  'settings-failed',
  'overlay-failed',
  'recording-failed',
]);

/** Writes an event to the log. Its line names the stream once, even if the message does not name it. */
export function logEvent(log: GatewayLogger, { kind, stream, message, details }: EventMessage): void {
  const isNamed = stream === undefined || message.startsWith(`${stream} `) || message.startsWith(`${stream}: `);
  const text = isNamed ? message : `${stream}: ${message}`;
  if (kind === 'stream-state' && details?.to === 'failed') log.error({ kind, code: details.code }, text);
  else if (WARNINGS.has(kind)) log.warn({ kind }, text);
  else log.info({ kind }, text);
}

/** What flags override of the configuration. */
export interface ListenAddress {
  readonly host?: string;
  readonly port?: number;
  readonly basePath?: string;
}

export interface GatewayRequest {
  readonly config: PipelineConfig;
  /** Overrides the address of the configuration. */
  readonly address: ListenAddress;
  readonly log: GatewayLogger;
  readonly history: History;
  readonly fleet?: FleetPort;
  readonly rollouts?: HostRollouts;
  readonly requests?: RequestPort;
  readonly recorder?: Recorder;
  readonly incidents: Incidents;
  readonly tracing?: Tracing | undefined;
}

/** Path of a file in a folder of the cache, without its ending. */
function cachePath(
  { name }: PipelineConfig,
  { cacheDir }: Pick<Environment, 'cacheDir'>,
  folder: string,
  port: number,
): string {
  return join(cacheDir, folder, `${encodeURIComponent(name)}-${port}`);
}

/** Returns the file of the history of a pipeline; null if it is in memory. */
export function historyPath(
  config: PipelineConfig,
  environment: Pick<Environment, 'cacheDir'>,
  port = config.gateway.port,
): string | null {
  return config.history.path ?? (port === 0 ? null : `${cachePath(config, environment, 'history', port)}.db`);
}

/**
 * Opens the history of a pipeline. The caller closes it. A gateway that takes any free port has another one at each start, so its history is in
 * memory unless the pipeline names a file.
 */
export async function openHistory(
  config: PipelineConfig,
  address: ListenAddress,
  environment: Environment,
  onNotice: (text: string) => void,
): Promise<History> {
  const { maxMb, days, embeddings = '0s' } = config.history;
  const port = address.port ?? config.gateway.port;
  const path = historyPath(config, environment, port);
  const before = `${cachePath(config, environment, 'events', port)}.jsonl`;
  if (path !== null && !existsSync(path) && existsSync(before))
    onNotice(`events of earlier versions stay in ${before}; the history does not read them`);
  return History.open({ path, maxBytes: maxMb * MIB, days, embeddingsMs: durationMs(embeddings), onNotice });
}

/** Leaves enough descriptors for the streams that the host accepts. */
function connectionsFor({ connections, streams }: LimitsConfig, log: GatewayLogger): number {
  const left = descriptorsForConnections(streams);
  if (left === null || left.connections >= connections) return connections;
  const { connections: possible, limit } = left;
  const text =
    `limits.connections: ${possible} instead of ${connections}, since this process may open ${limit} files and limits.streams ` +
    `allows ${streams} streams. Raise "ulimit -n" (LimitNOFILE, --ulimit nofile) to ${descriptorsFor(streams, connections)}, or lower limits.streams`;
  log.warn({}, text);
  return possible;
}

/** @throws PORT_IN_USE, TOKEN_REQUIRED, CONFIG_INVALID, CONFIG_NOT_FOUND */
export async function openGateway(
  port: RuntimePort,
  request: GatewayRequest,
  context: Pick<ProcessContext, 'environment'>,
): Promise<Gateway> {
  const { config, address, log, history, fleet, rollouts, requests, incidents } = request;
  const { environment } = context;
  const { host, tls, allowedOrigins, frameAncestors, trustedProxies, proxyUsers, audit } = config.gateway;
  // Why a host cannot load a version is a notice of its own.
  for (const agent of rollouts === undefined ? [] : [rollouts.own.agent, ...rollouts.named.values()])
    agent.onRolloutEvent((event) => {
      if (event.kind !== 'rollout-not-loaded') logEvent(log, event);
    });
  return startGateway(port, {
    host: address.host ?? host,
    port: address.port ?? config.gateway.port,
    token: environment.token,
    tokensFile: tokensFileOf(config.gateway.tokensFile, environment),
    tls,
    basePath: address.basePath ?? config.gateway.basePath,
    allowedOrigins,
    frameAncestors,
    trustedProxies,
    discovery: { networks: config.fleet.networks },
    proxyUsers,
    audit: {
      pathOf: (port) => audit.path ?? `${cachePath(config, environment, 'audit', port)}.jsonl`,
      maxBytes: audit.maxMb * MIB,
    },
    history,
    logger: log,
    incidents,
    requests,
    recorder: request.recorder,
    tracing: request.tracing,
    maxConnections: connectionsFor(config.limits, log),
    maxConnectionsPerAddress: config.limits.connectionsPerAddress,
    pipelines: await shippedPipelines(),
    models: knownModels(config, environment),
    ...(fleet === undefined ? {} : { fleet }),
    ...(rollouts === undefined ? {} : { rollouts: rollouts.own.agent, namedRollouts: rollouts.named }),
  });
}

/** Resolves once the process is asked to stop. */
export function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

async function shippedPipelines(): Promise<PipelineSummary[]> {
  const folder = join(packageRoot(), 'pipelines');
  const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml')).sort();
  return files.map((file) => {
    const { name, description } = loadPipeline(join(folder, file));
    return { name, description, path: `pipelines/${file}` };
  });
}
