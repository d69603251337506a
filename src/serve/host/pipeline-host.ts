import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { AlertDesk } from '../../after/events/alert-desk.ts';
import { EventDesk, type EventKeeper } from '../../after/events/event-desk.ts';
import { eventMessage } from '../../after/events/event-message.ts';
import { RuleTrials } from '../../after/events/rule-trials.ts';
import type { Recorder } from '../../after/recording/recorder.ts';
import { openSinks } from '../../after/sinks/open-sinks.ts';
import type { ResultSinks } from '../../after/sinks/result-sinks.ts';
import type { Sink } from '../../after/sinks/sink.ts';
import { countOf } from '../../after/sinks/sink-failure.ts';
import { monoNowMs, systemClock } from '../../base/core/clock.ts';
import { showNames } from '../../base/core/redact.ts';
import { DiskProbe } from '../../base/disk/disk-probe.ts';
import { readAuthorities } from '../../base/disk/read-authorities.ts';
import type { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import { KeyedMutex } from '../../base/flow/keyed-mutex.ts';
import { Listeners } from '../../base/flow/listeners.ts';
import { abortedFirst } from '../../base/flow/unless-aborted.ts';
import { StreamRules } from '../../fleet/control/orders/stream-rules.ts';
import { openFfmpeg } from '../../frame/decode/ffmpeg-binary.ts';
import { openRuntime } from '../../frame/runtime/open-runtime.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import type { RuntimeReport } from '../../frame/runtime/runtime-options.ts';
import { RuntimeStream } from '../../frame/runtime/stream/runtime-stream.ts';
import { isTracked } from '../../frame/runtime/stream/stream-analytics.ts';
import type { FakeDetect } from '../../frame/runtime/stream/stream-port.ts';
import { PowerMeter } from '../../frame/telemetry/power-meter.ts';
import type { Tracing } from '../../frame/telemetry/tracing/open-tracing.ts';
import type { Environment } from '../../settings/config/environment.ts';
import { requireFits } from '../../settings/config/model-fit.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { AlertDelivery } from '../../wire/protocol/alert-delivery.ts';
import type {
  ChangeOptions,
  Readiness,
  RuntimePort,
  TagCheck,
  TaggedSettings,
} from '../../wire/protocol/ports/runtime-port.ts';
import type { StreamReport } from '../../wire/protocol/report.ts';
import type { PipelineReport } from '../../wire/protocol/rest.ts';
import type { RuleEvent } from '../../wire/protocol/rule-event.ts';
import type { SourceTest } from '../../wire/protocol/source-test.ts';
import type { RuleTrialReply } from '../../wire/protocol/tried-rules.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { resolvedSinks } from '../pipeline/resolve-placeholders.ts';
import { EarlyEvents } from './early-events.ts';
import { EventPictures } from './event-pictures.ts';
import { HostStages } from './host-stages.ts';
import { HostStreams } from './host-streams.ts';
import { LayeredSettings, type SettingsSources } from './layered-settings.ts';
import { ModelChoice } from './model-choice.ts';
import { NamedModels } from './named-models.ts';
import { openRecorder } from './open-recorder.ts';
import { notOverlaid, overlayTrouble } from './overlay/overlay.ts';
import { isPictureStream } from './picture-detector.ts';
import { SourceRules } from './source-rules.ts';
import { type Convergence, convergenceText, StreamReconciler } from './stream-reconciler.ts';

export interface HostContext {
  readonly environment: Environment;
  readonly stdout: Writable;
  readonly onNotice: (text: string) => void;
  /** Checks a source that the owner has not named for its stream, see `ownSources`. Rejects with SOURCE_FORBIDDEN if it is not allowed. */
  readonly admit: (source: string) => Promise<void>;
  /** Where the settings come from; absent if the streams come from orders, or from a program. */
  readonly sources?: SettingsSources;
  /** Addresses of a stream that no rule binds: the owner named them for it. Read at each start; default: those of the pipeline file. */
  readonly ownSources?: (stream: string) => ReadonlySet<string> | undefined;
  /** Counts exceptions of listeners; if absent, they are reported as notices. */
  readonly incidents?: Incidents;
  /** Ends the start: `open` and `start`. */
  readonly signal?: AbortSignal | undefined;
  /** As in `EventDeskOptions`; what it accepts comes back through `deliverEvent`. */
  readonly lendEvent?: ((event: RuleEvent) => boolean) | undefined;
  /** Absent unless frames are traced. It is closed with the host, or if that cannot be opened. */
  readonly tracing?: Tracing | undefined;
  /** Boxes of the program instead of those of the fake engine. */
  readonly fakeDetect?: FakeDetect | undefined;
}

const DISK_STALLED = 'the file system, or the pool of threads that waits for it, does not answer; results on disk stop';

/**
 * A running pipeline: the runtime with the streams and sinks of a configuration, and the operator's actions on it. A host of
 * a fleet drives the same `streams` under the same `rules` by its orders.
 */
export class PipelineHost implements RuntimePort {
  readonly runtime: Runtime;
  readonly watchDetections = (ids: ReadonlySet<string>): void => this.runtime.masks.watch('detections', ids);
  readonly streams: HostStreams;
  readonly models: NamedModels;
  readonly rules: StreamRules;
  readonly #settings: LayeredSettings;
  readonly #stages: HostStages;
  readonly #reloads = new KeyedMutex();
  /** A random text for the settings of each stream. A hash would let those who may not see a password test guesses of it. */
  readonly #tags = new Map<string, { readonly config: StreamConfig; readonly tag: string }>();
  readonly #disk: DiskProbe;
  readonly #power: PowerMeter;
  readonly #alerts: AlertDesk;
  readonly #events: EventDesk;
  readonly #choice: ModelChoice;
  readonly #trials = new RuleTrials();
  readonly #ruleEvents = new Listeners<RuleEvent>('events of rules');
  readonly #sinks: ResultSinks;
  readonly recorder: Recorder;
  /** Absent unless frames are traced. */
  readonly tracing: Tracing | undefined;
  readonly #early: EarlyEvents;
  readonly #reconciler: StreamReconciler<RuntimeStream>;
  /** Of each stream that it was started with, by its id. */
  #places: ReadonlyMap<string, number> = new Map();
  /** Absent once it has started. */
  #signal: AbortSignal | undefined;

  private constructor({
    runtime,
    config,
    sinks,
    context,
    early,
    authorities,
    models,
    stages,
  }: {
    readonly runtime: Runtime;
    readonly config: PipelineConfig;
    readonly sinks: ResultSinks;
    readonly context: HostContext;
    readonly early: EarlyEvents;
    readonly authorities: string | null;
    readonly models: NamedModels;
    readonly stages: HostStages;
  }) {
    const { environment, onNotice, admit, ownSources, sources, signal, lendEvent, tracing } = context;
    showNames(config.streams.map(({ id }) => id));
    this.runtime = runtime;
    this.#stages = stages;
    this.models = models.runIn(runtime);
    this.#signal = signal;
    this.#sinks = sinks;
    this.tracing = tracing;
    this.#early = early;
    const requireFit = (stream: StreamConfig): void =>
      requireFits(stages.requireKnown(stream), (name) => models.fitOf(name));
    const settings = new LayeredSettings(config, sources ?? null, requireFit);
    this.#settings = settings;
    settings.overlay?.onTrouble((problem) => runtime.emitEvent(...overlayTrouble(problem)));
    const ofFile = settings.ownAddresses;
    const sourceRules = new SourceRules({
      fleet: config.fleet,
      authorities,
      admitOther: admit,
      ofOwner: ownSources ?? ofFile,
      ofFile,
    });
    this.streams = new HostStreams({
      runtime,
      config,
      sinks,
      environment,
      onNotice,
      limits: config.limits,
      sourceRules,
      models,
      stages,
      modelOf: (stream) => this.#choice.modelOf(stream),
      placeholders: () => settings.file.placeholders?.sources,
    });
    this.rules = new StreamRules({
      get defaults() {
        return settings.defaults;
      },
      modelOf: (name) => models.fitOf(name),
      admit: (address, stream) => sourceRules.admit(address, stream),
      ofFile: (id) => settings.file.streams.find((stream) => stream.id === id),
    });
    const { streams, rules } = this;
    this.#choice = new ModelChoice({ runtime, streams, isOpen: (id, rule) => this.#events.isOpen(id, rule) });
    this.#reconciler = new StreamReconciler({
      clock: systemClock,
      settings,
      running: {
        get current() {
          return runtime.streams.map(({ id }) => streams.wantedOf(id)!);
        },
        of: (id) => streams.wantedOf(id),
        start: async (stream) => {
          requireFit(stream);
          await rules.admit(stream);
          return streams.add(stream, undefined, true);
        },
        add: (stream) => streams.add(stream),
        change: (id, next) => streams.change(id, next),
        replace: (stream) => streams.change(stream.id, (current) => rules.replaced(current, stream)),
        pause: (id) => streams.pause(id),
        resume: (id) => streams.resume(id),
        remove: (id, check) => streams.remove(id, check),
        renew: (id) => streams.renew(id),
      },
      onEvent: (kind, id, message, details) => runtime.emitEvent(kind, id, message, details),
      signal: () => this.#signal,
    });
    this.#alerts = new AlertDesk({
      alerts: config.alerts,
      channels: new Map(config.alerts.flatMap(({ to }) => to.map((id) => [id, sinks.channel(id)] as const))),
      snapshotOf: (event) => this.recorder.snapshotOf(event),
      publicUrl: config.gateway.publicUrl,
      clock: systemClock,
      wallNow: Date.now,
    });
    this.#events = new EventDesk({
      configOf: (id) => this.#reconciler.currentOf(id)?.config ?? runtime.stream(id).config,
      isTracked,
      recordingOf: (id) => runtime.streams.find((stream) => stream.id === id)?.input.recording,
      send: (event, given) => {
        this.#ruleEvents.emit(event);
        return new Map([...sinks.publishEvent(event, false, given), ...this.#alerts.onEvent(event, given)]);
      },
      onProblem: (stream, text) => runtime.emitEvent('stream-warning', stream, text),
      lend: lendEvent,
      pictures: new EventPictures(runtime),
      limited: [sinks, this.#alerts],
      announce: (event) => runtime.events.emit(eventMessage(event, Date.now())),
    });
    this.recorder = openRecorder(runtime, config, environment, { sourceRules, settings, alerts: this.#alerts });
    this.#ruleEvents.add((event) => this.recorder.onEvent(event));
    runtime.published.add((frame) => this.#events.onResult(frame));
    runtime.signs.add(({ stream, sign, isDark }) =>
      this.#events.onPicture(stream, [...(sign === null ? [] : [sign]), ...(isDark ? ['dark'] : [])]),
    );
    // Also of streams that could not be started. One whose detector still loads is not down: a restart raises no alert.
    runtime.reports.add(({ streams: running, timeMs }) => {
      const failed = this.#reconciler.reports.filter(({ state }) => state !== 'starting');
      this.#events.onReport([...running, ...failed], timeMs);
      this.#choice.update();
    });
    runtime.events.add(({ kind, stream, details, timeMs }) => {
      if (kind === 'stream-removed') this.#events.onRemoved(stream!, details?.hasEnded === true, timeMs);
    });
    this.onReport((report) => sinks.observe(report.streams));
    this.#power = PowerMeter.open(environment.searchPath, monoNowMs());
    this.#disk = new DiskProbe({
      path: environment.cacheDir,
      onStalled: () => runtime.emitEvent('disk-stalled', undefined, DISK_STALLED),
      onAnswered: () => runtime.emitEvent('disk-answered', undefined, 'the file system answers again'),
    });
  }

  /**
   * Opens everything except the streams: ffmpeg, model, engine, threads, sinks.
   *
   * @throws CONFIG_INVALID, SINK_BUSY, and what `openRuntime` throws.
   */
  static open(config: PipelineConfig, context: HostContext): Promise<PipelineHost> {
    const opening = PipelineHost.#open(config, context).catch(async (error: unknown) => {
      await context.tracing?.close();
      throw error;
    });
    return abortedFirst(opening, context.signal);
  }

  static async #open(config: PipelineConfig, context: HostContext): Promise<PipelineHost> {
    const { environment, stdout, onNotice, incidents, signal, fakeDetect, tracing } = context;
    const authorities = config.tls.caFile === undefined ? null : readAuthorities(config.tls.caFile, 'tls.caFile');
    const ffmpeg = await openFfmpeg(environment, onNotice, config.decoder);
    const models = await NamedModels.open({ config, environment, onNotice });
    const { classes, detectors } = models;
    const stages = new HostStages({ batch: config.batch, environment, onNotice, detectors });
    const early = new EarlyEvents(onNotice);
    const sinks = await openSinks(resolvedSinks(config), {
      classes,
      stdout,
      spoolFolder: join(environment.cacheDir, 'spool', encodeURIComponent(config.name).replaceAll('.', '%2E')),
      onFailure: ({ message, code, details }) => early.add('sink-failed', message, { ...details, code }),
      onRecovery: (id, lost) => {
        const text = `sink ${id} delivers again${lost === 0 ? '' : `; ${countOf(lost)} lost`}`;
        early.add('sink-recovered', text, { id, lostResults: lost });
      },
      onNotice: (text) => early.add('sink-notice', text, {}),
    });
    let runtime: Runtime | undefined;
    try {
      const options = { ...config, sinks, ffmpeg, environment, onNotice, incidents, signal, fakeDetect };
      runtime = await openRuntime({ ...options, tracer: tracing?.frames });
      await stages.use(runtime, config.stages);
    } catch (error) {
      sinks.markCutShort();
      await (runtime?.stop() ?? sinks.close());
      throw error;
    }
    return new PipelineHost({ runtime, config, sinks, context, early, authorities, models, stages });
  }

  /**
   * Adds the streams of the pipeline file, with what its overlay changes; several at once. One that cannot be opened (a missing file) is reported as
   * failed and tried again, see `StreamReconciler`; if none can be opened and there is no overlay, the first error is thrown.
   *
   * @throws that error; the reason of the signal.
   */
  async start(): Promise<void> {
    const { overlay, wanted } = this.#settings;
    this.#places = new Map(wanted.streams.map(({ config }, i) => [config.id, i]));
    for (const note of [...(overlay?.notices ?? []), ...wanted.notes])
      this.runtime.emitEvent('overlay-failed', undefined, note);
    const failures = (await this.#reconciler.start()).filter((failure) => failure !== null);
    this.#signal = undefined;
    const isAlone = Object.keys(overlay?.streams ?? {}).length === 0;
    if (isAlone && failures.length > 0 && failures.length === wanted.streams.length) throw failures[0]!;
  }

  /**
   * Takes the pipeline file that was read again: its streams follow as if each had been changed over REST, and keep what the
   * overlay says. Other sections need a restart. Emits `settings-reloaded`. @throws what `HostStages.use` throws; all is then as before.
   */
  reload(file: PipelineConfig): Promise<Convergence> {
    return this.#reloads.run('', async () => {
      const before = this.placeholders?.sources;
      const stages = await this.#stages.follow(this.runtime, this.streams, file.stages);
      this.#settings.setFile(file);
      showNames(file.streams.map(({ id }) => id));
      const now = this.placeholders?.sources;
      const outcome = await this.#reconciler.converge(
        (source) => before?.has(source) === true && before.get(source) !== now?.get(source),
      );
      const { needsRestart, wanted } = this.#settings;
      const restart = needsRestart.length === 0 ? '' : `; only a restart applies ${needsRestart.join(', ')}`;
      const text = `the pipeline file was read again; ${convergenceText(outcome)}${stages}${restart}`;
      this.runtime.emitEvent('settings-reloaded', undefined, text);
      for (const note of wanted.notes) this.runtime.emitEvent('overlay-failed', undefined, note);
      return outcome;
    });
  }

  async resetStreams(ids: readonly string[] | null): Promise<void> {
    await this.#reloads.run('', async () => {
      const { overlay } = this.#settings;
      const changed = Object.keys(overlay?.streams ?? {});
      const unknown = (ids ?? []).filter((id) => !changed.includes(id));
      if (unknown.length > 0) throw notOverlaid(unknown[0]!, changed);
      for (const id of ids ?? changed) overlay?.set(id, undefined);
      await overlay?.save();
      const outcome = await this.#reconciler.converge();
      this.runtime.emitEvent('settings-reloaded', undefined, `the overlay was reset; ${convergenceText(outcome)}`);
    });
  }

  report(): ReturnType<Runtime['report']> {
    return this.#withSinks(this.runtime.report());
  }

  #withSinks(report: RuntimeReport): RuntimeReport {
    // A stream that is started later, or took longer, keeps its place.
    const shown = report.streams.filter(({ id }) => !isPictureStream(id));
    const streams = [...shown, ...this.#reconciler.reports].toSorted(
      (a, b) => this.#placeOf(a.id) - this.#placeOf(b.id),
    );
    const figuresOf = (id: string) => ({ ...this.#events.figuresOf(id), ...this.recorder.figuresOf(id) });
    const withEvents = streams.map((stream) => ({ ...stream, ...figuresOf(stream.id) }));
    const alerts = this.#alerts.figures;
    const publishedFps = streams.reduce((sum, { fps }) => sum + fps.published, 0);
    const tracing = this.tracing === undefined ? {} : { tracing: this.tracing.figures };
    const host = {
      ...report.host,
      ...this.#power.figures(monoNowMs(), publishedFps),
      sinks: this.#sinks.reports,
      ...(Object.keys(alerts).length === 0 ? {} : { alerts }),
      ...tracing,
    };
    return { ...report, streams: withEvents, host };
  }

  #placeOf(id: string): number {
    return this.#places.get(id) ?? this.#places.size;
  }

  readiness(): Readiness {
    const { stalledMs } = this.#disk;
    if (stalledMs !== null)
      return { isReady: false, reason: `the file system has not answered for ${Math.round(stalledMs / 1000)} s` };
    const own = this.runtime.readiness();
    const { problem } = this.#sinks;
    const failing = [...this.#reconciler.failures.keys()].toSorted((a, b) => this.#placeOf(a) - this.#placeOf(b));
    const late = this.runtime.streams.flatMap(({ id, lateMs }) =>
      lateMs === null ? [] : [`${id} (${Math.round(lateMs / 1000)} s)`],
    );
    const reasons = [
      ...(problem === null ? [] : [problem]),
      ...(failing.length === 0 ? [] : [`failed at the start: ${failing.join(', ')}`]),
      ...(late.length === 0 ? [] : [`pictures come late: ${late.join(', ')}`]),
    ];
    const reason = reasons.length === 0 ? null : reasons.join('; ');
    return own.isReady && reason !== null ? { isReady: true, isDegraded: true, reason } : own;
  }

  /** What the placeholders of the pipeline file, as it is now, stand for. */
  get placeholders(): PipelineConfig['placeholders'] {
    return this.#settings.file.placeholders;
  }

  /** Why streams could not be started, by id. */
  get startErrors(): ReadonlyMap<string, SightlineError> {
    return this.#reconciler.failures;
  }

  /** Adds a destination of results while streams run. */
  addSink(...binding: Parameters<ResultSinks['add']>): void {
    this.#sinks.add(...binding);
  }

  removeSink(sink: Sink): void {
    this.#sinks.remove(sink);
  }

  /** Stops the streams and ends all threads. @returns what could not be written. */
  async stop(): ReturnType<Runtime['stop']> {
    this.#disk.close();
    await this.#reconciler.close();
    await this.#trials.close();
    await this.#events.close();
    this.#alerts.close();
    await this.#power.close();
    const failures = await this.runtime.stop();
    await this.recorder.close();
    await this.tracing?.close();
    return failures;
  }

  streamSettings(id: string): TaggedSettings {
    const found = this.#reconciler.currentOf(id);
    // Throws with the known ids.
    const settings = found?.config ?? this.runtime.stream(id).config;
    return { settings, tag: this.#tagOf(settings) };
  }

  pipeline(): PipelineReport {
    return this.#settings.report(this.#reconciler.current);
  }

  keepingProblem(): string | null {
    return this.#settings.problem;
  }

  async addStream(stream: unknown): Promise<StreamReport> {
    return this.#reportOf(await this.#reconciler.add(await this.rules.added(stream)));
  }

  async testSource(
    request: unknown,
    configOf = (id: string): StreamConfig | null => this.#reconciler.currentOf(id)?.config ?? null,
  ): Promise<SourceTest> {
    return this.streams.test(await this.rules.tested(request, configOf));
  }

  async changeStream(
    id: string,
    request: unknown,
    { isWhole = false, check }: ChangeOptions = {},
  ): Promise<StreamReport> {
    const next = (current: StreamConfig): Promise<StreamConfig> => {
      check?.(this.#tagOf(current));
      return isWhole ? this.rules.rewritten(current, request) : this.rules.changed(current, request);
    };
    return this.#reportOf(await this.#reconciler.change(id, next));
  }

  async tryRules(id: string, request: unknown): Promise<RuleTrialReply> {
    const { settings: current } = this.streamSettings(id);
    const settings = await this.rules.tried(current, request);
    const { spanMs, results, kept, ...seen } = this.#events.seenOf(id);
    const toMs = Date.now();
    const outcome = await this.#trials.try({ settings, seen });
    return { fromMs: toMs - Math.round(spanMs), toMs, results, kept, ...outcome };
  }

  alertsOf(event: string): readonly AlertDelivery[] | null {
    return this.#alerts.deliveriesOf(event);
  }

  async pauseStream(id: string): Promise<StreamReport> {
    return this.#reportOf(await this.#reconciler.pause(id));
  }

  async resumeStream(id: string): Promise<StreamReport> {
    return this.#reportOf(await this.#reconciler.resume(id));
  }

  removeStream(id: string, check?: TagCheck): Promise<void> {
    return this.#reconciler.remove(id, (current) => check?.(this.#tagOf(current)));
  }

  #reportOf(stream: RuntimeStream | StreamReport): StreamReport {
    return stream instanceof RuntimeStream ? this.runtime.streamReport(stream) : stream;
  }

  #tagOf(config: StreamConfig): string {
    const known = this.#tags.get(config.id);
    if (known !== undefined && isDeepStrictEqual(known.config, config)) return known.tag;
    const tag = randomUUID();
    this.#tags.set(config.id, { config, tag });
    return tag;
  }

  onReport(listener: Parameters<Runtime['reports']['add']>[0]): () => void {
    return this.runtime.reports.add((report) => listener(this.#withSinks(report)));
  }

  onPublished(listener: Parameters<Runtime['published']['add']>[0]): () => void {
    return this.runtime.published.add(listener);
  }

  onEvent(listener: Parameters<Runtime['events']['add']>[0]): () => void {
    const remove = this.runtime.events.add(listener);
    this.#early.handOver(this.runtime);
    return remove;
  }

  /**
   * Keeps the events of rules, so that a kill loses none and leaves none open; sends what an earlier process could not, and ends what it left
   * open. Call it before `start`.
   */
  keepEvents(keeper: EventKeeper): Promise<void> {
    return this.#events.keepIn(keeper);
  }

  /** Hands out a record that was lent, see `EventDesk.deliver`. */
  deliverEvent(...record: Parameters<EventDesk['deliver']>): Promise<boolean> {
    return this.#events.deliver(...record);
  }

  /** Calls a listener with each record of an event, updates included. */
  onRuleEvent(listener: (event: RuleEvent) => void): () => void {
    return this.#ruleEvents.add(listener);
  }

  onPreview(listener: Parameters<Runtime['previews']['add']>[0]): () => void {
    return this.runtime.previews.add(listener);
  }

  watchPreviews(streamIds: ReadonlySet<string>): void {
    this.runtime.watchPreviews(streamIds);
  }
}
