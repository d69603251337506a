import { existsSync, statSync } from 'node:fs';
import type { RecordEntry, Recorded, RecordedEnd } from '../after/sinks/frame-record.ts';
import { openVideoSink } from '../after/sinks/open-video-sink.ts';
import type { PictureSink } from '../after/sinks/sink.ts';
import type { PublishedFrame } from '../base/core/frame.ts';
import type { SourceAccess } from '../base/core/source.ts';
import type { PtsUs } from '../base/core/units.ts';
import { SightlineError, type WireError } from '../base/errors/sightline-error.ts';
import { lookedAt } from '../frame/runtime/load-stages.ts';
import type { Runtime } from '../frame/runtime/runtime.ts';
import type { InFlightFrame } from '../frame/runtime/stream/in-flight-frame.ts';
import type { RuntimeStream } from '../frame/runtime/stream/runtime-stream.ts';
import { isTracked, neededScore } from '../frame/runtime/stream/stream-analytics.ts';
import { resolveStreamInput } from '../frame/runtime/stream/stream-input.ts';
import type { BulkWork, StreamInput } from '../frame/runtime/stream/stream-port.ts';
import { SceneSteps } from '../frame/track/scene-steps.ts';
import { runToEnd } from '../serve/host/run-to-end.ts';
import { changeGateOf, detectEveryOf } from '../settings/config/skip.ts';
import type { StageConfig } from '../settings/config/stages.ts';
import type { StreamConfig } from '../settings/config/stream.ts';
import { type CliIo, note } from './cli-io.ts';
import type { DetectOutputs } from './detect-outputs.ts';
import { type DetectFlags, type DetectItem, detectStream } from './detect-plan.ts';

export interface ReadJob {
  readonly runtime: Runtime;
  readonly outputs: DetectOutputs;
  readonly flags: DetectFlags;
  /** Second stages, which are loaded. */
  readonly stages: readonly StageConfig[];
  /** What the inputs may open. */
  readonly access: SourceAccess;
  readonly classes: ReadonlySet<string> | null;
  readonly io: CliIo;
  /** Stops the inputs in an orderly way. */
  readonly stop: AbortSignal;
  readonly onFailure: () => void;
}

/** How reading an item ended. */
export interface ItemEnd extends RecordedEnd {
  /** It was stopped before its end. */
  readonly isInterrupted: boolean;
}

/** Receives what an item finds, in order. As `BulkWork.take`; `share` is how much of the item is done, 0 to 1. */
export type TakeEntry = (entry: RecordEntry, share: number) => Promise<unknown> | null;

/**
 * Why reading a video cannot continue in the middle, as text to follow its name; null if it can. In that case its stream delivers boxes
 * without tracks, and `ItemResults` computes the tracks, after an interruption again from the first frame on.
 */
export function whyWhole({ kind, sources }: DetectItem, flags: DetectFlags): string | null {
  if (kind === 'pictures') return null;
  const { path } = sources[0]!;
  const { skip } = detectStream('input', path, flags);
  if (flags.stages !== undefined) return 'what second stages look at depends on the frames before';
  if (flags.video !== undefined) return 'the video that it writes cannot be continued';
  if (detectEveryOf(skip) !== null || changeGateOf(skip) !== null)
    return 'which frames it skips depends on the frames before';
  return existsSync(path) && statSync(path).isFile() ? null : 'only files can be read from the middle';
}

/** Reads one item to its end. Never rejects: an error is returned, so that the next item can run. */
export async function readItem(job: ReadJob, item: DetectItem, done: Recorded, take: TakeEntry): Promise<ItemEnd> {
  const startedMs = performance.now();
  const read = item.kind === 'pictures' ? readPictures : readVideo;
  const { entered: _, ...end } = await read(job, item, done, take);
  return { ...end, seconds: (performance.now() - startedMs) / 1000 };
}

interface StreamEnd extends Omit<ItemEnd, 'seconds'> {
  /** Frames that its lane delivered. */
  readonly entered: number;
}

async function readVideo(job: ReadJob, item: DetectItem, done: Recorded, take: TakeEntry): Promise<StreamEnd> {
  const { runtime, flags } = job;
  const own = detectStream(`input-${item.order + 1}`, item.sources[0]!.path, flags);
  const { config, need } = lookedAt(own, job.stages);
  const isRaw = whyWhole(item, flags) === null;
  let stream: RuntimeStream | null = null;
  let video: PictureSink | null = null;
  const shareOf = (ptsUs: number): number => (stream?.durationUs == null ? 0 : Math.min(1, ptsUs / stream.durationUs));
  const steps = new SceneSteps();
  const bulk: BulkWork = {
    scoreThreshold: isRaw ? neededScore(config, runtime.scoreThreshold) : runtime.scoreThreshold,
    isBackground: false,
    isTrackedLater: isRaw && isTracked(config),
    take: (frame, inFlight) => {
      const wait = take({ ...frame, moved: steps.to(inFlight.meta.shift) }, shareOf(frame.ptsUs));
      return video === null ? wait : Promise.all([wait, draw(video, job, frame, inFlight)]);
    },
  };
  const end = await readStream(job, async () => {
    const needs = flags.video === undefined ? need : { maxWidth: null };
    const resolved = await resolveStreamInput(config, runtime.ffmpeg, needs, runtime.spec, job.access);
    video = await openVideo(job, item, config, resolved);
    const input = { ...resolved, bulk, ...(done.frames === 0 ? {} : { startAfter: startAfter(done) }) };
    const reads = isRaw ? { ...config, track: false as const } : config;
    stream = runtime.add({ ...reads, priority: -item.order }, input);
    return stream;
  });
  if (video !== null) await job.outputs.closeOwn([video], !end.isInterrupted && (end.error === null || end.frames > 0));
  return end;
}

/** Reads pictures one after the other; those that cannot be read are reported, and the others go on. */
async function readPictures(job: ReadJob, item: DetectItem, done: Recorded, take: TakeEntry): Promise<StreamEnd> {
  const { runtime, flags } = job;
  const { order } = item;
  const sources = item.sources.map(({ path }) => path);
  const config = { ...detectStream('input', sources[0]!, flags), every: 1, priority: -order };
  const skip = { unchanged: false, trackBetween: 1 };
  const reads: StreamConfig = { ...config, id: `input-${order + 1}`, track: false, decode: 'all', skip };
  let next = done.frames;
  let cached = 0;
  let frames = 0;
  const fail = (upTo: number, errorOf: (path: string) => WireError): void => {
    for (; next < upTo; next++) take({ frame: next, error: errorOf(sources[next]!) }, next / sources.length);
  };
  for (;;) {
    const bulk: BulkWork = {
      scoreThreshold: neededScore(config, runtime.scoreThreshold),
      isBackground: false,
      take: (frame) => {
        fail(frame.frame, givenUp);
        next = frame.frame + 1;
        return take(frame, next / sources.length);
      },
      takeWarning: (warning, frame) => {
        if (frame === undefined) return false;
        take({ frame, warning }, next / sources.length);
        return true;
      },
    };
    const startAt = startAfter({ frames: next, ptsUs: 0 });
    const input: StreamInput = {
      source: null,
      imagePaths: sources,
      label: `${sources.length} pictures`,
      policy: 'file',
      picture: null,
      bulk,
      startAfter: startAt,
    };
    const begun = next;
    const end = await readStream(job, async () => runtime.add(reads, input));
    cached += end.cached;
    frames += end.frames;
    if (end.isInterrupted) return { ...end, cached, frames };
    fail(begun + end.entered, givenUp);
    const { error } = end;
    if (error !== null) fail(Math.min(next + 1, sources.length), () => error);
    if (error === null || next >= sources.length) return { ...end, cached, frames, error: null };
  }
}

function startAfter({ frames, ptsUs }: Pick<Recorded, 'frames' | 'ptsUs'>): NonNullable<StreamInput['startAfter']> {
  return { frames, ptsUs: ptsUs as PtsUs };
}

async function readStream({ runtime, stop }: ReadJob, start: () => Promise<RuntimeStream>): Promise<StreamEnd> {
  try {
    const { stream, error, isStopped } = await runToEnd(runtime, start, stop);
    const { published, in: entered } = stream.telemetry.frames(0);
    return {
      frames: published,
      entered,
      decodeErrors: stream.decoding.errors,
      ...stream.decoding.report(stream.config),
      cached: stream.telemetry.results.cached,
      warnings: stream.warnings,
      error: error?.toWire() ?? null,
      isInterrupted: isStopped,
    };
  } catch (thrown) {
    const error = SightlineError.from(thrown, 'SOURCE_UNREADABLE').toWire();
    return { frames: 0, entered: 0, decodeErrors: 0, cached: 0, warnings: [], error, isInterrupted: false };
  }
}

/** Opens the video of an item; null if none is wanted. */
async function openVideo(
  { outputs, runtime, io, onFailure }: ReadJob,
  { sources: [source] }: DetectItem,
  config: StreamConfig,
  { picture, policy }: StreamInput,
): Promise<PictureSink | null> {
  const path = outputs.videoPath(source!);
  if (path === null || picture === null) return null;
  const onNotice = (text: string): void => note(io, text);
  const { ffmpeg } = runtime;
  const request = { id: '--video', path, ffmpeg, picture, policy, overlay: config, onFailure, onNotice };
  return outputs.openVideo(path, () => openVideoSink(request));
}

function draw(
  video: PictureSink,
  { classes }: ReadJob,
  frame: PublishedFrame,
  { ring, slot }: InFlightFrame,
): Promise<void> {
  const detections = frame.detections.filter(({ label }) => classes?.has(label) !== false);
  return video.draw({ ...frame, detections }, ring.slots.picture(slot));
}

function givenUp(path: string): WireError {
  const text = `${path}: the picture was dropped because its inference failed several times`;
  return new SightlineError('ENGINE_FAILED', text).toWire();
}
