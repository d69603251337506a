import { existsSync } from 'node:fs';
import { parseStream } from '../config/load-pipeline.ts';
import type { StreamConfig } from '../config/stream.ts';
import type { SourceAccess } from '../core/source.ts';
import { SightlineError, type WireError } from '../errors/sightline-error.ts';
import type { ResultCounters } from '../protocol/report.ts';
import { openVideoSink } from '../runtime/results/open-video-sink.ts';
import type { ResultSinks } from '../runtime/results/result-sinks.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { RuntimeStream } from '../runtime/stream/runtime-stream.ts';
import { resolveStreamInput } from '../runtime/stream/stream-input.ts';
import type { StreamInput } from '../runtime/stream/stream-port.ts';
import { type CliIo, note } from './cli-io.ts';
import type { DecoderFlags } from './decoder-flags.ts';
import type { ModelFlags } from './model-flags.ts';
import type { Progress } from './progress.ts';
import { type ViewFlags, viewSettingsOf } from './view-flags.ts';

const NO_RESULTS: ResultCounters = { inferred: 0, tracked: 0, unchanged: 0, cached: 0 };

/** File names of still images. */
const STILL = /\.(jpe?g|png|webp)$/i;

export interface DetectFlags extends ModelFlags, ViewFlags, DecoderFlags {
  readonly out?: string;
  readonly coco?: string;
  readonly video?: string;
  readonly track?: boolean;
  readonly skipUnchanged?: boolean;
  readonly trackBetween?: number | 'auto';
  readonly every: number;
  readonly ca?: string;
  readonly insecureTls?: boolean;
  readonly json?: boolean;
}

/** The outcome of one input. */
export interface InputSummary {
  readonly source: string;
  readonly frames: number;
  readonly detections: number;
  readonly seconds: number;
  readonly fps: number;
  readonly decodeErrors: number;
  /** How the frames got their results. */
  readonly results: ResultCounters;
  readonly warnings: readonly string[];
  readonly error: WireError | null;
  /** It was stopped before its end. */
  readonly isInterrupted: boolean;
}

export interface DetectJob {
  readonly runtime: Runtime;
  readonly sinks: ResultSinks;
  readonly flags: DetectFlags;
  /** What the inputs may open. */
  readonly access: SourceAccess;
  readonly progress: Progress;
  readonly io: CliIo;
  /** Stops the current input in an orderly way. */
  readonly stop: AbortSignal;
  readonly onFailure: () => void;
}

/** Reads one input to its end. Never rejects: an error is returned in the summary, so that the next input can run. */
export async function detectInput(job: DetectJob, source: string, id: string): Promise<InputSummary> {
  const { runtime, progress, stop } = job;
  const startedMs = performance.now();
  let stream: RuntimeStream | null = null;
  let detections = 0;
  let frames = 0;
  let error: SightlineError | null = null;
  let label = source;
  const unsubscribe = runtime.published.add((frame) => {
    frames += 1;
    detections += frame.detections.length;
    const totalUs = stream?.durationUs ?? null;
    const fps = (frames * 1000) / (performance.now() - startedMs);
    progress.update(
      frame.ptsUs / 1e6,
      totalUs === null ? frame.ptsUs / 1e6 : totalUs / 1e6,
      `${label} | frame ${frame.frame} | ${fps.toFixed(1)} fps`,
    );
  });
  const onStop = (): void => void stream?.remove();
  stop.addEventListener('abort', onStop);
  try {
    const { config, input } = await openInput(job, source, id);
    label = input.label;
    stream = runtime.add(config, input);
    await stream.settled();
    error = stream.failure ?? lostFrames(stream, label);
  } catch (thrown) {
    error = SightlineError.from(thrown, 'SOURCE_UNREADABLE');
  } finally {
    unsubscribe();
    stop.removeEventListener('abort', onStop);
  }
  const { decodeErrors, warnings } = {
    decodeErrors: stream?.decodeErrorCount ?? 0,
    warnings: stream?.warnings ?? [],
  };
  // What has ended by itself is whole, even if a signal came in the same moment.
  const isInterrupted = stop.aborted && error === null && stream?.state !== 'ended';
  if (stream !== null && stream.state !== 'removed') await runtime.remove(stream.id);
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    source: label,
    frames,
    detections,
    seconds,
    fps: frames / seconds,
    decodeErrors,
    results: stream?.telemetry.results ?? NO_RESULTS,
    warnings,
    error: error?.toWire() ?? null,
    isInterrupted,
  };
}

/** @throws CONFIG_INVALID */
export function detectStream(id: string, source: string, flags: DetectFlags): StreamConfig {
  const { every, track = false, skipUnchanged: unchanged = false, trackBetween = 1, insecureTls = false } = flags;
  const skip = { unchanged, trackBetween };
  return parseStream({ id, source, policy: 'file', every, track, skip, insecureTls, ...viewSettingsOf(flags) }, {});
}

async function openInput(
  job: DetectJob,
  source: string,
  id: string,
): Promise<{ config: StreamConfig; input: StreamInput }> {
  const { flags, io, sinks, onFailure } = job;
  const { ffmpeg } = job.runtime;
  const config = detectStream(id, source, flags);
  // A still image is resized as the model's publisher does it; it does not need ffmpeg's speed.
  if (flags.video === undefined && STILL.test(source) && existsSync(source)) {
    return { config, input: { source: null, imagePaths: [source], label: source, policy: 'file', picture: null } };
  }
  const input = await resolveStreamInput(
    config,
    ffmpeg,
    flags.video === undefined ? null : { maxWidth: null },
    job.runtime.spec,
    job.access,
  );
  if (flags.video !== undefined && input.picture !== null) {
    const { picture, policy } = input;
    const onNotice = (text: string): void => note(io, text);
    const request = { id: '--video', path: flags.video, ffmpeg, picture, policy, overlay: config, onFailure, onNotice };
    sinks.addPictureSink(id, await openVideoSink(request));
  }
  return { config, input };
}

/** Returns an error if frames of a file were dropped: a file must not lose any. */
function lostFrames(stream: RuntimeStream, label: string): SightlineError | null {
  if (stream.droppedCount === 0 || stream.state === 'removed') return null;
  return new SightlineError(
    'ENGINE_FAILED',
    `${label}: ${stream.droppedCount} frames were given up after several failed inferences`,
  );
}
