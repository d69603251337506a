import { isDeepStrictEqual } from 'node:util';
import type { Environment } from '../config/environment.ts';
import type { PipelineConfig } from '../config/pipeline.ts';
import type { StreamConfig } from '../config/stream.ts';
import type { StreamLease } from '../core/stream-lease.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { KeyedMutex } from '../flow/keyed-mutex.ts';
import { viewsOf } from '../geometry/views.ts';
import { sinkId } from '../runtime/results/open-sinks.ts';
import { openVideoSink } from '../runtime/results/open-video-sink.ts';
import type { ResultSinks } from '../runtime/results/result-sinks.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { RuntimeStream } from '../runtime/stream/runtime-stream.ts';
import { resolveStreamInput, tryInput } from '../runtime/stream/stream-input.ts';
import type { StreamInput } from '../runtime/stream/stream-port.ts';
import { demoSource } from './demo-source.ts';

/** Settings that a stream applies without a new connection. */
const TUNABLE: ReadonlySet<string> = new Set([
  ...['priority', 'weight', 'queueSize', 'maxAgeMs', 'target'],
  ...['track', 'zones', 'lines'],
]);

export interface HostStreamsOptions {
  readonly runtime: Runtime;
  readonly config: Pick<PipelineConfig, 'sinks' | 'preview'>;
  /** Gets a picture sink for each stream with an annotated video. */
  readonly sinks: ResultSinks;
  readonly environment: Environment;
  readonly onNotice: (text: string) => void;
}

/**
 * The life cycle of a host's streams on its runtime: add, change, pause, resume, remove. A pipeline file, REST and the
 * orders of a fleet all use it.
 *
 * Operations on one stream never interleave; each begins when the one before has ended. Only a pause that waits for its
 * last frames does not hold up others, so that a stream can be removed meanwhile.
 */
export class HostStreams {
  readonly #options: HostStreamsOptions;
  readonly #mutex = new KeyedMutex();
  /** Ids of streams that are being added. */
  readonly #adding = new Set<string>();
  /** Picture size of each stream with a video sink. */
  readonly #videoSizes = new Map<string, { readonly width: number; readonly height: number }>();
  #demoClip: Promise<string> | null = null;

  constructor(options: HostStreamsOptions) {
    this.#options = options;
  }

  /**
   * @param config - settings to apply as they are.
   * @param lease - lease under which its results are published; absent if the stream does not belong to a fleet.
   * @throws STREAM_EXISTS, SOURCE_*
   */
  async add(config: StreamConfig, lease?: StreamLease): Promise<RuntimeStream> {
    const { id } = config;
    if (this.#adding.has(id)) throw new SightlineError('STREAM_EXISTS', `a stream "${id}" is already being added`);
    this.#adding.add(id);
    try {
      return await this.#mutex.run(id, async () => {
        const input = await this.#input(config, lease);
        await this.#openVideo(config, input);
        return this.#runtime.add(config, input);
      });
    } finally {
      this.#adding.delete(id);
    }
  }

  /**
   * Batching settings, targets, tracker, zones and lines change immediately; for any other change the source is opened again,
   * under the same lease and with the same counts; another source is tried before. If that is impossible (a missing file), the
   * stream continues with its old settings.
   *
   * @param next - returns the new settings from the current ones, which no other change modifies meanwhile.
   * @throws STREAM_NOT_FOUND, SOURCE_*, and what `next` throws.
   */
  change(id: string, next: (current: StreamConfig) => Promise<StreamConfig>): Promise<RuntimeStream> {
    return this.#mutex.run(id, async () => {
      const stream = this.#runtime.stream(id);
      const config = await next(stream.config);
      if (!needsReopening(stream.config, config)) {
        this.#runtime.retune(stream, config);
        return stream;
      }
      const input = await this.#input(config, stream.input.lease);
      const isNewSource = input.source?.url !== stream.input.source?.url;
      if (isNewSource) await tryInput(input, this.#runtime.ffmpeg, config.openTimeoutMs);
      await this.#runtime.reopen(stream, config, input);
      return stream;
    });
  }

  /** Resolves when the stream is paused. @throws STREAM_NOT_FOUND, STREAM_STATE */
  async pause(id: string): Promise<RuntimeStream> {
    const { stream, paused } = await this.#mutex.run(id, async () => {
      const found = this.#runtime.stream(id);
      return { stream: found, paused: found.pause() };
    });
    await paused;
    return stream;
  }

  /** @throws STREAM_NOT_FOUND, STREAM_STATE */
  resume(id: string): Promise<RuntimeStream> {
    return this.#mutex.run(id, async () => {
      const stream = this.#runtime.stream(id);
      stream.resume();
      return stream;
    });
  }

  /** Resolves when the stream has stopped. @throws STREAM_NOT_FOUND */
  remove(id: string): Promise<void> {
    return this.#mutex.run(id, () => this.#runtime.remove(id));
  }

  get #runtime(): Runtime {
    return this.#options.runtime;
  }

  async #input(config: StreamConfig, lease?: StreamLease): Promise<StreamInput> {
    const isDemo = config.source === 'demo';
    const source = isDemo ? await this.#demo() : config.source;
    const resolved = isDemo ? { ...config, source, loop: true, realtime: true } : config;
    const input = await resolveStreamInput(
      resolved,
      this.#runtime.ffmpeg,
      this.#pictureNeed(config.id),
      this.#runtime.spec,
    );
    const picture = this.#videoSizes.get(config.id) ?? input.picture;
    return lease === undefined ? { ...input, picture } : { ...input, picture, lease };
  }

  /** Makes the clip once for all streams. A failure is not cached, since the network may work the next time. */
  #demo(): Promise<string> {
    const { environment, onNotice } = this.#options;
    this.#demoClip ??= demoSource(this.#runtime.ffmpeg, environment, onNotice).catch((error: unknown) => {
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
    const { config: pipeline, sinks } = this.#options;
    const index = pipeline.sinks.findIndex((sink) => sink.type === 'video' && sink.streams.includes(config.id));
    const sink = pipeline.sinks[index];
    if (sink?.type !== 'video' || picture === null || this.#videoSizes.has(config.id)) return;
    const id = sinkId(sink, index);
    const runtime = this.#runtime;
    const video = await openVideoSink({
      id,
      path: sink.path,
      keepsEarlier: true,
      ffmpeg: runtime.ffmpeg,
      picture,
      policy,
      overlay: config,
      counts: () => runtime.stream(config.id).counts,
      onFailure: ({ message, code }) => runtime.emitEvent('sink-failed', config.id, message, { code }),
      onRecovery: (lost) => {
        const text = `sink ${id} continues in a new file; ${lost} pictures were lost`;
        runtime.emitEvent('sink-recovered', config.id, text, { id });
      },
      onNotice: (text) => runtime.emitEvent('stream-warning', config.id, text),
    });
    this.#videoSizes.set(config.id, picture);
    sinks.addPictureSink(config.id, video);
  }

  #pictureNeed(id: string): { maxWidth: number | null } | null {
    const { sinks, preview } = this.#options.config;
    if (sinks.some((sink) => sink.type === 'video' && sink.streams.includes(id))) return { maxWidth: null };
    return preview.picture === 'source' ? { maxWidth: preview.width } : null;
  }
}

function needsReopening(before: StreamConfig, after: StreamConfig): boolean {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof StreamConfig>;
  const isChanged = (key: keyof StreamConfig): boolean => !isDeepStrictEqual(before[key], after[key]);
  // With `region: zones` the zones decide what ffmpeg cuts out.
  return (
    [...keys].some((key) => !TUNABLE.has(key) && isChanged(key)) || !isDeepStrictEqual(viewsOf(before), viewsOf(after))
  );
}
