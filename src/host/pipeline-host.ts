import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import type { Environment } from '../config/environment.ts';
import { requireFit } from '../config/model-fit.ts';
import type { StreamConfig } from '../config/stream.ts';
import { StreamRules } from '../control/orders/stream-rules.ts';
import { systemClock } from '../core/clock.ts';
import { openFfmpeg } from '../decode/ffmpeg-binary.ts';
import { DiskProbe } from '../disk/disk-probe.ts';
import { readAuthorities } from '../disk/read-authorities.ts';
import { type ErrorDetails, SightlineError } from '../errors/sightline-error.ts';
import type { Incidents } from '../flow/incidents.ts';
import { KeyedGate } from '../flow/keyed-gate.ts';
import { KeyedMutex } from '../flow/keyed-mutex.ts';
import { overlapped } from '../flow/overlapped.ts';
import { abortedFirst } from '../flow/unless-aborted.ts';
import type { ChangeOptions, Readiness, RuntimePort, TagCheck, TaggedSettings } from '../gateway/runtime-port.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { resolvedSinks } from '../pipeline/resolve-placeholders.ts';
import type { EventKind, EventMessage } from '../protocol/feed.ts';
import type { StreamReport } from '../protocol/report.ts';
import type { PipelineReport } from '../protocol/rest.ts';
import type { SourceTest } from '../protocol/source-test.ts';
import { loadConfigured } from '../runtime/model/load-detector.ts';
import { openRuntime } from '../runtime/open-runtime.ts';
import { openSinks } from '../runtime/results/open-sinks.ts';
import type { ResultSinks } from '../runtime/results/result-sinks.ts';
import type { Runtime, RuntimeReport } from '../runtime/runtime.ts';
import { RuntimeStream } from '../runtime/stream/runtime-stream.ts';
import type { FakeDetect } from '../runtime/stream/stream-port.ts';
import type { Sink } from '../sinks/sink.ts';
import { countOf } from '../sinks/sink-failure.ts';
import { modelSpec } from '../store/manifests.ts';
import {
  type Convergence,
  convergenceText,
  convergeStreams,
  renewStreams,
  type StreamActions,
} from './converge-streams.ts';
import { FailedStarts } from './failed-starts.ts';
import { HostStreams } from './host-streams.ts';
import { LayeredSettings, type SettingsSources } from './layered-settings.ts';
import type { WantedStream } from './overlay/overlay.ts';
import { SourceRules } from './source-rules.ts';

export interface HostContext {
  readonly environment: Environment;
  readonly stdout: Writable;
  readonly onNotice: (text: string) => void;
  /** Checks a source that the owner has not named, see `ownSources`. Rejects with SOURCE_FORBIDDEN if it is not allowed. */
  readonly admit: (source: string) => Promise<void>;
  /** Where the settings come from; absent if the streams come from orders, or from a program. */
  readonly sources?: SettingsSources;
  /**
   * Sources that no rule binds, because the owner named them. Read at each start of a source; default: those of the pipeline file.
   */
  readonly ownSources?: ReadonlySet<string>;
  /** Counts exceptions of listeners; if absent, they are reported as notices. */
  readonly incidents?: Incidents;
  /** Ends the start: `open` and `start`. */
  readonly signal?: AbortSignal | undefined;
  /** Boxes of the program instead of those of the fake engine. */
  readonly fakeDetect?: FakeDetect | undefined;
}

/** Starting a stream may run ffmpeg; a camera that accepts the connection and then is silent only takes time. */
const START_TOGETHER = { atOnce: 8, slowMs: 1_000, clock: systemClock } as const;

/** Events of sinks while nobody listens: notices at once, events for the first listener. Null once there is one. */
interface EarlyEvents {
  events: EventMessage[] | null;
}

/**
 * A running pipeline: the runtime with the streams and sinks of a configuration, and the operator's actions on it. A host of
 * a fleet drives the same `streams` under the same `rules` by its orders.
 */
export class PipelineHost implements RuntimePort {
  readonly runtime: Runtime;
  readonly streams: HostStreams;
  readonly rules: StreamRules;
  readonly #settings: LayeredSettings;
  /** Operations of clients on a stream pass; while it follows the file they wait. */
  readonly #gate = new KeyedGate();
  readonly #reloads = new KeyedMutex();
  /** A random text for the settings of each stream. A hash would let those who may not see a password test guesses of it. */
  readonly #tags = new Map<string, { readonly config: StreamConfig; readonly tag: string }>();
  readonly #disk: DiskProbe;
  readonly #sinks: ResultSinks;
  readonly #early: EarlyEvents;
  readonly #starts: FailedStarts<RuntimeStream>;
  /** Of each stream that it was started with, by its id. */
  #places: ReadonlyMap<string, number> = new Map();
  /** Absent once it has started. */
  #signal: AbortSignal | undefined;

  private constructor(
    runtime: Runtime,
    config: PipelineConfig,
    sinks: ResultSinks,
    { environment, onNotice, admit, ownSources, sources, signal }: HostContext,
    early: EarlyEvents,
    authorities: string | null,
  ) {
    this.runtime = runtime;
    this.#signal = signal;
    this.#sinks = sinks;
    this.#early = early;
    const settings = new LayeredSettings(config, sources ?? null);
    this.#settings = settings;
    settings.overlay?.onTrouble((problem) => this.#onOverlayTrouble(problem));
    const sourceRules = new SourceRules({
      ...{ fleet: config.fleet, authorities, admitOther: admit },
      isOwn: (source) => ownSources?.has(source) ?? settings.ownsSource(source),
    });
    this.streams = new HostStreams({
      ...{ runtime, config, sinks, environment, onNotice, limits: config.limits, sourceRules },
      signal: () => this.#signal,
      placeholders: () => settings.file.placeholders?.sources,
    });
    this.rules = new StreamRules({
      get defaults() {
        return settings.defaults;
      },
      model: runtime,
      admit: ({ source }) => sourceRules.admit(source),
      sourceOfFile: (id) => settings.file.streams.find((stream) => stream.id === id)?.source,
    });
    this.#starts = new FailedStarts({
      clock: systemClock,
      add: async (stream) => {
        requireFit(stream, runtime);
        await sourceRules.admit(stream.source);
        return this.streams.add(stream, undefined, true);
      },
      onEvent: (kind, id, message, details) => runtime.emitEvent(kind, id, message, details),
      signal: () => this.#signal,
    });
    this.#disk = new DiskProbe({
      path: environment.cacheDir,
      onStalled: () =>
        runtime.emitEvent(
          'disk-stalled',
          undefined,
          'the file system, or the pool of threads that waits for it, does not answer; results on disk stop',
        ),
      onAnswered: () => runtime.emitEvent('disk-answered', undefined, 'the file system answers again'),
    });
  }

  /**
   * Opens everything except the streams: ffmpeg, model, engine, threads, sinks.
   *
   * @throws CONFIG_INVALID, SINK_BUSY, and what `openRuntime` throws.
   */
  static open(config: PipelineConfig, context: HostContext): Promise<PipelineHost> {
    return abortedFirst(PipelineHost.#open(config, context), context.signal);
  }

  static async #open(config: PipelineConfig, context: HostContext): Promise<PipelineHost> {
    const { environment, stdout, onNotice, incidents, signal, fakeDetect } = context;
    const { caFile } = config.tls;
    const authorities = caFile === undefined ? null : readAuthorities(caFile, 'tls.caFile');
    const ffmpeg = await openFfmpeg(environment, onNotice, config.decoder);
    const { classes } = modelSpec(await loadConfigured(config.model, environment));
    let runtime: Runtime | null = null;
    const early: EarlyEvents = { events: [] };
    const report = (kind: EventKind, text: string, details: ErrorDetails): void => {
      if (early.events === null) {
        runtime?.emitEvent(kind, undefined, text, details);
        return;
      }
      onNotice(kind === 'sink-failed' ? `error: ${text} [SINK_FAILED]` : text);
      early.events.push({ type: 'event', timeMs: Date.now(), kind, message: text, details });
    };
    const sinks = await openSinks(resolvedSinks(config), {
      classes,
      stdout,
      spoolFolder: join(environment.cacheDir, 'spool', encodeURIComponent(config.name).replaceAll('.', '%2E')),
      onFailure: ({ message, code, details }) => report('sink-failed', message, { ...details, code }),
      onRecovery: (id, lost) => {
        const text = `sink ${id} delivers again${lost === 0 ? '' : `; ${countOf(lost)} lost`}`;
        report('sink-recovered', text, { id, lostResults: lost });
      },
      onNotice: (text) => report('sink-notice', text, {}),
    });
    try {
      runtime = await openRuntime({ ...config, sinks, ffmpeg, environment, onNotice, incidents, signal, fakeDetect });
    } catch (error) {
      sinks.markCutShort();
      await sinks.close();
      throw error;
    }
    return new PipelineHost(runtime, config, sinks, context, early, authorities);
  }

  /**
   * Adds the streams of the pipeline file, with what its overlay changes; several at once. One that cannot be opened (a missing file) is reported as
   * failed and tried again, see `FailedStarts`; if none can be opened and there is no overlay, the first error is thrown.
   *
   * @throws that error; the reason of the signal.
   */
  async start(): Promise<void> {
    const { overlay, wanted } = this.#settings;
    this.#places = new Map(wanted.streams.map(({ config }, i) => [config.id, i]));
    for (const note of [...(overlay?.notices ?? []), ...wanted.notes])
      this.runtime.emitEvent('overlay-failed', undefined, note);
    const outcomes = await overlapped(wanted.streams, (stream) => this.#start(stream), START_TOGETHER);
    const failures = outcomes.filter((failure) => failure !== null);
    this.#signal = undefined;
    const isAlone = Object.keys(overlay?.streams ?? {}).length === 0;
    if (isAlone && failures.length > 0 && failures.length === wanted.streams.length) throw failures[0]!;
  }

  /** @returns why it failed; null if it runs, or is paused. */
  async #start(
    { config, isPaused }: WantedStream,
    start = (settings: StreamConfig) => this.#starts.start(settings),
  ): Promise<SightlineError | null> {
    const failure = await start(config);
    if (!isPaused) return failure;
    await this.#setPaused(config.id, true);
    return null;
  }

  /**
   * Takes the pipeline file that was read again: its streams follow as if each had been changed over REST, and keep what the
   * overlay says. Other sections need a restart. Emits `settings-reloaded`.
   */
  reload(file: PipelineConfig): Promise<Convergence> {
    return this.#reloads.run('', async () => {
      const before = this.placeholders?.sources;
      this.#settings.setFile(file);
      const outcome = await this.#renewed(await this.#converge(), before);
      const { needsRestart, wanted } = this.#settings;
      const restart = needsRestart.length === 0 ? '' : `; only a restart applies ${needsRestart.join(', ')}`;
      const text = `the pipeline file was read again; ${convergenceText(outcome)}${restart}`;
      this.runtime.emitEvent('settings-reloaded', undefined, text);
      for (const note of wanted.notes) this.runtime.emitEvent('overlay-failed', undefined, note);
      return outcome;
    });
  }

  /** Opens sources again whose placeholders stand for something else than before. */
  #renewed(outcome: Convergence, before: ReadonlyMap<string, string> | undefined): Promise<Convergence> {
    const now = this.placeholders?.sources;
    const isOther = ({ config: { source } }: RuntimeStream): boolean =>
      before?.has(source) === true && before.get(source) !== now?.get(source);
    const ids = this.runtime.streams.filter(isOther).map(({ id }) => id);
    return renewStreams(outcome, ids, (id) => this.streams.renew(id));
  }

  async resetStreams(ids: readonly string[] | null): Promise<void> {
    await this.#reloads.run('', async () => {
      const { overlay } = this.#settings;
      const changed = Object.keys(overlay?.streams ?? {});
      const unknown = (ids ?? []).filter((id) => !changed.includes(id));
      if (unknown.length > 0) throw notOverlaid(unknown[0]!, changed);
      for (const id of ids ?? changed) overlay?.set(id, undefined);
      await overlay?.save();
      const outcome = await this.#converge();
      this.runtime.emitEvent('settings-reloaded', undefined, `the overlay was reset; ${convergenceText(outcome)}`);
    });
  }

  #converge(): Promise<Convergence> {
    const actions: StreamActions = {
      alone: (id, run) => this.#gate.alone(id, run),
      now: (id) => this.#currentOf(id),
      wanted: (id) => this.#settings.wantedOf(id),
      start: async (stream) => this.#requireStarted(stream, await this.#start(stream)),
      change: async (stream) => {
        const { config } = stream;
        if (this.#starts.has(config.id)) {
          this.#requireStarted(stream, await this.#start(stream, (settings) => this.#starts.restart(settings)));
          return;
        }
        await this.streams.change(config.id, (current) => this.rules.replaced(current, config));
      },
      setPaused: (id, isPaused) => this.#setPaused(id, isPaused),
      remove: async (id) => {
        if (!(await this.#starts.remove(id))) await this.streams.remove(id);
      },
      onSettled: (id) => this.#settings.follow(id),
    };
    const wanted = this.#settings.wanted.streams.map(({ config }) => config.id);
    const others = this.#current().flatMap(({ config: { id } }) => (wanted.includes(id) ? [] : [id]));
    // What is removed makes room for the others.
    return convergeStreams(actions, [...others, ...wanted], systemClock);
  }

  /** A stream that could not be started is in the list with its new settings, so it has followed the file. */
  #requireStarted({ config }: WantedStream, failure: SightlineError | null): void {
    if (failure === null) return;
    this.#settings.follow(config.id);
    throw failure;
  }

  /** A stream that has ended meanwhile stays as it is. */
  async #setPaused(id: string, isPaused: boolean): Promise<void> {
    const operation = isPaused ? 'pause' : 'resume';
    if ((await this.#starts[operation](id)) !== null) return;
    await this.streams[operation](id).catch((error: unknown) => {
      if (!(error instanceof SightlineError) || error.code !== 'STREAM_STATE') throw error;
    });
  }

  #current(): WantedStream[] {
    const running = this.runtime.streams.map((stream) => ({
      config: this.streams.orderedConfig(stream),
      isPaused: stream.state === 'pausing' || stream.state === 'paused',
    }));
    return [...running, ...this.#starts.settings];
  }

  #currentOf(id: string): WantedStream | null {
    return this.#current().find(({ config }) => config.id === id) ?? null;
  }

  #onOverlayTrouble(problem: string | null): void {
    if (problem === null) this.runtime.emitEvent('overlay-recovered', undefined, 'changes of streams are kept again');
    else
      this.runtime.emitEvent(
        'overlay-failed',
        undefined,
        `${problem}; changes of streams take effect, but they will be lost at a restart`,
      );
  }

  report(): ReturnType<Runtime['report']> {
    return this.#withSinks(this.runtime.report());
  }

  #withSinks(report: RuntimeReport): RuntimeReport {
    // A stream that is started later, or took longer, keeps its place.
    const streams = [...report.streams, ...this.#starts.reports].toSorted(
      (a, b) => this.#placeOf(a.id) - this.#placeOf(b.id),
    );
    return { ...report, streams, host: { ...report.host, sinks: this.#sinks.reports } };
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
    const failing = this.#starts.failing.toSorted((a, b) => this.#placeOf(a) - this.#placeOf(b));
    const reason = problem ?? (failing.length === 0 ? null : `failed at the start: ${failing.join(', ')}`);
    return own.isReady && reason !== null ? { isReady: true, isDegraded: true, reason } : own;
  }

  /** What the placeholders of the pipeline file, as it is now, stand for. */
  get placeholders(): PipelineConfig['placeholders'] {
    return this.#settings.file.placeholders;
  }

  /** Why streams could not be started, by id. */
  get startErrors(): ReadonlyMap<string, SightlineError> {
    return this.#starts.errors;
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
    await this.#starts.close();
    return this.runtime.stop();
  }

  streamSettings(id: string): TaggedSettings {
    const found = this.#currentOf(id);
    // Throws with the known ids.
    const settings = found?.config ?? this.runtime.stream(id).config;
    return { settings, tag: this.#tagOf(settings) };
  }

  pipeline(): PipelineReport {
    return this.#settings.report(this.#current());
  }

  keepingProblem(): string | null {
    return this.#settings.problem;
  }

  async addStream(stream: unknown): Promise<StreamReport> {
    const config = await this.rules.added(stream);
    if (this.#starts.has(config.id))
      throw new SightlineError(
        'STREAM_EXISTS',
        `a stream "${config.id}" exists and could not be started; change or remove it, or choose another id`,
      );
    return this.#operate(config.id, () => this.streams.add(config));
  }

  async testSource(
    request: unknown,
    configOf = (id: string): StreamConfig | null => this.#currentOf(id)?.config ?? null,
  ): Promise<SourceTest> {
    return this.streams.test(await this.rules.tested(request, configOf));
  }

  changeStream(id: string, request: unknown, { isWhole = false, check }: ChangeOptions = {}): Promise<StreamReport> {
    const next = (current: StreamConfig): Promise<StreamConfig> => {
      check?.(this.#tagOf(current));
      return isWhole ? this.rules.rewritten(current, request) : this.rules.changed(current, request);
    };
    return this.#operate(
      id,
      async () => (await this.#starts.change(id, next)) ?? (await this.streams.change(id, next)),
    );
  }

  pauseStream(id: string): Promise<StreamReport> {
    return this.#operate(id, async () => (await this.#starts.pause(id)) ?? (await this.streams.pause(id)));
  }

  resumeStream(id: string): Promise<StreamReport> {
    return this.#operate(id, async () => (await this.#starts.resume(id)) ?? (await this.streams.resume(id)));
  }

  async removeStream(id: string, check?: TagCheck): Promise<void> {
    const checked = (current: StreamConfig): void => check?.(this.#tagOf(current));
    await this.#gate.pass(id, async () => {
      if (!(await this.#starts.remove(id, checked))) await this.streams.remove(id, checked);
      await this.#keep(id);
    });
  }

  /** Runs a client's operation on a stream, and keeps what it has changed. */
  #operate(id: string, run: () => Promise<RuntimeStream | StreamReport>): Promise<StreamReport> {
    return this.#gate.pass(id, async () => {
      const done = await run();
      await this.#keep(id);
      return done instanceof RuntimeStream ? this.runtime.streamReport(done) : done;
    });
  }

  #keep(id: string): Promise<void> {
    return this.#settings.keep(id, this.#currentOf(id));
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
    const early = this.#early.events ?? [];
    this.#early.events = null;
    for (const event of early) this.runtime.events.emit(event);
    return remove;
  }

  onPreview(listener: Parameters<Runtime['previews']['add']>[0]): () => void {
    return this.runtime.previews.add(listener);
  }

  watchPreviews(streamIds: ReadonlySet<string>): void {
    this.runtime.watchPreviews(streamIds);
  }
}

function notOverlaid(id: string, changed: readonly string[]): SightlineError {
  return new SightlineError(
    'STREAM_NOT_FOUND',
    `the overlay changes no stream "${id}"; it changes ${changed.join(', ') || 'none'}`,
    { id },
  );
}
