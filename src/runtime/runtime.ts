import type { BatchConfig } from '../config/batch.ts';
import type { PreviewConfig } from '../config/gateway.ts';
import type { ModelConfig } from '../config/model.ts';
import type { StreamConfig } from '../config/stream.ts';
import { monoNowMs, systemClock } from '../core/clock.ts';
import type { PublishedFrame } from '../core/frame.ts';
import type { ModelSpec } from '../core/model.ts';
import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { Listeners } from '../flow/listeners.ts';
import type { EventKind, EventMessage } from '../protocol/feed.ts';
import type { HostReport, StreamReport } from '../protocol/report.ts';
import type { EngineInfo, EngineRequest, RingHandle } from '../protocol/threads.ts';
import { BackOff } from '../source/back-off.ts';
import { type CpuUse, readCpuUse } from '../telemetry/cpu-ledger.ts';
import { HostMeter } from '../telemetry/host-meter.ts';
import { Incidents } from '../telemetry/incidents.ts';
import { LaneClient } from './lane-client.ts';
import { HAND_OVER_FRAMES, type ModelInstance } from './model-instance.ts';
import type { ResultSinks } from './result-sinks.ts';
import { Scheduler, type SchedulerEvents, type StreamPolicy } from './scheduler.ts';
import type { EventDetails, ServedStream, SessionPort, StreamInput } from './session-port.ts';
import { neededScore } from './stream-analytics.ts';
import { DEFAULT_INSTANCE, StreamSession } from './stream-session.ts';

const REPORT_INTERVAL_MS = 1000;
/** A lane that lived this long was a good one. */
const STEADY_LANE_MS = 10_000;

export interface RuntimeOptions {
  readonly engine: EngineRequest;
  readonly model: ModelConfig;
  readonly batch: BatchConfig;
  readonly preview: PreviewConfig;
  readonly ffmpeg: FfmpegBinary;
  readonly lanes: number;
  readonly inferenceThreads: number;
  readonly sinks: ResultSinks;
  /** Counts exceptions of listeners. */
  readonly incidents?: Incidents;
}

export interface RuntimeReport {
  readonly timeMs: number;
  readonly streams: readonly StreamReport[];
  readonly host: HostReport;
}

/** N streams on one device: threads, streams, batches, figures. Everything that happens in it is told to listeners. */
export class Runtime {
  readonly spec: ModelSpec;
  /** Boxes below this are not reported. */
  readonly scoreThreshold: number;
  readonly published: Listeners<PublishedFrame>;
  readonly events: Listeners<EventMessage>;
  readonly reports: Listeners<RuntimeReport>;
  readonly previews: Listeners<{ readonly frame: PublishedFrame; readonly jpeg: Uint8Array }>;
  readonly #options: RuntimeOptions;
  readonly #incidents: Incidents;
  readonly #meter = new HostMeter(monoNowMs());
  readonly #sessions = new Map<string, StreamSession>();
  readonly #lanes: LaneClient[] = [];
  readonly #laneBackOff = new BackOff({ firstMs: 100, maxMs: 5_000 });
  readonly #scheduler: Scheduler;
  readonly #instance: ModelInstance;
  readonly #port: SessionPort;
  #watched: ReadonlySet<string> = new Set();
  #engineInfo: EngineInfo | null = null;
  #report: RuntimeReport | null = null;
  #reportTimer: NodeJS.Timeout | undefined;
  #isStopping = false;
  /** The sinks are closed: nothing more is published, so that nobody sees a result that is in no file. */
  #isFlushed = false;
  #stopping: Promise<SightlineError[]> | null = null;
  #failedBatches = 0;
  #failedToldMs = 0;

  private constructor(options: RuntimeOptions) {
    this.#options = options;
    const { incidents = new Incidents() } = options;
    this.#incidents = incidents;
    this.published = new Listeners('results', incidents);
    this.events = new Listeners('events', incidents);
    this.reports = new Listeners('reports', incidents);
    this.previews = new Listeners('pictures', incidents);
    this.spec = options.engine.model.spec;
    this.scoreThreshold = options.model.scoreThreshold ?? this.spec.scoreThreshold;
    const batching = { ...options.batch, timeoutMs: options.model.timeoutMs };
    this.#scheduler = new Scheduler(this.#schedulerEvents(), systemClock);
    this.#instance = this.#scheduler.addInstance(DEFAULT_INSTANCE, options.engine, batching);
    this.#port = this.#sessionPort();
    for (let i = 0; i < options.lanes; i++) this.#addLane();
  }

  /** Starts the threads and loads the engine. @throws ENGINE_UNAVAILABLE */
  static async start(options: RuntimeOptions): Promise<Runtime> {
    const runtime = new Runtime(options);
    try {
      runtime.#engineInfo = await runtime.#instance.start(options.inferenceThreads);
      runtime.#scheduler.engineStarted(runtime.#instance);
    } catch (error) {
      // The sinks stay open: another engine may be tried with them.
      await runtime.#end();
      throw error;
    }
    runtime.#meter.inferThreads = options.inferenceThreads;
    const report = runtime.#incidents.guard('the reports', () => void runtime.#makeReport());
    runtime.#reportTimer = setInterval(report, REPORT_INTERVAL_MS);
    runtime.#makeReport();
    return runtime;
  }

  /** @throws STREAM_EXISTS; STREAM_STATE once `stop` was called. */
  add(config: StreamConfig, input: StreamInput): StreamSession {
    if (this.#isStopping)
      throw new SightlineError('STREAM_STATE', `stream "${config.id}" cannot be added: everything is being stopped`);
    if (this.#sessions.has(config.id))
      throw new SightlineError(
        'STREAM_EXISTS',
        `a stream "${config.id}" already runs; choose another id or remove it first`,
      );
    const session = new StreamSession(config, input, this.#port);
    this.#sessions.set(config.id, session);
    this.#retune();
    this.emitEvent('stream-added', config.id, `${config.id} was added: ${input.label}`);
    session.isWatched = this.#watched.has(config.id);
    session.start();
    return session;
  }

  /** @throws STREAM_NOT_FOUND */
  session(id: string): StreamSession {
    const session = this.#sessions.get(id);
    if (session === undefined) {
      const known = [...this.#sessions.keys()].join(', ') || 'none';
      throw new SightlineError('STREAM_NOT_FOUND', `no stream "${id}"; running are: ${known}`, { id });
    }
    return session;
  }

  /** Why a stream has stopped for good; null where it has not, or is not there. */
  failureOf(id: string): SightlineError | null {
    return this.#sessions.get(id)?.failure ?? null;
  }

  /** Stops a stream in order and forgets it. @throws STREAM_NOT_FOUND */
  async remove(id: string): Promise<void> {
    const session = this.session(id);
    await session.remove();
    this.#sessions.delete(id);
    this.#retune();
    this.emitEvent('stream-removed', id, `${id} was removed`);
  }

  /** Applies settings of batching, ages and targets to a running stream. */
  retune(session: StreamSession, config: StreamConfig): void {
    session.retune(config);
    // One that is paused joins when it is resumed: until then nobody must wait for its frames.
    if (session.isOpen) this.#scheduler.serve(session, policyOf(session));
    this.#retune();
  }

  watchPreviews(streamIds: ReadonlySet<string>): void {
    this.#watched = streamIds;
    for (const session of this.#sessions.values()) session.isWatched = streamIds.has(session.id);
  }

  readiness(): { isReady: boolean; reason: string } {
    if (this.#isStopping) return { isReady: false, reason: 'stopping' };
    return this.#instance.isReady
      ? { isReady: true, reason: 'ready' }
      : { isReady: false, reason: 'no inference thread is up' };
  }

  get engineInfo(): EngineInfo {
    return this.#engineInfo!;
  }

  /** CPU time by stage since the process began; null where the system does not tell. */
  cpuUse(): CpuUse | null {
    const inference = this.threads.inference.map(({ tid }) => tid).filter((tid) => tid !== null);
    const engines = this.threads.inference.map(({ enginePid }) => enginePid).filter((pid) => pid !== null);
    return readCpuUse({ main: process.pid, inference, engines, children: this.childPids });
  }

  /** Pids of the ffmpeg children that live now. */
  get childPids(): number[] {
    return this.#lanes.flatMap((lane) => [...lane.childPids]);
  }

  /** Threads, for fault tests. */
  get threads(): { readonly lanes: readonly LaneClient[]; readonly inference: ModelInstance['pool']['clients'] } {
    return { lanes: this.#lanes, inference: this.#instance.pool.clients };
  }

  /** The newest report, made once a second; streams that came or went since are in it or out of it at once. */
  report(): RuntimeReport {
    const report = this.#report ?? this.#makeReport();
    const known = new Map(report.streams.map((stream) => [stream.id, stream]));
    const streams = [...this.#sessions.values()].map((session) => known.get(session.id) ?? this.streamReport(session));
    return { ...report, streams };
  }

  /** Stops every stream, then the sinks, then the threads. @returns what sinks lost. Calls after the first join it. */
  stop(): Promise<SightlineError[]> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /**
   * Publishes nothing more, writes out what the sinks hold and closes them, and leaves everything else as it is: for a process
   * that is about to end in an unknown state. @returns what sinks lost.
   */
  flushSinks(): Promise<SightlineError[]> {
    this.#isFlushed = true;
    return this.#options.sinks.close();
  }

  async #stop(): Promise<SightlineError[]> {
    this.#isStopping = true;
    clearInterval(this.#reportTimer);
    await Promise.all([...this.#sessions.keys()].map((id) => this.remove(id)));
    const failures = await this.#options.sinks.close();
    await this.#end();
    return failures;
  }

  async #end(): Promise<void> {
    this.#isStopping = true;
    await Promise.all([this.#scheduler.shutdown(), ...this.#lanes.map((lane) => lane.shutdown())]);
    this.#meter.close();
  }

  #addLane(startDelayMs = 0): void {
    const onBusy = (preprocessMs: number): void => this.#meter.addPreprocessMs(preprocessMs);
    const onLost = (lane: LaneClient, error: SightlineError): void => {
      this.#lanes.splice(this.#lanes.indexOf(lane), 1);
      if (this.#isStopping) return;
      // One that cannot live must not be started in a frenzy; one that had lived is replaced at once.
      const isSteady = lane.ageMs > STEADY_LANE_MS;
      if (isSteady) this.#laneBackOff.reset();
      this.#addLane(isSteady ? 0 : this.#laneBackOff.nextMs());
      this.emitEvent('lane-restarted', undefined, `${error.message}; its streams are opened again`);
    };
    this.#lanes.push(new LaneClient({ onBusy, onLost }, { startDelayMs }));
  }

  #schedulerEvents(): SchedulerEvents {
    return {
      onBusy: (inferMs) => this.#meter.addInferMs(inferMs),
      onBatchFailed: (error) => this.#reportFailedBatch(error),
      onThreadLost: (error) => this.emitEvent('engine-restarted', undefined, `${error.message}; it is started again`),
      onThreadRestarted: () => this.emitEvent('engine-restarted', undefined, 'an inference thread is up again'),
      onSettled: (reason) => this.emitEvent('batch-settled', undefined, `batch size ${reason}`),
    };
  }

  #sessionPort(): SessionPort {
    const { ffmpeg, preview, inferenceThreads, sinks } = this.#options;
    const scheduler = this.#scheduler;
    const instance = this.#instance;
    return {
      spec: this.spec,
      scoreThreshold: this.scoreThreshold,
      ffmpeg: { path: ffmpeg.path, major: ffmpeg.major },
      preview: { maxWidth: preview.width, fps: preview.fps },
      get inferenceSlots() {
        return inferenceThreads * instance.callsInFlight * instance.maxWarmedSize;
      },
      handOverSlots: inferenceThreads * HAND_OVER_FRAMES,
      pickLane: () => this.#lanes.reduce((a, b) => (b.streamCount < a.streamCount ? b : a)),
      attach: (ring: RingHandle) => instance.pool.attach(ring),
      detach: (ringId) => instance.pool.detach(ringId),
      // A lane's message is about a moment after the frames that it had handed over: they enter first.
      laneListener: (stream) => ({
        onLaneMessage: (message) => {
          scheduler.framesArrived(stream);
          stream.onLaneMessage(message);
        },
        onLaneLost: (error) => {
          scheduler.framesArrived(stream);
          stream.onLaneLost(error);
        },
      }),
      serve: (stream) => scheduler.serve(stream, policyOf(stream)),
      withdraw: (stream) => scheduler.withdraw(stream),
      event: (kind, stream, message, details) => this.emitEvent(kind, stream, message, details),
      publish: ({ input }, result, frame) => {
        if (this.#isFlushed) return null;
        if (input.bulk !== undefined) return input.bulk.take(result);
        this.published.emit(result);
        return sinks.publish(result, input.label, frame, input.policy === 'file');
      },
      onPreview: (frame, jpeg) => this.previews.emit({ frame, jpeg }),
    };
  }

  /** At most once a second: a model that fails on every batch must not flood the log. */
  #reportFailedBatch(error: SightlineError): void {
    this.#failedBatches += 1;
    const now = monoNowMs();
    if (now - this.#failedToldMs < REPORT_INTERVAL_MS) return;
    this.emitEvent('engine-failed', undefined, `${this.#failedBatches} batch(es) failed: ${error.message}`, {
      code: error.code,
    });
    this.#failedBatches = 0;
    this.#failedToldMs = now;
  }

  /** What depends on the set of streams. */
  #retune(): void {
    const sessions = [...this.#sessions.values()];
    this.#instance.servesLive = sessions.some(({ input }) => input.policy === 'live');
    this.#instance.scoreThreshold = Math.min(
      this.scoreThreshold,
      ...sessions.map(({ config, input }) => input.bulk?.scoreThreshold ?? neededScore(config, this.scoreThreshold)),
    );
  }

  /** Tells listeners that something happened. */
  emitEvent(kind: EventKind, stream: string | undefined, message: string, details?: EventDetails): void {
    this.events.emit({
      type: 'event',
      timeMs: Date.now(),
      kind,
      message,
      ...(stream === undefined ? {} : { stream }),
      ...(details === undefined ? {} : { details }),
    });
  }

  /** The figures of one stream now. */
  streamReport(session: StreamSession): StreamReport {
    return session.report(monoNowMs(), this.#scheduler.depth(session));
  }

  #makeReport(): RuntimeReport {
    const now = monoNowMs();
    const streams = [...this.#sessions.values()].map((session) => this.streamReport(session));
    const info = this.#engineInfo;
    const { width, height } = this.spec.input;
    const host: HostReport = {
      ...this.#meter.sample(now, this.childPids),
      device: {
        engine: info?.engine ?? this.#options.engine.engine,
        provider: info?.provider ?? this.#options.engine.provider,
        device: info?.device ?? 'loading',
        precision: info?.precision ?? this.#options.engine.model.precision,
        threads: this.#instance.pool.threadCount,
        model: this.spec.name,
        inputWidth: width,
        inputHeight: height,
      },
      batch: this.#instance.report(),
    };
    this.#report = { timeMs: Date.now(), streams, host };
    this.reports.emit(this.#report);
    return this.#report;
  }
}

/** Live streams and files are two sets of values of one policy. */
function policyOf({ config, input }: ServedStream): StreamPolicy {
  const { priority, weight, queueSize, maxAgeMs } = config;
  return input.policy === 'live'
    ? { priority, weight, queueSize, maxAgeMs, wake: 'always' }
    : { priority, weight, queueSize: null, maxAgeMs: null, wake: 'when-idle' };
}
