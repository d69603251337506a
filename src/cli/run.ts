import { join } from 'node:path';
import type { Command } from 'commander';
import { counted } from '../base/core/counted.ts';
import { Incidents } from '../base/flow/incidents.ts';
import { limitPools, trimMemory } from '../base/process/allocator.ts';
import { Admission } from '../fleet/control/orders/admission.ts';
import { packageRoot } from '../network/store/package-root.ts';
import { HostRollouts } from '../serve/host/host-rollouts.ts';
import { logEvent, openGateway, openHistory, stopped } from '../serve/host/open-gateway.ts';
import { OverlayFile } from '../serve/host/overlay/overlay-file.ts';
import { isPictureStream } from '../serve/host/picture-detector.ts';
import { PipelineHost } from '../serve/host/pipeline-host.ts';
import { RequestDetector } from '../serve/host/request-detector.ts';
import { SettingsReloader } from '../serve/host/settings-reloader.ts';
import { loadPipeline } from '../serve/pipeline/load-pipeline.ts';
import type { PipelineConfig } from '../serve/pipeline/pipeline.ts';
import { type CliIo, note, wrongCommand } from './cli-io.ts';
import { addFlags, type FlagsOf, flagTable } from './flag-values.ts';
import { untilStopped } from './interruption.ts';
import { openTracedLog } from './log.ts';
import { BETTER_MODEL, BETTER_MODEL_TEXT } from './model-hint.ts';
import { SERVER_FLAGS } from './server-flags.ts';
import { validate } from './validate.ts';

const FLAGS = flagTable({
  ...SERVER_FLAGS,
  '--no-overlay': 'neither use nor keep what REST and the dashboard change of streams',
  '--dry-run': 'list every mistake and what would be opened, and start nothing',
  '--json': 'with --dry-run: one JSON document on standard output',
});
type RunFlags = FlagsOf<typeof FLAGS>;

const HELP = `
Examples:
  sightline run pipelines/live-detect.yaml
  sightline run pipelines/many-cameras.yaml --port 9000
  sightline run pipelines/many-cameras.yaml --dry-run      what it would open; the same as sightline validate

What REST and the dashboard change of streams survives a restart: sightline pipeline diff shows it, --no-overlay leaves it
out. A service, which has no terminal, reads the file again on SIGHUP. Dashboard, WebSocket (/ws), REST (/api), /healthz,
/readyz and /metrics share one port, on 127.0.0.1 unless --host sets another address. Other addresses need a token:
SIGHTLINE_TOKEN or sightline tokens add. Ctrl-C stops in an orderly way.`;

export function addRun(program: Command, io: CliIo): void {
  const command = program.command('run').argument('<pipeline>', 'YAML file; see pipelines/ for examples');
  addFlags(command, FLAGS)
    .addHelpText('after', HELP)
    .action((path: string, flags: RunFlags) =>
      flags.dryRun === true ? validate(path, flags, io) : run(path, flags, io),
    );
}

const DEMO_HELP = `
Runs pipelines/live-detect.yaml of this package: a clip of a street, cars in boxes, a line that counts them. Copy that file to begin your own.`;

/** The first thing that somebody tries, in a clone and in an installed package. */
export function addDemo(program: Command, io: CliIo): void {
  addFlags(program.command('demo'), flagTable(SERVER_FLAGS))
    .addHelpText('after', DEMO_HELP)
    .action((flags: FlagsOf<typeof SERVER_FLAGS>) =>
      run(join(packageRoot(), 'pipelines/live-detect.yaml'), { overlay: true, ...flags }, io),
    );
}

async function run(path: string, flags: RunFlags, io: CliIo): Promise<void> {
  if (flags.json === true) throw wrongCommand('--json: only valid with --dry-run');
  limitPools();
  const config = loadPipeline(path, io.environment.variables);
  const { cacheDir } = io.environment;
  const place = { pipeline: config.name, pipelinePath: path, cacheDir };
  const overlay = flags.overlay ? await OverlayFile.open(place) : null;
  try {
    await untilStopped(io, () => serve(path, config, overlay, flags, io));
  } finally {
    await overlay?.close();
  }
}

async function serve(
  path: string,
  config: PipelineConfig,
  overlay: OverlayFile | null,
  flags: RunFlags,
  io: CliIo,
): Promise<void> {
  const { log, tracing } = await openTracedLog(io, flags.log, config);
  const admission = new Admission({
    ...config.fleet,
    get placeholders() {
      return host.placeholders;
    },
  });
  const incidents = new Incidents((text) => log.warn({}, text));
  // Before the rest: a reload signal may arrive during the start.
  const reloader = new SettingsReloader(
    {
      path,
      apply: (file) => host.reload(file),
      onFailure: ({ code, message }) =>
        host.runtime.emitEvent('settings-failed', undefined, `${message}; the previous settings stay in use`, { code }),
    },
    io,
  );
  const host = await PipelineHost.open(config, {
    environment: io.environment,
    stdout: io.stdout,
    onNotice: (text) => log.info({}, text),
    admit: (source) => admission.source(source),
    incidents,
    sources: { path, overlay },
    signal: io.stop,
    tracing,
  });
  const flushed = io.crash?.add(() => host.runtime.flushSinks());
  const { environment } = io;
  const history = await openHistory(config, flags, environment, (text) => log.warn({}, text));
  try {
    host.onPublished((frame) => history.observe(frame));
    const onNotice = (text: string): void => log.info({}, text);
    const streams = () => host.runtime.streams.map(({ config }) => config).filter(({ id }) => !isPictureStream(id));
    const rollouts = await HostRollouts.tryOpen(host, config, {
      environment,
      onNotice,
      incidents,
      streams,
      fleet: null,
    });
    const shown = rollouts === null ? {} : { rollouts };
    const requests = new RequestDetector(host, config, rollouts?.own ?? null);
    const { recorder } = host;
    const request = { config, address: flags, log, history, incidents, requests, recorder, tracing, ...shown };
    const gateway = await openGateway(host, request, io).catch(async (error: unknown) => {
      await rollouts?.close();
      throw error;
    });
    try {
      host.onEvent((event) => logEvent(log, event));
      note(io, `\n  Sightline is live at ${gateway.url}\n`);
      await host.keepEvents(history);
      await host.start();
      // Models and libraries that the first start fetched and compiled.
      trimMemory();
      await rollouts?.start();
      log.info({}, `${config.name} is running with ${countOf(host)}`);
      reloader.start();
      if (config.model.name === BETTER_MODEL.instead) log.info({}, `${BETTER_MODEL_TEXT}: ${BETTER_MODEL.command}`);
      await stopped(io.stop);
      log.info({}, 'stopping');
      await reloader.stop();
    } finally {
      await rollouts?.close();
      await gateway.close();
    }
  } finally {
    for (const failure of await host.stop()) log.error({ code: failure.code }, failure.message);
    await history.close();
    flushed?.();
  }
}

/** `2 streams`; `1 of 2 streams, failed: gate` if some could not be started. */
function countOf(host: PipelineHost): string {
  const { streams } = host.report();
  const failed = streams.filter(({ startFailure }) => startFailure !== undefined).map(({ id }) => id);
  const all = counted(streams.length, 'stream');
  return failed.length === 0 ? all : `${streams.length - failed.length} of ${all}, failed: ${failed.join(', ')}`;
}
