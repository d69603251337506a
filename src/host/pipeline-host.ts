import { join } from 'node:path';
import type { Environment } from '../config/environment.ts';
import type { PipelineConfig } from '../config/pipeline.ts';
import type { StreamConfig } from '../config/stream.ts';
import { StreamRules } from '../control/orders/stream-rules.ts';
import { systemClock } from '../core/clock.ts';
import { openFfmpeg } from '../decode/ffmpeg-binary.ts';
import { DiskProbe } from '../disk/disk-probe.ts';
import { readAuthorities } from '../disk/read-authorities.ts';
import { type ErrorDetails, SightlineError } from '../errors/sightline-error.ts';
import type { Incidents } from '../flow/incidents.ts';
import type { Readiness, RuntimePort } from '../gateway/runtime-port.ts';
import type { EventKind, EventMessage } from '../protocol/feed.ts';
import type { StreamReport } from '../protocol/report.ts';
import { loadConfigured } from '../runtime/model/load-detector.ts';
import { openRuntime } from '../runtime/open-runtime.ts';
import { openSinks } from '../runtime/results/open-sinks.ts';
import type { ResultSinks } from '../runtime/results/result-sinks.ts';
import type { Runtime, RuntimeReport } from '../runtime/runtime.ts';
import { RuntimeStream } from '../runtime/stream/runtime-stream.ts';
import type { Sink } from '../sinks/sink.ts';
import { countOf } from '../sinks/sink-failure.ts';
import { modelSpec } from '../store/manifests.ts';
import { FailedStarts } from './failed-starts.ts';
import { HostStreams, type HostStreamsOptions } from './host-streams.ts';

export interface HostContext {
  readonly environment: Environment;
  readonly stdout: NodeJS.WritableStream;
  readonly onNotice: (text: string) => void;
  /**
   * Checks a source that comes over REST or in an order of a fleet, not from the pipeline file. Rejects with
   * SOURCE_FORBIDDEN if it is not allowed.
   */
  readonly admit: (source: string) => Promise<void>;
  /**
   * Sources that no rule binds, because the owner named them. Read at each start of a source; default: those of the pipeline file.
   */
  readonly ownSources?: ReadonlySet<string>;
  /** Counts exceptions of listeners; if absent, they are reported as notices. */
  readonly incidents?: Incidents;
}

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
  readonly #config: PipelineConfig;
  readonly #disk: DiskProbe;
  readonly #sinks: ResultSinks;
  readonly #early: EarlyEvents;
  readonly #starts: FailedStarts<RuntimeStream>;
  /** Of each stream of the pipeline file, by its id. */
  readonly #places: ReadonlyMap<string, number>;

  private constructor(
    runtime: Runtime,
    config: PipelineConfig,
    sinks: ResultSinks,
    { environment, onNotice, admit, ownSources = new Set(config.streams.map(({ source }) => source)) }: HostContext,
    early: EarlyEvents,
    authorities: string | null,
  ) {
    this.runtime = runtime;
    this.#sinks = sinks;
    this.#early = early;
    const accessOf = accessRules(config, authorities, ownSources);
    this.streams = new HostStreams({ runtime, config, sinks, environment, onNotice, limits: config.limits, accessOf });
    this.rules = new StreamRules({ defaults: config.defaults, admit: ({ source }) => admit(source) });
    this.#starts = new FailedStarts({
      clock: systemClock,
      add: (stream) => this.streams.add(stream, undefined, true),
      onEvent: (kind, id, message, details) => runtime.emitEvent(kind, id, message, details),
    });
    this.#config = config;
    this.#places = new Map(config.streams.map(({ id }, i) => [id, i]));
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
  static async open(config: PipelineConfig, context: HostContext): Promise<PipelineHost> {
    const { environment, stdout, onNotice, incidents } = context;
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
    const sinks = await openSinks(config.sinks, {
      classes,
      stdout,
      spoolFolder: join(environment.cacheDir, 'spool', safeName(config.name)),
      onFailure: ({ message, code, details }) => report('sink-failed', message, { ...details, code }),
      onRecovery: (id, lost) => {
        const text = `sink ${id} delivers again${lost === 0 ? '' : `; ${countOf(lost)} lost`}`;
        report('sink-recovered', text, { id, lostResults: lost });
      },
      onNotice: (text) => report('sink-notice', text, {}),
    });
    try {
      runtime = await openRuntime({ ...config, sinks, ffmpeg, environment, onNotice, incidents });
    } catch (error) {
      sinks.markCutShort();
      await sinks.close();
      throw error;
    }
    return new PipelineHost(runtime, config, sinks, context, early, authorities);
  }

  /**
   * Adds the pipeline's streams. One that cannot be opened (a missing file) is reported as failed and tried again, see
   * `FailedStarts`; if none can be opened, the first error is thrown.
   */
  async start(): Promise<void> {
    const failures: SightlineError[] = [];
    const { streams } = this.#config;
    for (const stream of streams) {
      const failure = await this.#starts.start(stream);
      if (failure !== null) failures.push(failure);
    }
    if (failures.length > 0 && failures.length === streams.length) throw failures[0]!;
  }

  report(): ReturnType<Runtime['report']> {
    return this.#withSinks(this.runtime.report());
  }

  #withSinks(report: RuntimeReport): RuntimeReport {
    // A stream that is started later keeps its place: those of the pipeline file come first, in its order.
    const placeOf = ({ id }: StreamReport): number => this.#places.get(id) ?? this.#places.size;
    const streams = [...report.streams, ...this.#starts.reports].toSorted((a, b) => placeOf(a) - placeOf(b));
    return { ...report, streams, host: { ...report.host, sinks: this.#sinks.reports } };
  }

  readiness(): Readiness {
    const { stalledMs } = this.#disk;
    if (stalledMs !== null)
      return { isReady: false, reason: `the file system has not answered for ${Math.round(stalledMs / 1000)} s` };
    const own = this.runtime.readiness();
    const { problem } = this.#sinks;
    const failing = this.#starts.failing;
    const reason = problem ?? (failing.length === 0 ? null : `failed at the start: ${failing.join(', ')}`);
    return own.isReady && reason !== null ? { isReady: true, isDegraded: true, reason } : own;
  }

  /** True while a stream that could not be started is tried again. */
  get isStarting(): boolean {
    return this.#starts.failing.length > 0;
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

  async addStream(stream: unknown): Promise<StreamReport> {
    const config = await this.rules.added(stream);
    if (this.#starts.has(config.id))
      throw new SightlineError(
        'STREAM_EXISTS',
        `a stream "${config.id}" exists and could not be started; change or remove it, or choose another id`,
      );
    return this.#reportOf(await this.streams.add(config));
  }

  async changeStream(id: string, patch: unknown): Promise<StreamReport> {
    const next = (current: StreamConfig): Promise<StreamConfig> => this.rules.changed(current, patch);
    return this.#reportOf((await this.#starts.change(id, next)) ?? (await this.streams.change(id, next)));
  }

  async pauseStream(id: string): Promise<StreamReport> {
    return this.#reportOf((await this.#starts.pause(id)) ?? (await this.streams.pause(id)));
  }

  async resumeStream(id: string): Promise<StreamReport> {
    return this.#reportOf((await this.#starts.resume(id)) ?? (await this.streams.resume(id)));
  }

  async removeStream(id: string): Promise<void> {
    if (!(await this.#starts.remove(id))) await this.streams.remove(id);
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

  /** @param stream - one that runs, or the report of one that could not be started. */
  #reportOf(stream: RuntimeStream | StreamReport): StreamReport {
    return stream instanceof RuntimeStream ? this.runtime.streamReport(stream) : stream;
  }
}

/** Returns a name of a pipeline as the name of a folder. */
function safeName(name: string): string {
  return encodeURIComponent(name).replaceAll('.', '%2E');
}

/** Returns what each source may open: the rules bind it and all that it leads to, unless the owner named it. */
function accessRules(
  { fleet }: PipelineConfig,
  authorities: string | null,
  ownSources: ReadonlySet<string>,
): HostStreamsOptions['accessOf'] {
  return (source) => {
    const { roots, networks } = ownSources.has(source) ? { roots: null, networks: null } : fleet;
    return { roots, networks, authorities, isTlsInsecure: false };
  };
}
