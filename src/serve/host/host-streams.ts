import { openVideoSink } from '../../after/sinks/open-video-sink.ts';
import type { ResultSinks } from '../../after/sinks/result-sinks.ts';
import { sinkId } from '../../after/sinks/sink-kinds.ts';
import { inputKey, type ModelSpec } from '../../base/core/model.ts';
import { redact } from '../../base/core/redact.ts';
import { FREE_ACCESS } from '../../base/core/source.ts';
import type { StreamLease } from '../../base/core/stream-lease.ts';
import { recordingDigest } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { KeyedMutex } from '../../base/flow/keyed-mutex.ts';
import { withChanges } from '../../fleet/control/rollout/stream-changes.ts';
import { testSource } from '../../frame/decode/test-source.ts';
import { LOOKED_AT_WIDTH } from '../../frame/runtime/load-stages.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import { type Arrangement, laneKey, pixelKey } from '../../frame/runtime/stream/arrangement.ts';
import type { PictureFeed } from '../../frame/runtime/stream/picture-feed.ts';
import type { RuntimeStream } from '../../frame/runtime/stream/runtime-stream.ts';
import {
  type PictureNeed,
  requireReadable,
  resolveStreamInput,
  tryInput,
} from '../../frame/runtime/stream/stream-input.ts';
import type { BulkWork, StreamInput } from '../../frame/runtime/stream/stream-port.ts';
import { withOpenSource } from '../../frame/source/open/open-source.ts';
import { demoClip } from '../../network/store/package-root.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { LimitsConfig } from '../../settings/config/limits.ts';
import { type Placeholders, sourceText } from '../../settings/config/placeholders.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { SideObservation, StreamChanges } from '../../wire/protocol/rollout-records.ts';
import type { SourceTest } from '../../wire/protocol/source-test.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import type { HostStages } from './host-stages.ts';
import type { NamedModels } from './named-models.ts';
import type { WantedStream } from './overlay/overlay.ts';
import { PUSHED, pushPolicy, requirePushable } from './push-source.ts';
import type { SourceRules } from './source-rules.ts';
import { requireRoom } from './stream-limits.ts';

/** Pictures that two models share are this many times as wide as the wider input, so that resizing twice costs no detail. */
const SHARED_PICTURE_SCALE = 2;

const MOST_TEST_MS = 15_000;

/** A version of a roll-out, as a stream uses it. */
export interface StreamVersion {
  /** Name of the loaded model. */
  readonly instance: string;
  readonly changes: StreamChanges | undefined;
  /** The detector that it is a version of, as `model` of a stream names it. */
  readonly detector?: string | undefined;
}

/** What the version of a stream changes on it, and the one beside it. */
interface VersionChanges {
  readonly own?: StreamChanges | undefined;
  readonly beside?: StreamChanges | undefined;
}

export interface LaneComparison {
  /** A stream can go from one version to the other, and back, without opening its source again. */
  readonly isInPlace: boolean;
  /** Frames made for one version show what the other one would see, so both can infer them. */
  readonly isSamePicture: boolean;
  /** How the rate of the second version differs from that of the first one on purpose; null if it does not. */
  readonly pace: NonNullable<SideObservation['pace']> | null;
}

export interface HostStreamsOptions {
  readonly runtime: Runtime;
  readonly config: Pick<PipelineConfig, 'sinks' | 'preview'>;
  /** Gets a picture sink for each stream with an annotated video. */
  readonly sinks: ResultSinks;
  readonly environment: Environment;
  readonly onNotice: (text: string) => void;
  /** What the host accepts at most; absent: any number of streams. */
  readonly limits?: LimitsConfig;
  /** What a source may open. */
  readonly sourceRules: Pick<SourceRules, 'accessOf'>;
  /** The detectors that streams name; absent: they use the pipeline's own. */
  readonly models?: Pick<NamedModels, 'instanceOf'>;
  /** The one that a stream uses now; absent: `model` of its settings. */
  readonly modelOf?: (config: StreamConfig) => string | undefined;
  /** Which second stages look at the objects of a stream; absent: there are none. */
  readonly stages?: Pick<HostStages, 'appliedTo' | 'requireKnown'>;
  /** Sources of the pipeline file, as it is now, that have placeholders, see `sourceText`. */
  readonly placeholders?: () => Placeholders['sources'] | undefined;
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
  /** Settings of each stream as they were ordered, before a version changed them. */
  readonly #ordered = new WeakMap<RuntimeStream, StreamConfig>();
  readonly #versions = new WeakMap<RuntimeStream, VersionChanges>();
  /** For new streams, by the name of their detector. */
  readonly #newChanges = new Map<string | undefined, StreamChanges | undefined>();
  /** Picture size of each stream with a video sink. */
  readonly #videoSizes = new Map<string, { readonly width: number; readonly height: number }>();
  #isTesting = false;

  constructor(options: HostStreamsOptions) {
    this.#options = options;
  }

  /**
   * @param config - settings to apply as they are.
   * @param lease - lease under which its results are published; absent if the stream does not belong to a fleet.
   * @param probeFirst - reads the first frame of a file before; otherwise a file that is no video fails after it was added.
   * @throws STREAM_EXISTS, LIMIT_REACHED, SOURCE_*
   */
  add(config: StreamConfig, lease?: StreamLease, probeFirst = false): Promise<RuntimeStream> {
    return this.#add(config, async (applied, instance) => {
      const input = await this.#input(applied, lease, this.#runtime.specOf(instance));
      if (probeFirst) await requireReadable(input, this.#runtime.ffmpeg, applied.openTimeoutMs);
      return input;
    });
  }

  /**
   * Adds a stream whose pictures the program itself hands over, each of which gives a result.
   *
   * @param bulk - gets the results, if no sink and no listener is to have them.
   * @throws STREAM_EXISTS, LIMIT_REACHED, CONFIG_INVALID
   */
  addPushed(config: StreamConfig, feed: PictureFeed, bulk?: BulkWork): Promise<RuntimeStream> {
    requirePushable(config);
    const input = { source: null, imagePaths: null, feed, label: PUSHED, picture: null, policy: pushPolicy(config) };
    if (bulk === undefined) return this.#add(config, async () => input);
    return this.#add(config, async () => ({ ...input, bulk }), true);
  }

  /** @param isBulk - its settings are its own, whatever a version changes on streams. */
  async #add(
    config: StreamConfig,
    inputOf: (applied: StreamConfig, instance: string) => Promise<StreamInput>,
    isBulk = false,
  ): Promise<RuntimeStream> {
    const { id } = config;
    const { limits } = this.#options;
    if (limits !== undefined)
      requireRoom(limits, this.#runtime.streams.length + this.#adding.size, process.availableMemory());
    if (this.#adding.has(id)) throw new SightlineError('STREAM_EXISTS', `a stream "${id}" is already being added`);
    this.#adding.add(id);
    try {
      return await this.#mutex.run(id, async () => {
        this.#options.stages?.requireKnown(config);
        const { chosen, instance } = await this.#firstModel(config);
        const own = isBulk ? undefined : this.#changesOf(chosen);
        const applied = isBulk ? config : this.#applied(chosen, own);
        const input = await inputOf(applied, instance);
        await this.#openVideo(applied, input);
        return this.#remember(this.#runtime.add(applied, input, instance), { own }, config);
      });
    } finally {
      this.#adding.delete(id);
    }
  }

  /**
   * What can change in place does: batching settings, targets, tracker, zones, lines, skipping, and the rate of a live source. For
   * any other change the source is opened again, and another source is tried before. Lease, run, counts, tracks and frame numbers
   * go on. If opening is impossible (a missing file), the stream continues with its old settings.
   *
   * @param next - returns the new settings from the current ones, which no other change modifies meanwhile.
   * @throws STREAM_NOT_FOUND, SOURCE_*, and what `next` throws.
   */
  change(id: string, next: (current: StreamConfig) => Promise<StreamConfig>): Promise<RuntimeStream> {
    return this.#mutex.run(id, async () => {
      const stream = this.#runtime.stream(id);
      const current = this.orderedConfig(stream);
      const ordered = await next(current);
      if (ordered !== current) this.#options.stages?.requireKnown(ordered);
      const chosen = this.#chosen(ordered);
      if (chosen.model !== stream.config.model) return this.#changeModel(stream, ordered);
      const versions = this.#versions.get(stream) ?? {};
      const config = this.#applied(chosen, versions.own);
      if (stream.input.feed !== undefined) requirePushable(config);
      const { instance, beside: before } = stream.arrangement;
      const beside = before === null ? null : { ...before, skip: withChanges(ordered, versions.beside).skip };
      const to = { config, instance, beside };
      if (stream.isInPlace(to)) {
        this.#runtime.retune(stream, to);
        return this.#remember(stream, versions, ordered);
      }
      const input = await this.#inputOf(stream, to);
      const isNewSource = input.source?.url !== stream.input.source?.url;
      if (isNewSource) await tryInput(input, this.#runtime.ffmpeg, config.openTimeoutMs);
      await this.#runtime.reopen(stream, config, input, { beside });
      return this.#remember(stream, versions, ordered);
    });
  }

  /** Moves a stream to another detector with its new settings, between two frames if the lane has to do nothing else. */
  async #changeModel(stream: RuntimeStream, ordered: StreamConfig): Promise<RuntimeStream> {
    const runtime = this.#runtime;
    const chosen = this.#chosen(ordered);
    const own = this.#changesOf(chosen);
    const config = this.#applied(chosen, own);
    const to: Arrangement = { config, instance: await this.#instanceOf(chosen), beside: null };
    if (stream.input.feed !== undefined) requirePushable(config);
    // It compares versions of the detector that the stream leaves.
    runtime.stopShadow(stream.id);
    const input = stream.isInPlace(to) ? stream.input : await this.#inputOf(stream, to);
    if (input.source?.url !== stream.input.source?.url) await tryInput(input, runtime.ffmpeg, config.openTimeoutMs);
    await runtime.rearrange(stream, to, input);
    return this.#remember(stream, { own }, ordered);
  }

  /** The detector that a new stream begins with: its own if that of its time cannot be loaded, which is tried again. */
  async #firstModel(config: StreamConfig): Promise<{ readonly chosen: StreamConfig; readonly instance: string }> {
    const chosen = this.#chosen(config);
    if (chosen === config) return { chosen, instance: await this.#instanceOf(config) };
    try {
      return { chosen, instance: await this.#instanceOf(chosen) };
    } catch {
      // `followModel` says why, at once.
      return { chosen: config, instance: await this.#instanceOf(config) };
    }
  }

  /** Moves a stream to the detector that it is to use now. @throws STREAM_NOT_FOUND, MODEL_*, SOURCE_* */
  followModel(id: string): Promise<void> {
    return this.#mutex.run(id, async () => {
      const stream = this.#runtime.stream(id);
      const ordered = this.orderedConfig(stream);
      if (this.#chosen(ordered).model !== stream.config.model) await this.#changeModel(stream, ordered);
    });
  }

  #chosen(config: StreamConfig): StreamConfig {
    const model = this.#options.modelOf === undefined ? config.model : this.#options.modelOf(config);
    return model === config.model ? config : { ...config, model };
  }

  #applied(ordered: StreamConfig, changes: StreamChanges | undefined): StreamConfig {
    const config = withChanges(ordered, changes);
    return this.#options.stages?.appliedTo(config) ?? config;
  }

  async #instanceOf({ model }: StreamConfig): Promise<string> {
    const { models } = this.#options;
    if (models !== undefined) return models.instanceOf(model);
    if (model === undefined) return this.#runtime.primary;
    throw new SightlineError('CONFIG_INVALID', `model: this program has no section models; received "${model}"`);
  }

  /** What a roll-out changes on a new stream. */
  #changesOf({ model }: StreamConfig): StreamChanges | undefined {
    return this.#newChanges.get(model);
  }

  /**
   * Opens the source of a stream again: what its placeholders stand for has changed.
   *
   * @throws STREAM_NOT_FOUND, SOURCE_*; the stream then goes on as before.
   */
  renew(id: string): Promise<void> {
    return this.#mutex.run(id, async () => {
      const stream = this.#runtime.stream(id);
      const input = await this.#inputOf(stream, stream.arrangement);
      await this.#runtime.reopen(stream, stream.config, input, {});
    });
  }

  /** Makes new streams with a detector begin with what a version of it changes. */
  setNewChanges(detector: string | undefined, changes: StreamChanges | undefined): void {
    this.#newChanges.set(detector, changes);
  }

  /**
   * Makes a version of a roll-out infer a stream with the settings that it changes, and another one some of its frames as well.
   * The source is opened again only if the lane has to do something else than before.
   *
   * @param beside - null if no other version infers its frames.
   * @returns false if the stream is not read now, so that its frames are not made for the other version: repeat it later.
   * @throws STREAM_NOT_FOUND, STREAM_STATE, SOURCE_*, MODEL_INCOMPATIBLE; the stream then goes on as before.
   */
  arrange(id: string, own: StreamVersion, beside: StreamVersion | null): Promise<boolean> {
    return this.#mutex.run(id, async () => {
      const runtime = this.#runtime;
      const stream = runtime.stream(id);
      const ordered = this.orderedConfig(stream);
      // The settings of a job are its own.
      const isBulk = stream.input.bulk !== undefined;
      // It has got another detector meanwhile.
      if (!isBulk && stream.config.model !== own.detector) return false;
      const config = isBulk ? ordered : this.#applied({ ...ordered, model: own.detector }, own.changes);
      const isRead = stream.isOpen || stream.state === 'pausing';
      const to: Arrangement = {
        config,
        instance: own.instance,
        beside:
          beside === null || isBulk || !isRead
            ? null
            : { instance: beside.instance, skip: withChanges(ordered, beside.changes).skip },
      };
      const specOf = (name: string): ModelSpec => runtime.specOf(name);
      const isSameLane = laneKey(stream.arrangement, specOf) === laneKey(to, specOf);
      const input = isSameLane ? stream.input : await this.#inputOf(stream, to);
      await runtime.rearrange(stream, to, input);
      this.#remember(stream, { own: own.changes, beside: beside?.changes }, ordered);
      return isRead || beside === null || isBulk;
    });
  }

  /** Compares what two versions need from the lane of a stream. */
  compareVersions(stream: RuntimeStream, a: StreamVersion, b: StreamVersion): LaneComparison {
    if (stream.input.bulk !== undefined) return { isInPlace: true, isSamePicture: true, pace: null };
    const ordered = this.orderedConfig(stream);
    const specOf = (name: string): ModelSpec => this.#runtime.specOf(name);
    const [first, second] = [this.#applied(ordered, a.changes), this.#applied(ordered, b.changes)];
    const onA = { config: first, instance: a.instance, beside: { instance: b.instance, skip: second.skip } };
    const onB = { config: second, instance: b.instance, beside: { instance: a.instance, skip: first.skip } };
    return {
      isInPlace: laneKey(onA, specOf) === laneKey(onB, specOf),
      isSamePicture: pixelKey(onA, specOf) === pixelKey(onB, specOf),
      pace: paceOf(first, second),
    };
  }

  /** The input of a stream that is opened again: large enough for both models if they differ. */
  async #inputOf(stream: RuntimeStream, { config, instance, beside }: Arrangement): Promise<StreamInput> {
    const { bulk, lease, feed } = stream.input;
    // Only its model changes, or what is done with pictures of the program.
    if (bulk !== undefined) return stream.input;
    if (feed !== undefined) return { ...stream.input, policy: pushPolicy(config) };
    const runtime = this.#runtime;
    const spec = runtime.specOf(instance);
    const other = beside === null ? spec : runtime.specOf(beside.instance);
    if (inputKey(spec) === inputKey(other)) return this.#input(config, lease, spec);
    const maxWidth = SHARED_PICTURE_SCALE * Math.max(spec.input.width, other.input.width);
    return this.#input(config, lease, spec, maxWidth);
  }

  /** Returns the settings of a stream as they were ordered, before a version changed them: another object after each change. */
  orderedConfig(stream: RuntimeStream): StreamConfig {
    return this.#ordered.get(stream) ?? stream.config;
  }

  /** As it was ordered, and whether it is paused; null if it does not run. */
  wantedOf(id: string): WantedStream | null {
    const stream = this.#runtime.find(id);
    if (stream === undefined) return null;
    return { config: this.orderedConfig(stream), isPaused: stream.state === 'pausing' || stream.state === 'paused' };
  }

  #remember(stream: RuntimeStream, versions: VersionChanges, ordered: StreamConfig): RuntimeStream {
    this.#ordered.set(stream, ordered);
    this.#versions.set(stream, versions);
    return stream;
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

  /** Resolves when the stream has stopped. @param check - throws if it must stay. @throws STREAM_NOT_FOUND */
  remove(id: string, check: (current: StreamConfig) => void = () => undefined): Promise<void> {
    return this.#mutex.run(id, async () => {
      check(this.orderedConfig(this.#runtime.stream(id)));
      await this.#runtime.remove(id);
    });
  }

  /**
   * Opens a source as a stream with these settings would, for a moment. One at a time, for at most 15 s until the first frame.
   *
   * @throws LIMIT_REACHED, SOURCE_*
   */
  async test(config: StreamConfig): Promise<SourceTest> {
    if (this.#isTesting)
      throw new SightlineError('LIMIT_REACHED', 'another source is being tested; try again in a few seconds');
    this.#isTesting = true;
    try {
      const { limits } = this.#options;
      if (limits !== undefined) requireRoom(limits, 0, process.availableMemory());
      const { ffmpeg } = this.#runtime;
      const { source } = await this.#resolved({ ...config, resizeBy: 'ffmpeg' }, null, {});
      const timeoutMs = Math.min(config.openTimeoutMs, MOST_TEST_MS);
      return await withOpenSource(source!, (opened) => testSource(ffmpeg, opened, timeoutMs));
    } finally {
      this.#isTesting = false;
    }
  }

  get #runtime(): Runtime {
    return this.#options.runtime;
  }

  /** @param sharedWidth - width of the pictures that two models share, each of which makes its input from them; 0 if none do. */
  async #input(
    config: StreamConfig,
    lease?: StreamLease,
    spec: ModelSpec = this.#runtime.spec,
    sharedWidth = 0,
  ): Promise<StreamInput> {
    const need = this.#pictureNeed(config);
    const shared = need?.maxWidth === null ? need : { maxWidth: Math.max(sharedWidth, need?.maxWidth ?? 0) };
    const input = await this.#resolved(config, sharedWidth === 0 ? need : shared, spec);
    const { source } = input;
    const recording = source?.kind === 'file' ? await recordingDigest(source.url.slice('file:'.length)) : null;
    return {
      ...input,
      picture: this.#videoSizes.get(config.id) ?? input.picture,
      ...(recording === null ? {} : { recording }),
      ...(lease === undefined ? {} : { lease }),
    };
  }

  /** As `resolveStreamInput`, for a source as settings name it. */
  async #resolved(
    config: StreamConfig,
    need: PictureNeed | null,
    spec: Pick<ModelSpec, 'resizeBy'>,
  ): Promise<StreamInput> {
    const { sourceRules, placeholders } = this.#options;
    const text = sourceText(config.source, placeholders?.());
    const isDemo = text === 'demo';
    const source = isDemo ? demoClip() : text;
    const settings = { ...config, source, ...(isDemo ? { loop: true, realtime: true } : {}) };
    // The demonstration clip comes with the program, so no rule needs to allow it.
    const access = isDemo ? FREE_ACCESS : sourceRules.accessOf(config.source, config.id);
    const input = await resolveStreamInput(settings, this.#runtime.ffmpeg, need, spec, access);
    return text === config.source ? input : labelled(input, redact(config.source));
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
      onFailure: ({ message, code, details }) =>
        runtime.emitEvent('sink-failed', config.id, message, { ...details, code }),
      onRecovery: (lost) => {
        const text = `sink ${id} continues in a new file; ${lost} pictures were lost`;
        runtime.emitEvent('sink-recovered', config.id, text, { id });
      },
      onNotice: (text) => runtime.emitEvent('sink-notice', config.id, text),
    });
    this.#videoSizes.set(config.id, picture);
    sinks.addPictureSink(config.id, video);
  }

  #pictureNeed({ id, stages = [] }: StreamConfig): PictureNeed | null {
    const { sinks, preview } = this.#options.config;
    if (sinks.some((sink) => sink.type === 'video' && sink.streams.includes(id))) return { maxWidth: null };
    const widths = [
      ...(preview.picture === 'source' ? [preview.width] : []),
      ...(stages.length > 0 ? [LOOKED_AT_WIDTH] : []),
    ];
    return widths.length === 0 ? null : { maxWidth: Math.max(...widths) };
  }
}

/** Names an input as its settings do, not by the values of their placeholders. */
function labelled(input: StreamInput, label: string): StreamInput {
  return { ...input, label, source: input.source === null ? null : { ...input.source, label } };
}

function paceOf(a: StreamConfig, b: StreamConfig): LaneComparison['pace'] {
  if (a.every === b.every && a.maxFps === b.maxFps) return null;
  return { ratio: a.every / b.every, mostFps: b.maxFps ?? null };
}
