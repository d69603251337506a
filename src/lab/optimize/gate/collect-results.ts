import { ResultSinks } from '../../../after/sinks/result-sinks.ts';
import type { PublishedFrame } from '../../../base/core/frame.ts';
import type { ModelSpec } from '../../../base/core/model.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { loadStages, lookedAt } from '../../../frame/runtime/load-stages.ts';
import { loadConfigured } from '../../../frame/runtime/model/load-detector.ts';
import { type OpenOptions, openRuntime } from '../../../frame/runtime/open-runtime.ts';
import type { Runtime } from '../../../frame/runtime/runtime.ts';
import type { RuntimeStream } from '../../../frame/runtime/stream/runtime-stream.ts';
import { resolveStreamInput } from '../../../frame/runtime/stream/stream-input.ts';
import type { RecordedFrame, RecordedResults } from '../../../network/evaluate/recorded-results.ts';
import { modelSpec } from '../../../network/store/manifests.ts';
import { check } from '../../../settings/config/check.ts';
import { previewConfig } from '../../../settings/config/gateway.ts';
import { parseStream } from '../../../settings/config/parse-stream.ts';
import type { StageConfig } from '../../../settings/config/stages.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import { trackConfig } from '../../../settings/config/track.ts';

/** A configuration to run; what it publishes is kept. */
export interface CollectOptions extends Omit<OpenOptions, 'sinks' | 'preview'> {
  /** Second stages, on clips; default none. */
  readonly stages?: readonly StageConfig[];
  /** Ends the run early, with an error. */
  readonly stop?: AbortSignal;
  /** Called before the first frame. What it throws ends the run. */
  readonly onOpened?: (spec: ModelSpec) => void;
  /** Called with the number of results so far. */
  readonly onProgress?: (frames: number) => void;
}

export interface PictureSet {
  readonly paths: readonly string[];
  readonly resizeBy: 'ffmpeg' | 'sharp';
  /** Name of the set, for messages. */
  readonly label: string;
  /** Further settings of the stream that reads them, not yet checked, such as tiles. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface CollectedResults extends RecordedResults {
  readonly spec: ModelSpec;
  readonly engine: string;
  readonly provider: string;
  /** As executed. */
  readonly precision: string;
  /** From the first frame's start to the last result. */
  readonly seconds: number;
  /** Media time at which each clip begins. */
  readonly startsUs: readonly number[];
}

/** Average precision is measured with every class of every box down to this score. */
const AP_SCORE = 0.001;

/** Score down to which a model is judged by labels: a class among the first five may have any. */
export function leastScoreOf({ task }: Pick<ModelSpec, 'task'>): number {
  return task === 'classes' ? 0 : AP_SCORE;
}
/** Agreement needs weaker boxes than those that are reported: see `matchFrames`. */
export const AGREEMENT_SHARE = 0.5;

/**
 * Runs a configuration on pictures, for the figure of its task: every class of every box down to the score of `leastScoreOf`.
 *
 * @returns results whose frame numbers are places in the list of pictures, with the threshold that users see.
 * @throws the errors of `openRuntime`; CONFIG_INVALID for wrong settings; ENGINE_FAILED if pictures were given up;
 *   COMMAND_INVALID if it was stopped.
 */
export async function collectOnImages(options: CollectOptions, images: PictureSet): Promise<CollectedResults> {
  const spec = modelSpec(await loadConfigured(options.model, options.environment));
  const { scoreThreshold = spec.scoreThreshold } = options.model;
  const model = { ...options.model, scoreThreshold: leastScoreOf(spec), classesPerBox: 'all' as const };
  return withRuntime({ ...options, model }, async (runtime) => {
    const config = parseStream({ id: 'pictures', source: images.label, policy: 'file', ...images.settings }, {});
    const read = (imagePaths: readonly string[], onProgress = options.onProgress) =>
      record(
        runtime,
        () =>
          runtime.add(config, {
            source: null,
            imagePaths,
            resizeImagesBy: images.resizeBy,
            label: images.label,
            policy: 'file',
            picture: null,
          }),
        { ...options, onProgress: onProgress ?? (() => {}) },
      );
    const collected = await read(images.paths);
    const frames = [...collected.frames];
    const known = new Set(frames.map(({ frame }) => frame));
    const missing = images.paths.flatMap((path, frame) => (known.has(frame) ? [] : [{ path, frame }]));
    for (const { path, frame } of missing) {
      options.onNotice?.(`${path} was given up after failed inferences, and is inferred again, alone`);
      await runtime.remove(config.id);
      // A picture that times out beside others on a busy machine must not cost the whole run.
      const again = (await read([path], () => {})).frames[0];
      if (again === undefined)
        throw givenUp(`${missing.length} of ${images.paths.length} images, and again ${path} alone`);
      frames.push({ ...again, frame });
    }
    frames.sort((a, b) => a.frame - b.frame);
    return { ...collected, frames, scoreThreshold };
  });
}

/**
 * Runs a configuration on clips, one after the other, each from its first frame to its last, with all settings of the stream that
 * decide what is published. Objects are tracked even if the stream does not ask for it: the gate compares tracks.
 *
 * Frame numbers, media time and track ids go on from clip to clip. No track and no second of media time spans two clips.
 *
 * @param stream - its source is a file. Whatever would pace, repeat or drop frames is overruled.
 * @param clips - paths; default: the stream's source.
 * @returns results that hold boxes down to half the threshold.
 * @throws the errors of `openRuntime` and `resolveStreamInput`, and those of a stream that fails; ENGINE_FAILED if frames were
 *   given up; COMMAND_INVALID if it was stopped.
 */
export async function collectOnVideo(
  options: CollectOptions,
  stream: StreamConfig,
  clips: readonly string[] = [stream.source],
): Promise<CollectedResults> {
  const scoreThreshold = Math.max(await publishedFrom(options), stream.scoreThreshold ?? 0);
  const model = { ...options.model, scoreThreshold: scoreThreshold * AGREEMENT_SHARE };
  // Tracks begin where they do for users, though weaker boxes are recorded.
  const own = typeof stream.track === 'object' ? stream.track : trackConfig.parse({});
  const track = { ...own, newScore: own.newScore ?? Math.max(scoreThreshold, own.highScore ?? own.lowScore) };
  const { config, need } = lookedAt<StreamConfig>(
    { ...stream, policy: 'file', loop: false, realtime: false, track },
    options.stages,
  );
  delete config.scoreThreshold;
  return withRuntime({ ...options, model }, async (runtime) => {
    await loadStages(runtime, options.stages ?? [], options);
    const collected: CollectedResults[] = [];
    for (const source of clips) {
      const clip = { ...config, source };
      const input = await resolveStreamInput(clip, runtime.ffmpeg, need, runtime.spec);
      let running: RuntimeStream | null = null;
      const start = (): RuntimeStream => {
        // Weaker boxes are recorded, but work is skipped by the threshold that users see.
        running = runtime.add(clip, { ...input, uncertainScore: scoreThreshold });
        return running;
      };
      const results = await record(runtime, start, options);
      const dropped = (running as RuntimeStream | null)?.droppedCount ?? 0;
      if (dropped > 0) throw givenUp(`${dropped} frames of ${input.label}`);
      await runtime.remove(clip.id);
      collected.push({ ...results, scoreThreshold });
    }
    return joined(collected);
  });
}

/** Score from which on a configuration publishes a box. */
async function publishedFrom({ model, environment }: CollectOptions): Promise<number> {
  return model.scoreThreshold ?? modelSpec(await loadConfigured(model, environment)).scoreThreshold;
}

/** Puts the results of clips one behind the other. */
function joined(clips: readonly CollectedResults[]): CollectedResults {
  let [nextFrame, nextUs, nextTrack] = [0, 0, 0];
  const startsUs: number[] = [];
  const frames = clips.flatMap(({ frames: recorded }) => {
    const [firstFrame, firstUs, firstTrack] = [nextFrame, nextUs, nextTrack];
    startsUs.push(firstUs);
    return recorded.map(({ frame, ptsUs, detections, ...rest }): RecordedFrame => {
      const moved = detections.map((detection) => {
        if (detection.trackId === undefined) return detection;
        nextTrack = Math.max(nextTrack, firstTrack + detection.trackId + 1);
        return { ...detection, trackId: firstTrack + detection.trackId };
      });
      const at = { frame: firstFrame + frame, ptsUs: firstUs + ptsUs };
      nextFrame = Math.max(nextFrame, at.frame + 1);
      // A whole second, so that no block of the bootstrap holds frames of two clips.
      nextUs = Math.max(nextUs, (Math.floor(at.ptsUs / 1e6) + 1) * 1e6);
      return { ...rest, ...at, detections: moved };
    });
  });
  const seconds = clips.reduce((sum, clip) => sum + clip.seconds, 0);
  return { ...clips[0]!, frames, seconds, startsUs };
}

async function withRuntime<T>(options: CollectOptions, use: (runtime: Runtime) => Promise<T>): Promise<T> {
  const preview = check(previewConfig, {}, 'preview');
  const runtime = await openRuntime({ ...options, preview, sinks: new ResultSinks([]), signal: options.stop });
  try {
    options.onOpened?.(runtime.spec);
    return await use(runtime);
  } finally {
    await runtime.stop();
  }
}

/** Runs the only stream of a runtime to its end and keeps what it publishes. */
async function record(
  runtime: Runtime,
  start: () => RuntimeStream,
  { stop, onProgress }: CollectOptions,
): Promise<Omit<CollectedResults, 'scoreThreshold'>> {
  const frames: RecordedFrame[] = [];
  runtime.masks.watch('program', null);
  const unsubscribe = runtime.published.add((published) => {
    frames.push(recordOf(published));
    onProgress?.(frames.length);
  });
  const onStop = (): void => void runtime.stop();
  stop?.addEventListener('abort', onStop);
  try {
    refuseStopped(stop);
    const startedMs = performance.now();
    const stream = start();
    await stream.settled();
    const seconds = (performance.now() - startedMs) / 1000;
    refuseStopped(stop);
    if (stream.failure !== null) throw stream.failure;
    const { engine, provider, precision } = runtime.engineInfo;
    const { spec } = runtime;
    return { spec, classes: spec.classes, frames, engine, provider, precision, seconds, startsUs: [0] };
  } finally {
    unsubscribe();
    stop?.removeEventListener('abort', onStop);
  }
}

function refuseStopped(stop: AbortSignal | undefined): void {
  if (stop?.aborted === true) throw new SightlineError('COMMAND_INVALID', 'stopped before the end; no figures');
}

/** The times of a frame are left out: a long clip has many. */
function recordOf({ frame, ptsUs, width, height, detections, by }: PublishedFrame): RecordedFrame {
  return { frame, ptsUs, width, height, detections, by };
}

function givenUp(what: string): SightlineError {
  return new SightlineError('ENGINE_FAILED', `${what} were given up after failed inferences; no figures`);
}

/** Rounding of media times. */
const ROUNDING_US = 1000;

/**
 * What a run that decodes some frames says of every frame: its last result, until the next one.
 *
 * @param every - a run over the same clips that decodes all of them.
 * @returns the results of `some` with the frame numbers and times of `every`. A frame before the first result of its clip has no objects.
 */
export function heldResults(every: CollectedResults, some: CollectedResults): CollectedResults {
  const frames = every.startsUs.flatMap((startUs, clip): RecordedFrame[] => {
    const results = framesOf(some.frames, some.startsUs, clip);
    const shiftUs = some.startsUs[clip]! - startUs;
    let known = 0;
    return framesOf(every.frames, every.startsUs, clip).map(({ frame, ptsUs, width, height }) => {
      while (known < results.length && results[known]!.ptsUs - shiftUs <= ptsUs + ROUNDING_US) known += 1;
      const last = results[known - 1];
      return { frame, ptsUs, width, height, detections: last?.detections ?? [], by: 'unchanged' };
    });
  });
  return { ...some, frames, startsUs: every.startsUs };
}

/** The frames of one of several clips. */
export function framesOf(
  frames: readonly RecordedFrame[],
  startsUs: readonly number[],
  clip: number,
): readonly RecordedFrame[] {
  const [fromUs, toUs] = [startsUs[clip]!, startsUs[clip + 1] ?? Number.POSITIVE_INFINITY];
  return frames.filter(({ ptsUs }) => ptsUs >= fromUs && ptsUs < toUs);
}
