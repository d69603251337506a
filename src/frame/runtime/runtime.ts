import type { StreamSign } from '../../base/core/blind-sign.ts';
import { monoNowMs, systemClock } from '../../base/core/clock.ts';
import type { Box } from '../../base/core/detection.ts';
import type { PreviewPicture, PublishedFrame } from '../../base/core/frame.ts';
import { withoutHidden } from '../../base/core/hidden-values.ts';
import type { ModelSpec } from '../../base/core/model.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { Incidents } from '../../base/flow/incidents.ts';
import { Listeners } from '../../base/flow/listeners.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { EventKind, EventMessage } from '../../wire/protocol/feed.ts';
import type { StreamPackets } from '../../wire/protocol/packets.ts';
import type { HostReport, StreamReport } from '../../wire/protocol/report.ts';
import type { EngineInfo, RingHandle } from '../../wire/protocol/threads.ts';
import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import { type CpuUse, cpuMsOf, readCpuUse } from '../telemetry/cpu-ledger.ts';
import { HostMeter } from '../telemetry/host-meter.ts';
import { busyOf } from '../telemetry/judge-overload.ts';
import { PartTimes } from '../telemetry/part-times.ts';
import type { ModelInstance } from './inference/model-instance.ts';
import { deviceReport, type LoadedModel, type LoadRequest, ModelInstances } from './inference/model-instances.ts';
import { schedulerEvents } from './inference/scheduler-events.ts';
import type { ShadowCounters, ShadowResult } from './inference/shadow-stream.ts';
import { type ShadowRequest, Shadows } from './inference/shadows.ts';
import { StreamArranger } from './inference/stream-arranger.ts';
import type { LaneClient } from './lane/lane-client.ts';
import { LanePool } from './lane/lane-pool.ts';
import { OverloadWatch } from './overload-watch.ts';
import { MaskReaders } from './results/mask-readers.ts';
import type { RuntimeOptions, RuntimeReport } from './runtime-options.ts';
import { type LoadedStage, SecondStages } from './stages/second-stages.ts';
import { StreamStages } from './stages/stream-stages.ts';
import type { Arrangement } from './stream/arrangement.ts';
import type { InFlightFrame } from './stream/in-flight-frame.ts';
import { DEFAULT_INSTANCE, RuntimeStream } from './stream/runtime-stream.ts';
import { type SlotPicture, slotPicture } from './stream/slot-picture.ts';
import { neededScore, reportScoreOf } from './stream/stream-analytics.ts';
import type { EventDetails, StreamInput, StreamPort } from './stream/stream-port.ts';

const REPORT_INTERVAL_MS = 1000;

/** Runs N streams on one device: threads, streams, batches, metrics. Reports everything that happens to listeners. */
export class Runtime {
  /** The ffmpeg that decodes its streams. */
  readonly ffmpeg: FfmpegBinary;
  readonly overload: OverloadWatch;
  readonly secondStages = new SecondStages();
  /** Where the time of frames goes between the times that each frame carries. */
  readonly partTimes = new PartTimes();
  readonly published: Listeners<PublishedFrame>;
  readonly events: Listeners<EventMessage>;
  readonly reports: Listeners<RuntimeReport>;
  /** Frames that a candidate inferred beside a stream's own model. */
  readonly shadowed: Listeners<ShadowResult>;
  readonly previews: Listeners<PreviewPicture>;
  /** Cameras that became blind, or see again. A stream that is not read any more has no sign. */
  readonly signs: Listeners<StreamSign>;
  readonly packets = new Listeners<StreamPackets>('packets');
  readonly incidents: Incidents;
  readonly masks: MaskReaders;
  readonly #options: RuntimeOptions;
  readonly #meter = new HostMeter(monoNowMs());
  readonly #streams = new Map<string, RuntimeStream>();
  readonly #lanes: LanePool;
  readonly #models: ModelInstances;
  readonly #shadows: Shadows;
  readonly #arranger: StreamArranger;
  readonly #port: StreamPort;
  #primary = DEFAULT_INSTANCE;
  #report: RuntimeReport | null = null;
  #reportTimer: NodeJS.Timeout | undefined;
  /** The frame whose result the listeners get right now. */
  #publishing: { readonly result: PublishedFrame; readonly frame: InFlightFrame; readonly input: StreamInput } | null =
    null;
  #isStopping = false;
  /** The sinks are closed: nothing more is published, so that no result is seen that is missing in the files. */
  #isFlushed = false;
  #stopping: Promise<SightlineError[]> | null = null;

  private constructor(options: RuntimeOptions) {
    this.#options = options;
    this.ffmpeg = options.ffmpeg;
    const { incidents = new Incidents() } = options;
    this.incidents = incidents;
    this.published = new Listeners('results', incidents);
    this.events = new Listeners('events', incidents);
    this.reports = new Listeners('reports', incidents);
    this.previews = new Listeners('pictures', incidents);
    this.signs = new Listeners('signs', incidents);
    this.shadowed = new Listeners('shadow results', incidents);
    const { engine, inferenceThreads: threads } = options;
    const { timeoutMs, cacheResults, scoreThreshold } = options.model;
    const batching = { ...options.batch, timeoutMs, cacheResults };
    const emit = (kind: EventKind, text: string, details?: EventDetails): void =>
      this.emitEvent(kind, undefined, text, details);
    const inferenceEvents = schedulerEvents(this.#meter, this.partTimes, emit, incidents);
    this.#shadows = new Shadows((result) => this.shadowed.emit(result), systemClock);
    this.masks = new MaskReaders(options.sinks, (id) => this.#streams.get(id));
    this.#models = new ModelInstances(inferenceEvents, systemClock, this.#shadows, this.masks);
    this.#models.add(DEFAULT_INSTANCE, { engine, batching, threads, scoreThreshold });
    this.#arranger = new StreamArranger(this.#models);
    this.#port = this.#streamPort();
    this.overload = new OverloadWatch(this.emitEvent.bind(this), async () => options.modelsAtHand?.(this) ?? []);
    this.#lanes = new LanePool(options.lanes, {
      onPackets: (packets) => this.packets.emit(packets),
      onBusy: (preprocessMs) => this.#meter.addPreprocessMs(preprocessMs),
      onRestarted: (error) => this.emitEvent('lane-restarted', undefined, `${error.message}; its streams are reopened`),
      onFailed: ({ message }) => this.emitEvent('lane-failed', undefined, message),
    });
  }

  /** Starts the threads and loads the engine. @throws ENGINE_UNAVAILABLE */
  static async start(options: RuntimeOptions): Promise<Runtime> {
    const runtime = new Runtime(options);
    try {
      await runtime.#models.start(DEFAULT_INSTANCE);
    } catch (error) {
      // The sinks stay open for the next engine to be tried.
      await runtime.#end();
      throw error;
    }
    runtime.#countThreads();
    const report = runtime.incidents.guard('the reports', () => void runtime.#makeReport());
    runtime.#reportTimer = setInterval(report, REPORT_INTERVAL_MS);
    runtime.#makeReport();
    return runtime;
  }

  /** @param instance - name of its loaded model. @throws STREAM_EXISTS; STREAM_STATE after `stop` was called. */
  add(config: StreamConfig, input: StreamInput, instance: string = this.#primary): RuntimeStream {
    if (this.#isStopping)
      throw new SightlineError('STREAM_STATE', `stream "${config.id}" cannot be added: the pipeline is stopping`);
    if (this.#streams.has(config.id))
      throw new SightlineError(
        'STREAM_EXISTS',
        `a stream "${config.id}" already runs; choose another id or remove it first`,
      );
    const stream = new RuntimeStream(config, input, this.#port, instance);
    this.#streams.set(config.id, stream);
    this.#retune();
    this.emitEvent('stream-added', config.id, `${config.id} was added: ${input.label}`);
    stream.isWatched = this.masks.isWatched('previews', config.id);
    stream.start();
    if (stream.failure === null) return stream;
    this.#streams.delete(config.id);
    this.#retune();
    this.emitEvent('stream-removed', config.id, `${config.id} was removed: ${stream.failure.message}`);
    throw stream.failure;
  }

  /** @throws STREAM_NOT_FOUND */
  stream(id: string): RuntimeStream {
    const stream = this.find(id);
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
    const hasEnded = stream.state === 'ended';
    await stream.remove();
    this.stopShadow(id);
    this.#streams.delete(id);
    this.#retune();
    this.emitEvent('stream-removed', id, `${id} was removed`, { hasEnded });
  }

  /** Applies settings for which a stream's source stays open, see `RuntimeStream.isInPlace`. Throws before anything has changed. */
  retune(stream: RuntimeStream, to: Arrangement): void {
    stream.rearrange(to, stream.input);
    // A paused stream is served again when it is resumed: until then no batch must wait for its frames.
    if (stream.isOpen) this.#models.serve(stream.ledger);
    this.#retune();
  }

  /**
   * Applies settings for which a stream's source is opened again, see `RuntimeStream.reopen`.
   *
   * @throws what opening it throws; it then runs with its old settings.
   */
  async reopen(stream: RuntimeStream, ...next: Parameters<RuntimeStream['reopen']>): Promise<void> {
    try {
      await stream.reopen(...next);
    } finally {
      this.#retune();
    }
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
    this.#countThreads();
    return info;
  }

  /** Replaces second stages, by default those of all streams, by ones on loaded models. @throws MODEL_NOT_FOUND */
  useStages(stages: readonly LoadedStage[], replaced = this.secondStages): void {
    replaced.use(stages.map(({ config, instance }) => ({ config, model: this.#models.get(instance) })));
  }

  /**
   * Ends a model once its last batch is done.
   *
   * @param instead - what streams that are over and used it would run with again.
   * @throws MODEL_NOT_FOUND; MODEL_BUSY if it is the primary one or streams use it, paused ones included.
   */
  async unloadModel(name: string, instead: string = this.#primary): Promise<void> {
    this.#releaseModel(name, instead);
    // While its last batch runs, a stream may be assigned to it.
    await this.#models.unload(name, () => this.#releaseModel(name, instead));
    this.#countThreads();
  }

  /** Takes a model away from streams that are over. @throws MODEL_BUSY if others use it. */
  #releaseModel(name: string, instead: string): void {
    const users = this.streams.filter((stream) => stream.uses(name));
    const running = users.filter(({ state }) => state !== 'ended' && state !== 'failed').map(({ id }) => id);
    if (name === this.#primary) running.unshift('new streams');
    if (running.length > 0)
      throw new SightlineError('MODEL_BUSY', `model "${name}" is in use by ${running.slice(0, 5).join(', ')}`);
    for (const stream of users)
      stream.rearrange({ ...stream.arrangement, instance: instead, beside: null }, stream.input);
  }

  /** Name of the loaded model that new streams use and that reports describe; at first `default`. */
  get primary(): string {
    return this.#primary;
  }

  /** @throws MODEL_NOT_FOUND; MODEL_INCOMPATIBLE if the classes differ. */
  set primary(name: string) {
    if (name === this.#primary) return;
    this.#models.requireSameClasses(this.#primary, name);
    this.#primary = name;
  }

  get #own(): LoadedModel {
    return this.#models.get(this.#primary);
  }

  /** Detector of the primary model. */
  get spec(): ModelSpec {
    return this.#own.spec;
  }

  /** Boxes of the primary model below this are not reported. */
  get scoreThreshold(): number {
    return this.#own.scoreThreshold;
  }

  find(id: string): RuntimeStream | undefined {
    return this.#streams.get(id);
  }

  /**
   * Copies the picture of the frame of a stream that is being published: for listeners of `published`, and what they call. Null at other times, and
   * if its slot has no pixels. @param trackId - an object that is to be in it.
   */
  publishedPicture(
    stream: string,
    trackId?: number,
  ): { readonly picture: SlotPicture; readonly frame: PublishedFrame; readonly box: Box | null } | null {
    const current = this.#publishing;
    const instance = this.#streams.get(stream)?.instance;
    if (current?.result.streamId !== stream || instance === undefined) return null;
    const { result, frame, input } = current;
    const box = (trackId !== undefined && result.detections.find((each) => each.trackId === trackId)?.box) || null;
    const picture = slotPicture(frame, input.picture, this.#models.get(instance).spec, box ?? undefined);
    return picture === null ? null : { picture, frame: result, box };
  }

  get streams(): readonly RuntimeStream[] {
    return [...this.#streams.values()];
  }

  /** Names of the loaded models; the one that the pipeline started with is `default`. */
  get models(): readonly string[] {
    return this.#models.names;
  }

  /** Makes another loaded model infer a stream. @throws STREAM_NOT_FOUND, and what `rearrange` throws. */
  async assignModel(streamId: string, name: string): Promise<void> {
    const stream = this.stream(streamId);
    if (stream.instance !== name) await this.rearrange(stream, { ...stream.arrangement, instance: name }, stream.input);
  }

  /** Gives a stream other settings, another model, or frames that a second model can infer as well: see `StreamArranger`. */
  async rearrange(stream: RuntimeStream, to: Arrangement, input: StreamInput): Promise<void> {
    try {
      await this.#arranger.rearrange(stream, to, input);
    } finally {
      this.#retune();
    }
  }

  /** Detector of a loaded model. @throws MODEL_NOT_FOUND */
  specOf(name: string): ModelSpec {
    return this.#models.get(name).spec;
  }

  /**
   * Lets a loaded model infer a share of a stream's frames without publishing its results; `shadowed` gets both results. Live
   * work goes first: what the model cannot keep up with is dropped and counted.
   *
   * @param request - how; see `ShadowOptions`.
   * @throws STREAM_NOT_FOUND, MODEL_NOT_FOUND; MODEL_INCOMPATIBLE if its frames have no input for the model, or it has other classes.
   */
  startShadow(streamId: string, name: string, request: ShadowRequest): void {
    this.#shadows.start(this.stream(streamId), name, this.#models, request);
    this.#retune();
  }

  stopShadow(streamId: string): void {
    this.#shadows.stop(streamId);
    this.#retune();
  }

  /** Null if the stream has no shadow. */
  shadowCounters(streamId: string): ShadowCounters | null {
    return this.#shadows.counters(streamId);
  }

  watchPreviews(streamIds: ReadonlySet<string>): void {
    this.masks.watch('previews', streamIds);
    for (const stream of this.#streams.values()) stream.isWatched = streamIds.has(stream.id);
  }

  readiness(): { isReady: boolean; reason: string } {
    if (this.#isStopping) return { isReady: false, reason: 'stopping' };
    const { failure } = this.#lanes;
    if (failure !== null) return { isReady: false, reason: failure.message };
    const { isReady, pool } = this.#own.model;
    const why = pool.failure?.message ?? 'no inference thread is running';
    return { isReady, reason: isReady ? 'ready' : why };
  }

  /** Hash of everything that made the model with which the runtime started. */
  get modelHash(): string {
    return this.#options.engine.model.hash;
  }

  get engineInfo(): EngineInfo {
    return this.#own.info!;
  }

  /** CPU time by stage since the process began; null on systems without /proc. */
  cpuUse(): CpuUse | null {
    const engines = this.threads.inference.map(({ enginePid }) => enginePid).filter((pid) => pid !== null);
    return readCpuUse({ main: process.pid, engines, children: this.childPids });
  }

  /** CPU time that the threads and processes of a loaded model have used; falls when one is replaced. Null without /proc. */
  inferenceCpuMs(name: string): number | null {
    return cpuMsOf(this.#models.get(name).model.pool.clients);
  }

  /** Pids of the running ffmpeg children. */
  get childPids(): number[] {
    return this.#lanes.all.flatMap((lane) => [...lane.childPids]);
  }

  /** Threads, for fault tests. */
  get threads(): { readonly lanes: readonly LaneClient[]; readonly inference: ModelInstance['pool']['clients'] } {
    return { lanes: this.#lanes.all, inference: this.#models.clients };
  }

  /** The newest report, made once a second, updated for streams that were added or removed since. */
  report(): RuntimeReport {
    const report = this.#report ?? this.#makeReport();
    const known = new Map(report.streams.map((stream) => [stream.id, stream]));
    return { ...report, streams: this.streams.map((stream) => known.get(stream.id) ?? this.streamReport(stream)) };
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
    await Promise.all([this.#models.shutdown(), this.#lanes.shutdown()]);
    this.#meter.close();
  }

  #streamPort(): StreamPort {
    const { preview, sinks, fakeDetect, tracer } = this.#options;
    return {
      fakeDetect,
      tracer,
      primary: () => this.#primary,
      ffmpeg: this.ffmpeg,
      preview: { maxWidth: preview.width, fps: preview.fps, quality: preview.quality },
      partTimes: this.partTimes,
      pickLane: () => this.#lanes.least,
      modelOf: (name) => this.#models.get(name),
      attach: (ring: RingHandle) => this.#models.attach(ring),
      detach: (ringId) => this.#models.detach(ringId),
      scheduler: this.#models,
      stagesOf: (settings, classCount) => new StreamStages(() => this.secondStages.all, settings, classCount),
      event: (kind, stream, message, details) => this.emitEvent(kind, stream, message, details),
      onTarget: (id, event) => this.overload.onTarget(id, event),
      room: (stream, { policy, bulk, isKeptFromSinks = false }) =>
        policy === 'live' || bulk !== undefined || isKeptFromSinks || this.#isFlushed ? null : sinks.room(stream),
      publish: (result, frame, input) => {
        if (this.#isFlushed) return null;
        if (input.bulk !== undefined) return input.bulk.take(result, frame);
        this.#publishing = { result, frame, input };
        try {
          this.published.emit(result);
        } finally {
          this.#publishing = null;
        }
        this.#shadows.onPublished(result, frame);
        if (input.isKeptFromSinks === true) return null;
        const pending = sinks.publish(result, input.label, frame, input.policy === 'file');
        this.partTimes.addSend(monoNowMs() - result.times.published);
        return pending;
      },
      onPreview: (picture) => this.previews.emit(picture),
      onSign: (sign) => this.signs.emit(sign),
    };
  }

  /** Updates what depends on the set of streams. */
  #retune(): void {
    this.masks.watch('shadows', this.#shadows.compared);
    const streams = [...this.#streams.values()];
    const needed = streams.map(({ config, input, instance }) =>
      neededScore(config, reportScoreOf(config, input, this.#models.get(instance).scoreThreshold)),
    );
    const detectors = this.#models.all.filter(({ model }) => !model.readsCrops);
    const loaded = detectors.map((model) => model.scoreThreshold);
    const scoreThreshold = Math.min(...loaded, ...needed, ...this.#shadows.neededScores);
    for (const { model } of detectors) model.scoreThreshold = scoreThreshold;
    const live = streams.filter(({ input }) => input.policy === 'live');
    for (const { model } of this.#models.all)
      model.servesLive = live.some(({ instance, config }) =>
        model.readsCrops ? (config.stages ?? []).length > 0 : instance === model.name,
      );
  }

  #countThreads(): void {
    // All detectors together run as many batches as the one with the most, see `FairShare`.
    const threads = this.#models.all.map(({ model, threads: own }) => (model.readsCrops ? 0 : own));
    this.#meter.inferThreads = Math.max(1, ...threads);
  }

  /** Sends an event to the listeners. */
  emitEvent(kind: EventKind, stream: string | undefined, message: string, details?: EventDetails): void {
    this.events.emit({
      type: 'event',
      timeMs: Date.now(),
      kind,
      message: withoutHidden(message),
      ...(stream === undefined ? {} : { stream }),
      ...(details === undefined ? {} : { details }),
    });
  }

  /** Returns the current report of one stream. */
  streamReport(stream: RuntimeStream): StreamReport {
    return stream.report(monoNowMs(), this.#models.depth(stream.ledger), busyOf(this.#report?.host));
  }

  #makeReport(): RuntimeReport {
    const now = monoNowMs();
    const streams = [...this.#streams.values()].map((stream) => this.streamReport(stream));
    // It was measured for the model that the pipeline started with.
    const comparison = this.#primary === DEFAULT_INSTANCE ? this.#options.comparison : undefined;
    const usage = this.#meter.sample(now, this.childPids);
    const host: HostReport = {
      ...usage,
      ...this.overload.update(this.#streams.values(), usage, now, {
        inputs: this.partTimes.sums().inferredInputs,
        cpuMs: cpuMsOf(this.threads.inference),
      }),
      device: deviceReport(this.#own, this.#options.engine, comparison),
      batch: this.#own.model.report(),
      stageHistograms: this.partTimes.stageHistograms,
      failedInferences: this.partTimes.failedFrames,
      ...(this.secondStages.all.length === 0 ? {} : { secondStages: this.secondStages.reports(now) }),
    };
    this.#report = { timeMs: Date.now(), streams, host };
    this.reports.emit(this.#report);
    return this.#report;
  }
}
