import { setTimeout as sleep } from 'node:timers/promises';
import type { PipelineConfig } from '../config/pipeline.ts';
import type { ControlPlane, TaskWorker } from '../control/control-plane.ts';
import { FleetPublisher } from '../control/hosting/fleet-publisher.ts';
import { HostAgent } from '../control/hosting/host-agent.ts';
import { jobHandler } from '../control/jobs/job-handler.ts';
import { Admission } from '../control/orders/admission.ts';
import { StreamOrders } from '../control/orders/stream-orders.ts';
import { PLAN_DEFAULTS } from '../control/planning/plan-options.ts';
import { SCALE_DEFAULTS, ScaleAdvisor } from '../control/planning/scale-advisor.ts';
import { FleetView } from '../control/view/fleet-view.ts';
import { findFfmpeg } from '../decode/ffmpeg-binary.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { Gateway, GatewayLogger } from '../gateway/gateway-options.ts';
import { findPackageFiles } from '../gateway/package-files.ts';
import { measureCapacity } from '../optimize/measure-capacity.ts';
import type { EventMessage } from '../protocol/feed.ts';
import { fleetRunner } from '../runtime/fleet-runner.ts';
import { PipelineHost } from '../runtime/pipeline-host.ts';
import { BULK_ID_PREFIX, segmentRunner } from '../runtime/segment-runner.ts';
import type { Incidents } from '../telemetry/incidents.ts';
import type { CliIo } from './cli-io.ts';
import { logEvent, openGateway, type ServerFlags } from './serve.ts';

export interface FleetMemberOptions {
  readonly id: string;
  readonly config: PipelineConfig;
  readonly flags: ServerFlags;
  readonly control: ControlPlane;
  readonly log: GatewayLogger;
  /** Those of the control plane and of everything here. */
  readonly incidents: Incidents;
  readonly io: CliIo;
}

/** One host of a fleet, put together: its pipeline, its gateway, and its part in the control plane. */
export class FleetMember {
  readonly #options: FleetMemberOptions;
  readonly #host: PipelineHost;
  readonly #admission: Admission;
  readonly #view: FleetView;
  readonly #gateway: Gateway;
  #agent: HostAgent | null = null;
  #publisher: FleetPublisher | null = null;
  #worker: TaskWorker | null = null;
  #flushed: (() => void) | undefined;

  private constructor(
    options: FleetMemberOptions,
    host: PipelineHost,
    admission: Admission,
    view: FleetView,
    gateway: Gateway,
  ) {
    this.#options = options;
    this.#host = host;
    this.#admission = admission;
    this.#view = view;
    this.#gateway = gateway;
  }

  /** Opens the engine and the gateway. The fleet does not know of this host yet. */
  static async open(options: FleetMemberOptions): Promise<FleetMember> {
    const { id, config, control, log, io, flags, incidents } = options;
    const admission = new Admission(config.fleet);
    const host = await PipelineHost.open(config, {
      environment: io.environment,
      stdout: io.stdout,
      onNotice: (text) => log.info({}, text),
      admit: (source) => admission.source(source),
      incidents,
    });
    const { fillRatio, bulkConcurrency, minHosts, maxHosts } = config.fleet;
    const scale = { pipeline: config.name, fillRatio, tasksPerHost: Math.max(1, bulkConcurrency), minHosts, maxHosts };
    const advisor = new ScaleAdvisor({ ...SCALE_DEFAULTS, ...scale });
    const view = new FleetView({
      control,
      own: host,
      hostId: id,
      pipeline: config.name,
      defaults: config.defaults,
      admitStream: ({ source }) => admission.source(source),
      admitJob: async ({ inputs, outDir }) => {
        for (const input of inputs) await admission.file(input);
        await admission.outDir(outDir);
      },
      advise: (snapshot, queue) => advisor.advise(snapshot, queue),
      incidents,
    });
    try {
      await view.start();
      const gateway = await openGateway(view, { config, flags, log, fleet: view, incidents }, io);
      const member = new FleetMember(options, host, admission, view, gateway);
      member.#flushed = io.crash?.add(() => host.runtime.flushSinks());
      return member;
    } catch (error) {
      view.close();
      await host.runtime.stop();
      throw error;
    }
  }

  get url(): string {
    return this.#gateway.url;
  }

  /** Measures the machine, says hello, and takes work from then on. @throws HOST_EXISTS, CONTROL_UNREACHABLE */
  async join(): Promise<void> {
    const { id, config, control, log, io, incidents } = this.#options;
    const { environment, stop } = io;
    const ffmpeg = await findFfmpeg({ path: environment.ffmpegPath, searchPath: environment.searchPath });
    const { runtime } = this.#host;
    const { fleet } = config;
    const capacityFps = fleet.capacityFps ?? (await measureCapacity(runtime, ffmpeg, stop));
    const agent = new HostAgent({
      control,
      runner: fleetRunner(this.#host),
      card: {
        id,
        pipeline: config.name,
        model: this.#modelLabel(),
        url: this.url,
        capacityFps,
        startedMs: Date.now(),
        version: findPackageFiles().version,
      },
      beatMs: fleet.beatMs,
      leaseMs: fleet.leaseMs,
      plan: { ...PLAN_DEFAULTS, fillRatio: fleet.fillRatio, movesPerSecond: fleet.movesPerSecond },
      onDraining: (isDraining) => {
        log.info({}, isDraining ? 'draining: streams move to other hosts' : 'taking work again');
        this.#worker?.setPaused(isDraining);
      },
      onNotice: (text) => log.warn({}, text),
      incidents,
    });
    this.#agent = agent;
    this.#host.onEvent((event) => {
      if (!isRoutine(event)) logEvent(log, event);
    });
    await this.#sayHello(agent);
    this.#publisher = new FleetPublisher({
      bus: control.bus,
      hostId: id,
      port: this.#host,
      leases: agent,
      incidents,
    });
    log.info(
      {},
      `host ${id} joined with ${capacityFps.toFixed(1)} inferences/s, ${config.name}: ${this.#modelLabel()}`,
    );
    await this.#orderStreams();
    if (fleet.bulkConcurrency === 0) return;
    const tools = {
      admission: this.#admission,
      ffmpeg,
      runner: segmentRunner(runtime, ffmpeg),
      onNotice: (text: string) => log.warn({}, text),
    };
    this.#worker = control.tasks.work(config.name, fleet.bulkConcurrency, jobHandler(tools));
    this.#worker.setPaused(agent.isDraining);
  }

  /** After a crash the name is taken until the lease of the process that had it ends: it is waited for that long, once. */
  async #sayHello(agent: HostAgent): Promise<void> {
    const { id, config, log, io } = this.#options;
    try {
      await agent.start();
    } catch (thrown) {
      if (SightlineError.from(thrown, 'INTERNAL_ERROR').code !== 'HOST_EXISTS') throw thrown;
      log.info({}, `the name ${id} is taken; waiting until the lease of a crashed host would have ended`);
      await sleep(config.fleet.leaseMs + config.fleet.beatMs, undefined, { signal: io.stop }).catch(() => undefined);
      if (!io.stop.aborted) await agent.start();
    }
  }

  /** Gives work back, hands streams on, and ends. */
  async leave(): Promise<void> {
    const { log } = this.#options;
    await this.#worker?.close();
    await this.#agent?.stop();
    this.#publisher?.close();
    await this.#gateway.close();
    this.#view.close();
    for (const failure of await this.#host.runtime.stop()) log.error({ code: failure.code }, failure.message);
    this.#flushed?.();
  }

  #modelLabel(): string {
    const { engineInfo, spec } = this.#host.runtime;
    const { engine, provider, precision } = engineInfo;
    return `${spec.name} ${spec.input.width}x${spec.input.height} ${engine}/${provider} ${precision}`;
  }

  /** Every host of a pipeline brings the same streams: the first one to come orders them. */
  async #orderStreams(): Promise<void> {
    const { id, config, control, log } = this.#options;
    const orders = new StreamOrders({
      control,
      sender: id,
      pipeline: config.name,
      defaults: {},
      admit: ({ source }) => this.#admission.source(source),
    });
    for (const stream of config.streams) {
      try {
        await orders.add(stream);
      } catch (thrown) {
        const error = SightlineError.from(thrown, 'INTERNAL_ERROR');
        if (error.code !== 'STREAM_EXISTS') log.error({ code: error.code }, `stream "${stream.id}": ${error.message}`);
      }
    }
  }
}

/** Segments come and go by the thousand; only what is wrong with one is worth a line. */
function isRoutine({ kind, stream }: EventMessage): boolean {
  return stream?.startsWith(BULK_ID_PREFIX) === true && kind !== 'stream-warning';
}
