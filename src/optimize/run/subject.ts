import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import { loadPipeline, parsePipeline } from '../../config/load-pipeline.ts';
import type { PipelineConfig } from '../../config/pipeline.ts';
import type { FfmpegBinary } from '../../decode/ffmpeg-binary.ts';
import { probeSource } from '../../decode/probe.ts';
import { runFfmpeg } from '../../decode/run-ffmpeg.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { parseSource } from '../../source/parse-source.ts';

/** What is optimised. */
export interface Subject {
  /** As the user named it. */
  readonly name: string;
  /** Text of the pipeline, from which the best one is written. */
  readonly text: string;
  readonly pipeline: PipelineConfig;
  /** Size of the first stream's pictures, and its length if it states one. */
  readonly picture: { readonly width: number; readonly height: number; readonly durationUs: number | null };
  /** A stretch of the first stream's file, on which agreement is judged. */
  readonly clip: string;
  close(): Promise<void>;
}

/** Agreement is judged on at most this much of a recording. */
const CLIP_SECONDS = 60;
const PROBE_TIMEOUT_MS = 20_000;

/**
 * Reads a pipeline file, or makes a pipeline with one stream from a video file.
 *
 * @param demoClip - returns the path of the demonstration clip, for source `demo`.
 * @throws CONFIG_*, SOURCE_*; COMMAND_INVALID if its first stream is not a file.
 */
export async function openSubject(
  name: string,
  ffmpeg: FfmpegBinary,
  demoClip: () => Promise<string>,
  signal: AbortSignal,
): Promise<Subject> {
  const isPipeline = /\.ya?ml$/i.test(name);
  const written = isPipeline ? readPipeline(name) : fromVideo(name);
  const pipeline = await withDemoClip(written.pipeline, demoClip);
  const first = pipeline.streams[0];
  if (first === undefined)
    throw new SightlineError('CONFIG_INVALID', `${name}: streams: expected at least one stream, received none`);
  const source = parseSource(first.source, { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 });
  if (source.kind !== 'file')
    throw new SightlineError(
      'COMMAND_INVALID',
      `${name}: stream "${first.id}" reads ${source.label}: optimize repeats the same pictures, so it needs a recording; record a few minutes and give the file`,
    );
  const { width, height, durationUs } = await probeSource(ffmpeg, source, PROBE_TIMEOUT_MS);
  const folder = await mkdtemp(join(tmpdir(), 'sightline-clip-'));
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const isLong = durationUs !== null && durationUs > CLIP_SECONDS * 1.5e6;
    const clip = isLong ? await cut(ffmpeg, first.source, folder, signal) : first.source;
    return { name, text: written.text, pipeline, picture: { width, height, durationUs }, clip, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function readPipeline(path: string): { text: string; pipeline: PipelineConfig } {
  const pipeline = loadPipeline(path);
  return { text: readFileSync(path, 'utf8'), pipeline };
}

function fromVideo(path: string): { text: string; pipeline: PipelineConfig } {
  const text = stringify({
    name: 'optimised',
    description: `Detects objects in ${basename(path)}.`,
    streams: [{ id: 'video', source: path }],
  });
  return { text, pipeline: parsePipeline(text, path) };
}

async function withDemoClip(pipeline: PipelineConfig, demoClip: () => Promise<string>): Promise<PipelineConfig> {
  if (!pipeline.streams.some(({ source }) => source === 'demo')) return pipeline;
  const clip = await demoClip();
  const streams = pipeline.streams.map((stream) => (stream.source === 'demo' ? { ...stream, source: clip } : stream));
  return { ...pipeline, streams };
}

/** Copies the first minute without encoding it again. */
async function cut(ffmpeg: FfmpegBinary, video: string, folder: string, signal: AbortSignal): Promise<string> {
  const path = join(folder, 'clip.mkv');
  const args = [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'repeat+level+info', '-i', video],
    ...['-map', '0:v:0', '-t', String(CLIP_SECONDS), '-c', 'copy', '-y', path],
  ];
  await runFfmpeg(ffmpeg.path, video, args, signal, { onText: () => undefined, onLogLine: () => undefined });
  return path;
}
