import type { Environment } from '../config/environment.ts';
import type { PipelineConfig } from '../config/pipeline.ts';
import { StreamRules } from '../control/orders/stream-rules.ts';
import { openFfmpeg } from '../decode/ffmpeg-binary.ts';
import { DiskProbe } from '../disk/disk-probe.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { Incidents } from '../flow/incidents.ts';
import type { RuntimePort } from '../gateway/runtime-port.ts';
import type { StreamReport } from '../protocol/report.ts';
import { loadConfigured } from '../runtime/model/load-detector.ts';
import { openRuntime } from '../runtime/open-runtime.ts';
import { openSinks } from '../runtime/results/open-sinks.ts';
import type { ResultSinks } from '../runtime/results/result-sinks.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { RuntimeStream } from '../runtime/stream/runtime-stream.ts';
import { countOf } from '../sinks/sink-failure.ts';
import { modelSpec } from '../store/manifests.ts';
import { HostStreams } from './host-streams.ts';

export interface HostContext {
  readonly environment: Environment;
  readonly stdout: NodeJS.WritableStream;
  readonly onNotice: (text: string) => void;
  /**
   * Checks a source that comes over REST or in an order of a fleet, not from the pipeline file. Rejects with
   * SOURCE_FORBIDDEN if it is not allowed.
   */
  readonly admit: (source: string) => Promise<void>;
  /** Counts exceptions of listeners; if absent, they are reported as notices. */
  readonly incidents?: Incidents;
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
  readonly #onNotice: (text: string) => void;
  readonly #disk: DiskProbe;

  private constructor(
    runtime: Runtime,
    config: PipelineConfig,
    sinks: ResultSinks,
    { environment, onNotice, admit }: HostContext,
  ) {
    this.runtime = runtime;
    this.streams = new HostStreams({ runtime, config, sinks, environment, onNotice, limits: config.limits });
    this.rules = new StreamRules({ defaults: config.defaults, admit: ({ source }) => admit(source) });
    this.#config = config;
    this.#onNotice = onNotice;
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
   * @throws SINK_BUSY, and what `openRuntime` throws.
   */
  static async open(config: PipelineConfig, context: HostContext): Promise<PipelineHost> {
    const { environment, stdout, onNotice, incidents } = context;
    const ffmpeg = await openFfmpeg(environment, onNotice, config.decoder);
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
      sinks.markCutShort();
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
      await this.streams
        .add(stream)
        .catch((error: unknown) => failures.push(SightlineError.from(error, 'SOURCE_UNREADABLE')));
    }
    if (failures.length > 0 && failures.length === streams.length) throw failures[0]!;
    for (const failure of failures) this.#onNotice(`error: ${failure.message} [${failure.code}]`);
  }

  report(): ReturnType<Runtime['report']> {
    return this.runtime.report();
  }

  readiness(): { isReady: boolean; reason: string } {
    const { stalledMs } = this.#disk;
    if (stalledMs === null) return this.runtime.readiness();
    return { isReady: false, reason: `the file system has not answered for ${Math.round(stalledMs / 1000)} s` };
  }

  /** Stops the streams and ends all threads. @returns what could not be written. */
  stop(): ReturnType<Runtime['stop']> {
    this.#disk.close();
    return this.runtime.stop();
  }

  async addStream(stream: unknown): Promise<StreamReport> {
    return this.#reportOf(await this.streams.add(await this.rules.added(stream)));
  }

  async changeStream(id: string, patch: unknown): Promise<StreamReport> {
    return this.#reportOf(await this.streams.change(id, (current) => this.rules.changed(current, patch)));
  }

  async pauseStream(id: string): Promise<StreamReport> {
    return this.#reportOf(await this.streams.pause(id));
  }

  async resumeStream(id: string): Promise<StreamReport> {
    return this.#reportOf(await this.streams.resume(id));
  }

  removeStream(id: string): Promise<void> {
    return this.streams.remove(id);
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

  #reportOf(stream: RuntimeStream): StreamReport {
    return this.runtime.streamReport(stream);
  }
}
