import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { loadPipeline } from '../config/load-pipeline.ts';
import type { PipelineConfig } from '../config/pipeline.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { FleetPort } from '../gateway/fleet-port.ts';
import type { Gateway, GatewayLogger } from '../gateway/gateway-options.ts';
import type { RuntimePort } from '../gateway/runtime-port.ts';
import { startGateway } from '../gateway/server.ts';
import type { EventKind, EventMessage } from '../protocol/feed.ts';
import { listManifests } from '../store/manifests.ts';
import { packageRoot } from '../store/package-root.ts';
import type { Incidents } from '../telemetry/incidents.ts';
import type { CliIo } from './cli-io.ts';

/** Flags of the commands that run until they are stopped and show a dashboard. */
export interface ServerFlags {
  readonly port?: number;
  readonly host?: string;
  readonly log: 'text' | 'json';
}

export function addServerFlags(command: Command): Command {
  return command
    .option('--port <n>', "port of the dashboard; the pipeline's own where absent", Number)
    .option('--host <address>', "address to listen on; the pipeline's own where absent")
    .option('--log <format>', 'text or json', 'text');
}

/** @throws COMMAND_INVALID */
export function checkServerFlags({ port }: ServerFlags): void {
  if (port === undefined || (Number.isInteger(port) && port >= 0 && port <= 65_535)) return;
  throw new SightlineError('COMMAND_INVALID', '--port: expected a whole number from 0 to 65535');
}

const WARNINGS: ReadonlySet<EventKind> = new Set([
  'stream-warning',
  'target-missed',
  'sink-failed',
  'engine-failed',
  'engine-restarted',
  'lane-restarted',
]);

/** Writes what happens to the log. */
export function logEvent(log: GatewayLogger, { kind, message }: EventMessage): void {
  if (WARNINGS.has(kind)) log.warn({ kind }, message);
  else log.info({ kind }, message);
}

export interface GatewayRequest {
  readonly config: PipelineConfig;
  readonly flags: ServerFlags;
  readonly log: GatewayLogger;
  readonly fleet?: FleetPort;
  readonly incidents: Incidents;
}

/** @throws PORT_IN_USE, TOKEN_REQUIRED, CONFIG_INVALID */
export async function openGateway(port: RuntimePort, request: GatewayRequest, io: CliIo): Promise<Gateway> {
  const { config, flags, log, fleet, incidents } = request;
  return startGateway(port, {
    host: flags.host ?? config.gateway.host,
    port: flags.port ?? config.gateway.port,
    token: config.gateway.token ?? io.environment.token,
    logger: log,
    incidents,
    maxPreviewFps: config.preview.fps,
    pipelines: await shippedPipelines(),
    models: (await listManifests()).map(({ name, family, input, reported }) => ({
      name,
      family,
      inputWidth: input.width,
      inputHeight: input.height,
      reportedAp: reported?.ap ?? null,
    })),
    ...(fleet === undefined ? {} : { fleet }),
  });
}

/** Resolves when the user wants it to end. */
export function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

async function shippedPipelines(): Promise<{ name: string; description: string; path: string }[]> {
  const folder = join(packageRoot(), 'pipelines');
  const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml')).sort();
  return files.map((file) => {
    const { name, description } = loadPipeline(join(folder, file));
    return { name, description, path: `pipelines/${file}` };
  });
}
