import type { BatchConfig } from '../config/batch.ts';
import type { PreviewConfig } from '../config/gateway.ts';
import type { ModelConfig } from '../config/model-config.ts';
import type { StreamConfig } from '../config/stream.ts';
import { monoNowMs, systemClock } from '../core/clock.ts';
import type { PublishedFrame } from '../core/frame.ts';
import type { ModelSpec } from '../core/model.ts';
import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { BackOff } from '../flow/back-off.ts';
import { Incidents } from '../flow/incidents.ts';
import { Listeners } from '../flow/listeners.ts';
import { viewCount } from '../geometry/views.ts';
import type { EventKind, EventMessage } from '../protocol/feed.ts';
import type { HostReport, StreamReport } from '../protocol/report.ts';
import type { EngineInfo, EngineRequest, RingHandle } from '../protocol/threads.ts';
import { type CpuUse, readCpuUse } from '../telemetry/cpu-ledger.ts';
import { HostMeter } from '../telemetry/host-meter.ts';
import { PartTimes } from '../telemetry/part-times.ts';
import { HAND_OVER_INPUTS, type ModelInstance } from './inference/model-instance.ts';
import { type LoadRequest, ModelInstances } from './inference/model-instances.ts';
import { Scheduler, type SchedulerEvents, type StreamPolicy } from './inference/scheduler.ts';
import type { ShadowCounters, ShadowResult } from './inference/shadow-stream.ts';
import { Shadows } from './inference/shadows.ts';
import { LaneClient } from './lane/lane-client.ts';
import type { ResultSinks } from './results/result-sinks.ts';
import { DEFAULT_INSTANCE, RuntimeStream } from './stream/runtime-stream.ts';
import { neededScore } from './stream/stream-analytics.ts';
import type { EventDetails, ServedStream, StreamInput, StreamPort } from './stream/stream-port.ts';

const REPORT_INTERVAL_MS = 1000;
/** A lane that ran this long resets the back-off. */
const STEADY_LANE_MS = 10_000;

export interface RuntimeOptions {
  readonly engine: EngineRequest;
  /** The measured times by which engine `auto` chose, for the report. */
  readonly comparison?: string | undefined;
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

/** Runs N streams on one device: threads, streams, batches, metrics. Reports everything that happens to listeners. */
export class Runtime {
  readonly spec: ModelSpec;
  /** The ffmpeg that decodes its streams. */
  readonly ffmpeg: FfmpegBinary;
  /** Boxes below this are not reported. */
  readonly scoreThreshold: number;
  /** Where the time of frames goes between the times that each frame carries. */
  readonly partTimes = new PartTimes();
  readonly published: Listeners<PublishedFrame>;
  readonly events: Listeners<EventMessage>;
  readonly reports: Listeners<RuntimeReport>;
  /** Frames that a candidate inferred beside a stream's own model. */
  readonly shadowed: Listeners<ShadowResult>;
  readonly previews: Listeners<{ readonly frame: PublishedFrame; readonly jpeg: Uint8Array }>;
  readonly #options: RuntimeOptions;
  readonly #incidents: Incidents;
  readonly #meter = new HostMeter(monoNowMs());
  readonly #streams = new Map<string, RuntimeStream>();
  readonly #lanes: LaneClient[] = [];
  readonly #laneBackOff = new BackOff({ firstMs: 100, maxMs: 5_000 });
  readonly #scheduler: Scheduler;
  readonly #models: ModelInstances;
  readonly #instance: ModelInstance;
  readonly #shadows: Shadows;
  readonly #port: StreamPort;
  #watched: ReadonlySet<string> = new Set();
  #engineInfo: EngineInfo | null = null;
  #report: RuntimeReport | null = null;
  #reportTimer: NodeJS.Timeout | undefined;
  #isStopping = false;
  /** The sinks are closed: nothing more is published, so that no result is seen that is missing in the files. */
  #isFlushed = false;
  #stopping: Promise<SightlineError[]> | null = null;
  #failedBatches = 0;
  #failuresReportedMs = 0;

  private constructor(options: RuntimeOptions) {
    this.#options = options;
    this.ffmpeg = options.ffmpeg;
    const { incidents = new Incidents() } = options;
    this.#incidents = incidents;
    this.published = new Listeners('results', incidents);
    this.events = new Listeners('events', incidents);
    this.reports = new Listeners('reports', incidents);
    this.previews = new Listeners('pictures', incidents);
    this.shadowed = new Listeners('shadow results', incidents);
    this.spec = options.engine.model.spec;
    this.scoreThreshold = options.model.scoreThreshold ?? this.spec.scoreThreshold;
    const batching = {
      ...options.batch,
      timeoutMs: options.model.timeoutMs,
      cacheResults: options.model.cacheResults,
    };
    this.#scheduler = new Scheduler(this.#schedulerEvents(), systemClock);
    this.#models = new ModelInstances(this.#scheduler);
    this.#instance = this.#models.add(DEFAULT_INSTANCE, { engine: options.engine, batching });
    this.#shadows = new Shadows(this.#scheduler, this.#models, this.scoreThreshold, (result) =>
      this.shadowed.emit(result),
    );
    this.#port = this.#streamPort();
    for (let i = 0; i < options.lanes; i++) this.#addLane();
  }

  /** Starts the threads and loads the engine. @throws ENGINE_UNAVAILABLE */
  static async start(options: RuntimeOptions): Promise<Runtime> {
    const runtime = new Runtime(options);
    try {
      runtime.#engineInfo = await runtime.#models.start(DEFAULT_INSTANCE, options.inferenceThreads);
    } catch (error) {
      // The sinks stay open for the next engine to be tried.
      await runtime.#end();
      throw error;
    }
    runtime.#meter.inferThreads = options.inferenceThreads;
    const report = runtime.#incidents.guard('the reports', () => void runtime.#makeReport());
    runtime.#reportTimer = setInterval(report, REPORT_INTERVAL_MS);
    runtime.#makeReport();
    return runtime;
  }

  /** @throws STREAM_EXISTS; STREAM_STATE after `stop` was called. */
  add(config: StreamConfig, input: StreamInput): RuntimeStream {
    if (this.#isStopping)
      throw new SightlineError('STREAM_STATE', `stream "${config.id}" cannot be added: the pipeline is stopping`);
    if (this.#streams.has(config.id))
      throw new SightlineError(
        'STREAM_EXISTS',
        `a stream "${config.id}" already runs; choose another id or remove it first`,
      );
    const stream = new RuntimeStream(config, input, this.#port);
    this.#streams.set(config.id, stream);
    this.#retune();
    this.emitEvent('stream-added', config.id, `${config.id} was added: ${input.label}`);
    stream.isWatched = this.#watched.has(config.id);
    stream.start();
    return stream;
  }

  /** @throws STREAM_NOT_FOUND */
  stream(id: string): RuntimeStream {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      const known = [...this.#streams.keys()].join(', ') || 'none';
      throw new SightlineError('STREAM_NOT_FOUND', `no stream "${id}"; running are: ${known}`, { id });
    }
    return stream;
  }

  /** Why a stream has failed; null if it has not, or does not exist. */
  failureOf(id: string): SightlineError | null {
    return this.#streams.get(id)?.failure ?? null;
  }

  /** Stops a stream and removes it. @throws STREAM_NOT_FOUND */
  async remove(id: string): Promise<void> {
    const stream = this.stream(id);
    await stream.remove();
    this.stopShadow(id);
    this.#streams.delete(id);
    this.#retune();
    this.emitEvent('stream-removed', id, `${id} was removed`);
  }

  /** Applies batching settings, ages and targets to a running stream. */
  retune(stream: RuntimeStream, config: StreamConfig): void {
    stream.retune(config);
    // A paused stream is served again when it is resumed: until then no batch must wait for its frames.
    if (stream.isOpen) this.#scheduler.serve(stream, policyOf(stream));
    this.#retune();
  }

  /**
   * Loads and warms another model beside those that run.
   *
   * @param name - by which streams use it, see `assignModel`.
   * @throws MODEL_BUSY if the name is taken; ENGINE_UNAVAILABLE, after which nothing is left behind.
   */
  async loadModel(name: string, request: LoadRequest): Promise<EngineInfo> {
    const info = await this.#models.load(name, request);
    this.#retune();
    return info;
  }

  /** Ends a model once its last batch is done. @throws MODEL_NOT_FOUND; MODEL_BUSY if streams use it, paused ones included */
  async unloadModel(name: string): Promise<void> {
    const users = [...this.#streams.values()].filter(({ instance }) => instance === name);
    const isOver = ({ state }: RuntimeStream): boolean => state === 'ended' || state === 'failed';
    const running = users.filter((stream) => !isOver(stream)).map(({ id }) => id);
    if (running.length > 0)
      throw new SightlineError('MODEL_BUSY', `model "${name}" is in use by ${running.slice(0, 5).join(', ')}`);
    for (const stream of users) stream.useInstance(DEFAULT_INSTANCE);
    await this.#models.unload(name);
  }

  get streams(): readonly RuntimeStream[] {
    return [...this.#streams.values()];
  }

  /** Counts exceptions of listeners. */
  get incidents(): Incidents {
    return this.#incidents;
  }

  /** Names of the loaded models; the pipeline's own is `default`. */
  get models(): readonly string[] {
    return this.#models.names;
  }

  /**
   * Makes another loaded model infer a stream, between two frames. No frame is lost, repeated or reordered, and trackers keep
   * their identities. If the two models take different inputs, the source of a running stream is opened again: a file goes on
   * with its next frame, a camera with what it sends then.
   *
   * @throws STREAM_NOT_FOUND, MODEL_NOT_FOUND; MODEL_INCOMPATIBLE if the classes differ.
   */
  async assignModel(streamId: string, name: string): Promise<void> {
    const stream = this.stream(streamId);
    if (stream.instance === name) return;
    const isSameInput = this.#models.isSameInput(stream.instance, name);
    if (isSameInput || !stream.isOpen) this.#scheduler.move(stream, name, () => stream.useInstance(name));
    else {
      await stream.pause();
      stream.useInstance(name);
      stream.resume();
    }
    this.#retune();
  }

  /**
   * Lets a loaded model infer a share of a stream's frames without publishing its results; `shadowed` gets both results. Live
   * work goes first: what the model cannot keep up with is dropped and counted.
   *
   * @param ratio - share of the frames, 0 to 1.
   * @throws STREAM_NOT_FOUND, MODEL_NOT_FOUND; MODEL_INCOMPATIBLE if the models take other inputs or have other classes.
   */
  startShadow(streamId: string, name: string, ratio: number): void {
    this.#shadows.start(this.stream(streamId), name, ratio);
  }

  /** Ends the shadow of a stream, if it has one. */
  stopShadow(streamId: string): void {
    this.#shadows.stop(streamId);
  }

  /** Null if the stream has no shadow. */
  shadowCounters(streamId: string): ShadowCounters | null {
    return this.#shadows.counters(streamId);
  }

  watchPreviews(streamIds: ReadonlySet<string>): void {
    this.#watched = streamIds;
    for (const stream of this.#streams.values()) stream.isWatched = streamIds.has(stream.id);
  }

  readiness(): { isReady: boolean; reason: string } {
    if (this.#isStopping) return { isReady: false, reason: 'stopping' };
    return this.#instance.isReady
      ? { isReady: true, reason: 'ready' }
      : { isReady: false, reason: 'no inference thread is running' };
  }

  get engineInfo(): EngineInfo {
    return this.#engineInfo!;
  }

  /** CPU time by stage since the process began; null on systems without /proc. */
  cpuUse(): CpuUse | null {
    const inference = this.threads.inference.map(({ tid }) => tid).filter((tid) => tid !== null);
    const engines = this.threads.inference.map(({ enginePid }) => enginePid).filter((pid) => pid !== null);
    return readCpuUse({ main: process.pid, inference, engines, children: this.childPids });
  }

  /** Pids of the running ffmpeg children. */
  get childPids(): number[] {
    return this.#lanes.flatMap((lane) => [...lane.childPids]);
  }

  /** Threads, for fault tests. */
  get threads(): { readonly lanes: readonly LaneClient[]; readonly inference: ModelInstance['pool']['clients'] } {
    return { lanes: this.#lanes, inference: this.#models.clients };
  }

  /** The newest report, made once a second, updated for streams that were added or removed since. */
  report(): RuntimeReport {
    const report = this.#report ?? this.#makeReport();
    const known = new Map(report.streams.map((stream) => [stream.id, stream]));
    const streams = [...this.#streams.values()].map((stream) => known.get(stream.id) ?? this.streamReport(stream));
    return { ...report, streams };
  }

  /**
   * Stops every stream, then the sinks, then the threads. @returns the failures of sinks. Later calls return the same
   * promise.
   */
  stop(): Promise<SightlineError[]> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /**
   * Stops publishing, flushes and closes the sinks, and leaves everything else untouched: for a process that is about
   * to end in an unknown state. @returns the failures of sinks.
   */
  flushSinks(): Promise<SightlineError[]> {
    this.#isFlushed = true;
    return this.#options.sinks.close();
  }

  async #stop(): Promise<SightlineError[]> {
    this.#isStopping = true;
    clearInterval(this.#reportTimer);
    await Promise.all([...this.#streams.keys()].map((id) => this.remove(id)));
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
      // A lane that ran for a while is replaced at once; one that fails early is restarted with a back-off.
      const isSteady = lane.ageMs > STEADY_LANE_MS;
      if (isSteady) this.#laneBackOff.reset();
      this.#addLane(isSteady ? 0 : this.#laneBackOff.nextMs());
      this.emitEvent('lane-restarted', undefined, `${error.message}; its streams are reopened`);
    };
    this.#lanes.push(new LaneClient({ onBusy, onLost }, { startDelayMs }));
  }

  #schedulerEvents(): SchedulerEvents {
    return {
      onBusy: (inferMs, times) => {
        this.#meter.addInferMs(inferMs);
        this.partTimes.addBatch(times);
      },
      onBatchFailed: (error) => this.#reportFailedBatch(error),
      onThreadLost: (error, model) =>
        this.emitEvent('engine-restarted', undefined, `${error.message}; it is being restarted`, { model }),
      onThreadRestarted: () => this.emitEvent('engine-restarted', undefined, 'an inference thread has restarted'),
      onSettled: (reason) => this.emitEvent('batch-settled', undefined, `batch size ${reason}`),
    };
  }

  #streamPort(): StreamPort {
    const { preview, inferenceThreads, sinks } = this.#options;
    const scheduler = this.#scheduler;
    const instance = this.#instance;
    return {
      spec: this.spec,
      scoreThreshold: this.scoreThreshold,
      ffmpeg: { path: this.ffmpeg.path, major: this.ffmpeg.major },
      preview: { maxWidth: preview.width, fps: preview.fps, quality: preview.quality },
      hashesInput: instance.cache !== null,
      partTimes: this.partTimes,
      get inferenceCalls() {
        return inferenceThreads * instance.callsInFlight;
      },
      get inferenceInputs() {
        return inferenceThreads * instance.callsInFlight * instance.maxWarmedSize;
      },
      handOverInputs: inferenceThreads * HAND_OVER_INPUTS,
      pickLane: () => this.#lanes.reduce((a, b) => (b.streamCount < a.streamCount ? b : a)),
      specOf: (name) => this.#models.spec(name),
      attach: (ring: RingHandle) => this.#models.attach(ring),
      detach: (ringId) => this.#models.detach(ringId),
      // A lane's message follows the frames that it handed over before, so those enter first.
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
        this.#shadows.onPublished(result);
        const pending = sinks.publish(result, input.label, frame, input.policy === 'file');
        this.partTimes.addSend(monoNowMs() - result.times.published);
        return pending;
      },
      onPreview: (frame, jpeg) => this.previews.emit({ frame, jpeg }),
    };
  }

  /** Reports at most once a second: a model that fails on every batch must not flood the log. */
  #reportFailedBatch(error: SightlineError): void {
    this.#failedBatches += 1;
    const now = monoNowMs();
    if (now - this.#failuresReportedMs < REPORT_INTERVAL_MS) return;
    this.emitEvent('engine-failed', undefined, `${this.#failedBatches} batch(es) failed: ${error.message}`, {
      code: error.code,
    });
    this.#failedBatches = 0;
    this.#failuresReportedMs = now;
  }

  /** Updates what depends on the set of streams. */
  #retune(): void {
    const streams = [...this.#streams.values()];
    const scoreThreshold = Math.min(
      this.scoreThreshold,
      ...streams.map(({ config, input }) => input.bulk?.scoreThreshold ?? neededScore(config, this.scoreThreshold)),
    );
    for (const name of this.#models.names) {
      const model = this.#models.model(name);
      model.servesLive = streams.some(({ instance, input }) => instance === name && input.policy === 'live');
      model.scoreThreshold = scoreThreshold;
    }
  }

  /** Sends an event to the listeners. */
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

  /** Returns the current report of one stream. */
  streamReport(stream: RuntimeStream): StreamReport {
    return stream.report(monoNowMs(), this.#scheduler.depth(stream));
  }

  #makeReport(): RuntimeReport {
    const now = monoNowMs();
    const streams = [...this.#streams.values()].map((stream) => this.streamReport(stream));
    const info = this.#engineInfo;
    const { comparison } = this.#options;
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
        ...(comparison === undefined ? {} : { comparison }),
      },
      batch: this.#instance.report(),
    };
    this.#report = { timeMs: Date.now(), streams, host };
    this.reports.emit(this.#report);
    return this.#report;
  }
}

/** Returns the policy of a stream; live streams and files differ only in its values. */
function policyOf({ config, input }: ServedStream): StreamPolicy {
  const { priority, weight, queueSize, maxAgeMs } = config;
  const share = { priority, weight, views: viewCount(config) };
  return input.policy === 'live'
    ? { ...share, queueSize, maxAgeMs, wake: 'always' }
    : { ...share, queueSize: null, maxAgeMs: null, wake: 'when-idle' };
}
