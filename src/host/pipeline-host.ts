import { check } from '../config/check.ts';
import type { Environment } from '../config/environment.ts';
import { parseStream } from '../config/load-pipeline.ts';
import type { PipelineConfig } from '../config/pipeline.ts';
import { type StreamConfig, streamConfig } from '../config/stream.ts';
import { findFfmpeg } from '../decode/ffmpeg-binary.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { Incidents } from '../flow/incidents.ts';
import type { StreamReport } from '../protocol/report.ts';
import { loadConfigured } from '../runtime/model/load-detector.ts';
import { openRuntime } from '../runtime/open-runtime.ts';
import { openSinks, sinkId } from '../runtime/results/open-sinks.ts';
import { openVideoSink } from '../runtime/results/open-video-sink.ts';
import type { ResultSinks } from '../runtime/results/result-sinks.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { RuntimeStream } from '../runtime/stream/runtime-stream.ts';
import { resolveStreamInput } from '../runtime/stream/stream-input.ts';
import type { StreamInput, StreamLease } from '../runtime/stream/stream-port.ts';
import { countOf } from '../sinks/sink-failure.ts';
import { modelSpec } from '../store/manifests.ts';
import { demoSource } from './demo-source.ts';

/** Settings that a running stream applies without a new connection. */
const TUNABLE: ReadonlySet<string> = new Set(['priority', 'weight', 'queueSize', 'maxAgeMs', 'target']);

export interface HostContext {
  readonly environment: Environment;
  readonly stdout: NodeJS.WritableStream;
  readonly onNotice: (text: string) => void;
  /** Checks a source that is added after the start, over REST. Rejects with SOURCE_FORBIDDEN if it is not allowed. */
  readonly admit: (source: string) => Promise<void>;
  /** Counts exceptions of listeners; if absent, they are reported as notices. */
  readonly incidents?: Incidents;
}

/**
 * A running pipeline: the runtime with the streams and sinks of a configuration, and the operator's actions on it.
 * Implements the gateway's `RuntimePort`.
 */
export class PipelineHost {
  readonly runtime: Runtime;
  readonly #config: PipelineConfig;
  readonly #environment: Environment;
  readonly #onNotice: (text: string) => void;
  readonly #admit: (source: string) => Promise<void>;
  /** Settings as the user wrote them. A patch is merged into these, then defaults are applied again. */
  readonly #written = new Map<string, StreamConfig>();
  readonly #sinks: ResultSinks;
  /** Picture size of each stream with a video sink. */
  readonly #videoSizes = new Map<string, { readonly width: number; readonly height: number }>();
  #demoClip: Promise<string> | null = null;
  /** Ids of streams that are being added. */
  readonly #busy = new Set<string>();

  private constructor(
    runtime: Runtime,
    config: PipelineConfig,
    sinks: ResultSinks,
    { environment, onNotice, admit }: HostContext,
  ) {
    this.runtime = runtime;
    this.#sinks = sinks;
    this.#config = config;
    this.#environment = environment;
    this.#onNotice = onNotice;
    this.#admit = admit;
  }

  /**
   * Opens everything except the streams: ffmpeg, model, engine, threads, sinks.
   *
   * @throws SINK_BUSY, and what `openRuntime` throws.
   */
  static async open(config: PipelineConfig, context: HostContext): Promise<PipelineHost> {
    const { environment, stdout, onNotice, incidents } = context;
    const ffmpeg = await findFfmpeg({ path: environment.ffmpegPath, searchPath: environment.searchPath });
    const { classes } = modelSpec(await loadConfigured(config.model, environment));
    let runtime: Runtime | null = null;
    const sinks = await openSinks(config.sinks, {
      classes,
      stdout,
      onFailure: ({ message, code }) =>
        runtime === null
          ? onNotice(`error: ${message} [${code}]`)
          : runtime.emitEvent('sink-failed', undefined, message, { code }),
      onRecovery: (id, lost) => {
        const text = `sink ${id} delivers again${lost === 0 ? '' : `; ${countOf(lost)} lost`}`;
        runtime?.emitEvent('sink-recovered', undefined, text, { id });
      },
      onNotice,
    });
    try {
      runtime = await openRuntime({ ...config, sinks, ffmpeg, environment, onNotice, incidents });
    } catch (error) {
      await sinks.close();
      throw error;
    }
    return new PipelineHost(runtime, config, sinks, context);
  }

  /**
   * Adds the pipeline's streams. A stream that cannot be opened (a missing file) is reported and skipped; if none can
   * be opened, the first error is thrown.
   */
  async start(): Promise<void> {
    const failures: SightlineError[] = [];
    const { streams } = this.#config;
    for (const stream of streams) {
      await this.#add(stream).catch((error: unknown) => failures.push(SightlineError.from(error, 'SOURCE_UNREADABLE')));
    }
    if (failures.length > 0 && failures.length === streams.length) throw failures[0]!;
    for (const failure of failures) this.#onNotice(`error: ${failure.message} [${failure.code}]`);
  }

  report(): ReturnType<Runtime['report']> {
    return this.runtime.report();
  }

  readiness(): { isReady: boolean; reason: string } {
    return this.runtime.readiness();
  }

  /** @param lease - lease under which its results are published; absent if the stream does not belong to a fleet. */
  async addStream(stream: unknown, lease?: StreamLease): Promise<StreamReport> {
    const config = parseStream(stream, this.#config.defaults);
    await this.#admit(config.source);
    return this.#reportOf(await this.#add(config, lease));
  }

  /** Batching settings and targets change immediately; for anything else the stream is opened again. */
  async changeStream(id: string, patch: unknown): Promise<StreamReport> {
    const stream = this.runtime.stream(id);
    if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) {
      throw new SightlineError(
        'CONFIG_INVALID',
        `stream "${id}": expected an object with the settings to change, received ${JSON.stringify(patch)}`,
      );
    }
    const next = check(streamConfig, { ...this.#written.get(id), ...patch }, `stream "${id}"`);
    if (next.id !== id)
      throw new SightlineError(
        'CONFIG_INVALID',
        `stream "${id}": id: expected the same id, received "${next.id}"; add a new stream instead`,
      );
    if (next.source !== this.#written.get(id)?.source) await this.#admit(next.source);
    if (Object.keys(patch).every((key) => TUNABLE.has(key))) {
      this.runtime.retune(stream, next);
      this.#written.set(id, next);
      return this.#reportOf(stream);
    }
    const input = await this.#input(next, stream.input.lease);
    await this.runtime.remove(id);
    this.#written.set(id, next);
    return this.#reportOf(this.runtime.add(next, input));
  }

  async pauseStream(id: string): Promise<StreamReport> {
    const stream = this.runtime.stream(id);
    await stream.pause();
    return this.#reportOf(stream);
  }

  async resumeStream(id: string): Promise<StreamReport> {
    const stream = this.runtime.stream(id);
    stream.resume();
    return this.#reportOf(stream);
  }

  async removeStream(id: string): Promise<void> {
    await this.runtime.remove(id);
    this.#written.delete(id);
  }

  onReport(listener: Parameters<Runtime['reports']['add']>[0]): () => void {
    return this.runtime.reports.add(listener);
  }

  onPublished(listener: Parameters<Runtime['published']['add']>[0]): () => void {
    return this.runtime.published.add(listener);
  }

  onEvent(listener: Parameters<Runtime['events']['add']>[0]): () => void {
    return this.runtime.events.add(listener);
  }

  onPreview(listener: Parameters<Runtime['previews']['add']>[0]): () => void {
    return this.runtime.previews.add(listener);
  }

  watchPreviews(streamIds: ReadonlySet<string>): void {
    this.runtime.watchPreviews(streamIds);
  }

  async #add(config: StreamConfig, lease?: StreamLease): Promise<RuntimeStream> {
    if (this.#busy.has(config.id))
      throw new SightlineError('STREAM_EXISTS', `a stream "${config.id}" is already being added`);
    this.#busy.add(config.id);
    try {
      const input = await this.#input(config, lease);
      await this.#openVideo(config, input);
      const stream = this.runtime.add(config, input);
      this.#written.set(config.id, config);
      return stream;
    } finally {
      this.#busy.delete(config.id);
    }
  }

  async #input(config: StreamConfig, lease?: StreamLease): Promise<StreamInput> {
    const isDemo = config.source === 'demo';
    const source = isDemo ? await this.#demo() : config.source;
    const resolved = isDemo ? { ...config, source, loop: true, realtime: true } : config;
    const input = await resolveStreamInput(
      resolved,
      this.runtime.ffmpeg,
      this.#pictureNeed(config.id),
      this.runtime.spec,
    );
    const picture = this.#videoSizes.get(config.id) ?? input.picture;
    return lease === undefined ? { ...input, picture } : { ...input, picture, lease };
  }

  /** Makes the clip once for all streams. A failure is not cached, since the network may work the next time. */
  #demo(): Promise<string> {
    this.#demoClip ??= demoSource(this.runtime.ffmpeg, this.#environment, this.#onNotice).catch((error: unknown) => {
      this.#demoClip = null;
      throw error;
    });
    return this.#demoClip;
  }

  /**
   * Opens a stream's annotated video when the stream is added first. It continues, in the same size, when the stream is
   * opened again.
   */
  async #openVideo(config: StreamConfig, { picture, policy }: StreamInput): Promise<void> {
    const index = this.#config.sinks.findIndex((sink) => sink.type === 'video' && sink.streams.includes(config.id));
    const sink = this.#config.sinks[index];
    if (sink?.type !== 'video' || picture === null || this.#videoSizes.has(config.id)) return;
    const id = sinkId(sink, index);
    const video = await openVideoSink({
      id,
      path: sink.path,
      keepsEarlier: true,
      ffmpeg: this.runtime.ffmpeg,
      picture,
      policy,
      overlay: config,
      counts: () => this.runtime.stream(config.id).counts,
      onFailure: ({ message, code }) => this.runtime.emitEvent('sink-failed', config.id, message, { code }),
      onRecovery: (lost) => {
        const text = `sink ${id} continues in a new file; ${lost} pictures were lost`;
        this.runtime.emitEvent('sink-recovered', config.id, text, { id });
      },
      onNotice: (text) => this.runtime.emitEvent('stream-warning', config.id, text),
    });
    this.#videoSizes.set(config.id, picture);
    this.#sinks.addPictureSink(config.id, video);
  }

  #pictureNeed(id: string): { maxWidth: number | null } | null {
    if (this.#config.sinks.some((sink) => sink.type === 'video' && sink.streams.includes(id)))
      return { maxWidth: null };
    return this.#config.preview.picture === 'source' ? { maxWidth: this.#config.preview.width } : null;
  }

  #reportOf(stream: RuntimeStream): StreamReport {
    return this.runtime.streamReport(stream);
  }
}
