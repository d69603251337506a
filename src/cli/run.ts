import type { Command } from 'commander';
import { loadPipeline } from '../config/load-pipeline.ts';
import { Admission } from '../control/orders/admission.ts';
import { PipelineHost } from '../runtime/pipeline-host.ts';
import { Incidents } from '../telemetry/incidents.ts';
import { type CliIo, note } from './cli-io.ts';
import { openLog } from './log.ts';
import { addServerFlags, checkServerFlags, logEvent, openGateway, type ServerFlags, stopped } from './serve.ts';

const HELP = `
Examples:
  sightline run pipelines/live-detect.yaml
  sightline run pipelines/many-cameras.yaml --port 9000

Dashboard, WebSocket (/ws), REST (/api), /healthz, /readyz and /metrics are on one port, on 127.0.0.1 unless --host says
otherwise. Another address needs a token: SIGHTLINE_TOKEN or gateway.token. Ctrl-C stops in order.`;

export function addRun(program: Command, io: CliIo): void {
  const command = program
    .command('run')
    .description('run a pipeline until stopped, with its dashboard')
    .argument('<pipeline>', 'YAML file, as in pipelines/');
  addServerFlags(command)
    .addHelpText('after', HELP)
    .action((path: string, flags: ServerFlags) => run(path, flags, io));
}

async function run(path: string, flags: ServerFlags, io: CliIo): Promise<void> {
  checkServerFlags(flags);
  const config = loadPipeline(path);
  const log = openLog(io, flags.log);
  const admission = new Admission(config.fleet);
  const incidents = new Incidents((text) => log.warn({}, text));
  const host = await PipelineHost.open(config, {
    environment: io.environment,
    stdout: io.stdout,
    onNotice: (text) => log.info({}, text),
    admit: (source) => admission.source(source),
    incidents,
  });
  const flushed = io.crash?.add(() => host.runtime.flushSinks());
  try {
    const gateway = await openGateway(host, { config, flags, log, incidents }, io);
    try {
      host.onEvent((event) => logEvent(log, event));
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
    flushed?.();
  }
}
