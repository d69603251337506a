import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { loadPipeline } from '../config/load-pipeline.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { GatewayLogger } from '../gateway/gateway-options.ts';
import { startGateway } from '../gateway/server.ts';
import type { EventKind, EventMessage } from '../protocol/feed.ts';
import { PipelineHost } from '../runtime/pipeline-host.ts';
import { listManifests } from '../store/manifests.ts';
import { packageRoot } from '../store/package-root.ts';
import { type CliIo, note } from './cli-io.ts';
import { openLog } from './log.ts';

interface RunFlags {
  readonly port?: number;
  readonly host?: string;
  readonly log: 'text' | 'json';
}

const WARNINGS: ReadonlySet<EventKind> = new Set([
  'stream-warning',
  'target-missed',
  'sink-failed',
  'engine-failed',
  'engine-restarted',
  'lane-restarted',
]);

const HELP = `
Examples:
  sightline run pipelines/live-detect.yaml
  sightline run pipelines/many-cameras.yaml --port 9000

Dashboard, WebSocket (/ws), REST (/api), /healthz, /readyz and /metrics are on one port, on 127.0.0.1 unless --host says
otherwise. Another address needs a token: SIGHTLINE_TOKEN or gateway.token. Ctrl-C stops in order.`;

export function addRun(program: Command, io: CliIo): void {
  program
    .command('run')
    .description('run a pipeline until stopped, with its dashboard')
    .argument('<pipeline>', 'YAML file, as in pipelines/')
    .option('--port <n>', "port of the dashboard; the pipeline's own where absent", Number)
    .option('--host <address>', "address to listen on; the pipeline's own where absent")
    .option('--log <format>', 'text or json', 'text')
    .addHelpText('after', HELP)
    .action((path: string, flags: RunFlags) => run(path, flags, io));
}

async function run(path: string, flags: RunFlags, io: CliIo): Promise<void> {
  if (flags.port !== undefined && !(Number.isInteger(flags.port) && flags.port >= 0 && flags.port <= 65_535)) {
    throw new SightlineError('COMMAND_INVALID', '--port: expected a whole number from 0 to 65535');
  }
  const config = loadPipeline(path);
  const log = openLog(io, flags.log);
  const host = await PipelineHost.open(config, {
    environment: io.environment,
    stdout: io.stdout,
    onNotice: (text) => log.info({}, text),
  });
  try {
    const gateway = await startGateway(host, {
      host: flags.host ?? config.gateway.host,
      port: flags.port ?? config.gateway.port,
      token: config.gateway.token ?? io.environment.token,
      logger: log,
      maxPreviewFps: config.preview.fps,
      pipelines: await shippedPipelines(),
      models: (await listManifests()).map(({ name, family, input, reported }) => ({
        name,
        family,
        inputWidth: input.width,
        inputHeight: input.height,
        reportedAp: reported?.ap ?? null,
      })),
    });
    try {
      host.onEvent((event) => tell(log, event));
      note(io, `\n  Sightline is live at ${gateway.url}\n`);
      await host.start();
      log.info({}, `${config.name} runs: ${config.streams.length} streams`);
      await stopped(io.stop);
      log.info({}, 'stopping');
    } finally {
      await gateway.close();
    }
  } finally {
    for (const failure of await host.runtime.stop()) log.error({ code: failure.code }, failure.message);
  }
}

function tell(log: GatewayLogger, { kind, message }: EventMessage): void {
  if (WARNINGS.has(kind)) log.warn({ kind }, message);
  else log.info({ kind }, message);
}

function stopped(signal: AbortSignal): Promise<void> {
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
