import { setTimeout as sleep } from 'node:timers/promises';
import type { History } from '../../after/history/history.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import type { ControlPlane, FleetAlarm, TaskWorker } from '../../fleet/control/control-plane.ts';
import { FleetPublisher } from '../../fleet/control/hosting/fleet-publisher.ts';
import { HostAgent } from '../../fleet/control/hosting/host-agent.ts';
import { LeasedEvents } from '../../fleet/control/hosting/leased-events.ts';
import { jobHandler } from '../../fleet/control/jobs/job-handler.ts';
import { Admission } from '../../fleet/control/orders/admission.ts';
import { StreamOrders } from '../../fleet/control/orders/stream-orders.ts';
import { PLAN_DEFAULTS } from '../../fleet/control/planning/plan-options.ts';
import { SCALE_DEFAULTS, ScaleAdvisor } from '../../fleet/control/planning/scale-advisor.ts';
import { FleetView } from '../../fleet/control/view/fleet-view.ts';
import type { Tracing } from '../../frame/telemetry/tracing/open-tracing.ts';
import type { EventMessage } from '../../wire/protocol/feed.ts';
import { isLoopback } from '../gateway/auth.ts';
import type { Gateway, GatewayLogger } from '../gateway/gateway-options.ts';
import { findPackageFiles } from '../gateway/package-files.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { BULK_ID_PREFIX, segmentRunner } from './bulk-runner.ts';
import { fleetRunner } from './fleet-runner.ts';
import { HostRollouts, modelRootsOf } from './host-rollouts.ts';
import { HostStages } from './host-stages.ts';
import { JobStages } from './job-stages.ts';
import { type ListenAddress, logEvent, openGateway, openHistory } from './open-gateway.ts';
import { measureCapacity } from './own-capacity.ts';
import { PipelineHost } from './pipeline-host.ts';
import type { ProcessContext } from './process-context.ts';
import { RequestDetector } from './request-detector.ts';

/** How long a host that cannot run a task leaves all tasks to others. */
const UNFIT_REST_MS = 10_000;
/** How long the card of this host names what it could not load; it tries again before. */
const UNFIT_KNOWN_MS = 120_000;
const MOST_UNFIT = 64;

export interface JoinedHostOptions {
  readonly id: string;
  readonly config: PipelineConfig;
  /** Overrides the gateway's address of the configuration. */
  readonly address: ListenAddress;
  readonly control: ControlPlane;
  readonly log: GatewayLogger;
  /** Shared by the control plane and this host. */
  readonly incidents: Incidents;
  readonly context: ProcessContext;
  readonly tracing?: Tracing | undefined;
}

/** One host of a fleet: its pipeline, its gateway and its control-plane agent. */
export class JoinedHost {
  readonly #options: JoinedHostOptions;
  readonly #host: PipelineHost;
  readonly #events: LeasedEvents;
  readonly #admission: Admission;
  readonly #view: FleetView;
  readonly #gateway: Gateway;
  readonly #rollouts: HostRollouts | null;
  readonly #history: History;
  #agent: HostAgent | null = null;
  #publisher: FleetPublisher | null = null;
  #worker: TaskWorker | null = null;
  #flushed: (() => void) | undefined;
  /** When second stages of jobs could last not be loaded, by their hash. */
  readonly #unfit = new Map<string, number>();
  #unsubscribe: () => void = () => {};

  private constructor({
    options,
    host,
    events,
    admission,
    view,
    gateway,
    rollouts,
    history,
  }: {
    readonly options: JoinedHostOptions;
    readonly host: PipelineHost;
    readonly events: LeasedEvents;
    readonly admission: Admission;
    readonly view: FleetView;
    readonly gateway: Gateway;
    readonly rollouts: HostRollouts | null;
    readonly history: History;
  }) {
    this.#options = options;
    this.#host = host;
    this.#events = events;
    this.#admission = admission;
    this.#view = view;
    this.#gateway = gateway;
    this.#rollouts = rollouts;
    this.#history = history;
  }

  /** Opens the engine and the gateway. The host does not join the fleet yet. */
  static async open(options: JoinedHostOptions): Promise<JoinedHost> {
    const { id, config, control, log, context, address, incidents, tracing } = options;
    const admission = new Admission({ ...config.fleet, placeholders: config.placeholders });
    const events = new LeasedEvents({
      events: control.events,
      hostId: id,
      incidents,
      deliver: (event, mayHandOut) => host.deliverEvent(event, mayHandOut),
      onNotice: (text) => log.warn({}, text),
    });
    const host = await PipelineHost.open(config, {
      environment: context.environment,
      stdout: context.stdout,
      onNotice: (text) => log.info({}, text),
      admit: (source) => admission.source(source),
      // Orders may name any source, so the rules bind all of them.
      ownSources: () => undefined,
      incidents,
      lendEvent: (event) => events.record(event),
      signal: context.stop,
      tracing,
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
      admitStream: (address, stream) => host.rules.admitAddress(address, stream),
      admitJob: async ({ inputs, outDir, pipeline, stages }) => {
        for (const input of inputs) await admission.file(input);
        await admission.outDir(outDir);
        if (stages === undefined || pipeline !== config.name) return;
        const fitting = { ...jobStageOptions(options), detectors: [host.runtime.spec] };
        await new HostStages(fitting).requireFit(stages).catch((error: SightlineError) => {
          // Another host of the pipeline may have it.
          if (error.code !== 'MODEL_NOT_FOUND') throw error;
        });
      },
      advise: (snapshot, queue) => advisor.advise(snapshot, queue),
      incidents,
    });
    const history = await openHistory(config, address, context.environment, (text) => log.warn({}, text));
    let rollouts: HostRollouts | null = null;
    try {
      await view.start();
      rollouts = await HostRollouts.tryOpen(host, config, {
        environment: context.environment,
        onNotice: (text: string) => log.info({}, text),
        incidents,
        fleet: { hostId: id, storeOf: (key) => control.rollouts(key), bus: control.bus },
        streams: () => view.streams(),
        hosts: () =>
          view
            .fleet()
            .hosts.flatMap((host) => (host.pipeline === config.name && host.state !== 'silent' ? [host.id] : [])),
      });
      const shown = rollouts === null ? {} : { rollouts };
      const requests = new RequestDetector(host, config, rollouts?.own ?? null);
      const { recorder } = host;
      const request = { config, address, log, history, fleet: view, incidents, requests, recorder, tracing, ...shown };
      const gateway = await openGateway(view, request, context);
      const joined = new JoinedHost({ options, host, events, admission, view, gateway, rollouts, history });
      joined.#flushed = context.crash?.add(() => host.runtime.flushSinks());
      return joined;
    } catch (error) {
      await rollouts?.close();
      view.close();
      await host.stop();
      await history.close();
      throw error;
    }
  }

  get url(): string {
    return this.#gateway.url;
  }

  /**
   * Measures the capacity, registers with the control plane and starts taking work. @throws HOST_EXISTS,
   * CONTROL_UNREACHABLE
   */
  async join(): Promise<void> {
    const { id, config, control, log, context, incidents } = this.#options;
    const { stop } = context;
    const { runtime } = this.#host;
    const { ffmpeg } = runtime;
    const { fleet } = config;
    const capacityFps = fleet.capacityFps ?? (await measureCapacity(runtime, ffmpeg, stop));
    await this.#host.keepEvents(this.#history);
    const agent = new HostAgent({
      control,
      runner: fleetRunner(this.#host, () => this.#unfitNow()),
      events: this.#events,
      card: {
        id,
        pipeline: config.name,
        model: this.#modelLabel(),
        models: Object.keys(config.models),
        url: isLoopback(new URL(this.url).hostname) ? (config.gateway.publicUrl ?? this.url) : this.url,
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
    this.#host.onPublished((frame) => this.#history.observe(frame));
    this.#host.onEvent((event) => {
      if (!isRoutine(event)) logEvent(log, event);
    });
    this.#unsubscribe = control.onAlarm((alarm) => this.#onAlarm(alarm));
    await this.#register(agent);
    await this.#rollouts?.start();
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
    await this.orderStreams(config.streams);
    if (fleet.bulkConcurrency === 0) return;
    const tools = {
      admission: this.#admission,
      ffmpeg,
      runner: segmentRunner(runtime, ffmpeg),
      lendStages: this.#jobStages(agent).lend,
      onNotice: (text: string) => log.warn({}, text),
    };
    this.#worker = control.tasks.work(config.name, fleet.bulkConcurrency, jobHandler(tools));
    this.#worker.setPaused(agent.isDraining);
  }

  /** The second stages of jobs. A host that lacks a model of theirs, or memory for it, rests, so that others take their tasks. */
  #jobStages(agent: HostAgent): JobStages {
    const { id, config, control, log } = this.#options;
    const { runtime } = this.#host;
    return new JobStages({
      ...jobStageOptions(this.#options),
      runtime,
      onUnfit: async (cause, key) => {
        const message = `host ${id} cannot run the job: ${cause.message}`;
        log.warn({ code: cause.code }, message);
        this.#unfit.set(key, performance.now());
        const { hosts } = await control.state.snapshot();
        const others = hosts.filter((host) => host.id !== id && host.pipeline === config.name);
        if (others.every(({ unfit }) => unfit?.includes(key)))
          return new SightlineError(cause.code, message, cause.details, { cause });
        this.#worker?.setPaused(true);
        setTimeout(() => this.#worker?.setPaused(agent.isDraining), UNFIT_REST_MS).unref();
        return new SightlineError('HOST_UNFIT', `${message} [${cause.code}]`, {}, { cause });
      },
    });
  }

  #unfitNow(): string[] {
    const since = performance.now() - UNFIT_KNOWN_MS;
    for (const [key, atMs] of this.#unfit) if (atMs < since) this.#unfit.delete(key);
    return [...this.#unfit.keys()].slice(-MOST_UNFIT);
  }

  /**
   * Registers the host. After a crash its id stays taken until the old process's lease ends, so on HOST_EXISTS this
   * waits that long and retries once.
   */
  async #register(agent: HostAgent): Promise<void> {
    const { id, config, log, context } = this.#options;
    try {
      await agent.start();
    } catch (thrown) {
      if (SightlineError.from(thrown, 'INTERNAL_ERROR').code !== 'HOST_EXISTS') throw thrown;
      log.info({}, `the name ${id} is taken; waiting until the lease of a crashed host would have ended`);
      await sleep(config.fleet.leaseMs + config.fleet.beatMs, undefined, { signal: context.stop }).catch(
        () => undefined,
      );
      if (!context.stop.aborted) await agent.start();
    }
  }

  /** Returns unfinished work, hands streams over to other hosts, and stops. */
  async leave(): Promise<void> {
    const { log } = this.#options;
    await this.#worker?.close();
    await this.#rollouts?.close();
    await this.#agent?.stop();
    this.#unsubscribe();
    this.#publisher?.close();
    await this.#gateway.close();
    this.#view.close();
    for (const failure of await this.#host.stop()) log.error({ code: failure.code }, failure.message);
    await this.#history.close();
    this.#flushed?.();
  }

  #onAlarm({ kind, message, details }: FleetAlarm): void {
    const { id, control, log } = this.#options;
    log.warn({ kind }, message);
    const body: EventMessage = { type: 'event', timeMs: Date.now(), kind, host: id, message, details };
    control.bus.publish({ topic: 'events', hostId: id, stream: null, fence: null, body });
  }

  #modelLabel(): string {
    const { engineInfo, spec } = this.#host.runtime;
    const { engine, provider, precision } = engineInfo;
    return `${spec.name} ${spec.input.width}x${spec.input.height} ${engine}/${provider} ${precision}`;
  }

  /**
   * Orders streams that the fleet does not have yet: all hosts of a pipeline have the same streams configured, and the first host to
   * start orders them. Changes nothing of the others.
   */
  async orderStreams(streams: PipelineConfig['streams']): Promise<void> {
    const { id, config, control, log } = this.#options;
    const orders = new StreamOrders({
      control,
      sender: id,
      pipeline: config.name,
      defaults: {},
      admit: (address) => this.#admission.source(address),
    });
    for (const stream of streams) {
      try {
        await orders.add(stream);
        log.info({}, `stream "${stream.id}" of the pipeline file was added to the fleet`);
      } catch (thrown) {
        const error = SightlineError.from(thrown, 'INTERNAL_ERROR');
        if (error.code !== 'STREAM_EXISTS') log.error({ code: error.code }, `stream "${stream.id}": ${error.message}`);
      }
    }
  }
}

/** How the second stages of jobs are loaded. */
function jobStageOptions({ config, context: { environment }, log }: JoinedHostOptions) {
  const onNotice = (text: string): void => log.info({}, text);
  return { batch: config.batch, environment, modelRoots: modelRootsOf(config), onNotice };
}

/** True for events of segments, of which there are thousands; only their warnings are logged. */
function isRoutine({ kind, stream }: EventMessage): boolean {
  return stream?.startsWith(BULK_ID_PREFIX) === true && kind !== 'stream-warning';
}
