import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { stringify } from 'yaml';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { type ClipBlock, cutBlocks } from '../../../frame/decode/cut-blocks.ts';
import type { FfmpegBinary } from '../../../frame/decode/ffmpeg-binary.ts';
import { joinArguments } from '../../../frame/decode/file-command.ts';
import { probeSource } from '../../../frame/decode/probe.ts';
import { runFfmpeg } from '../../../frame/decode/run-ffmpeg.ts';
import { needsTracks } from '../../../frame/runtime/stream/stream-analytics.ts';
import { parseSource, sourcePath, sourceScheme } from '../../../frame/source/parse-source.ts';
import { demoClip } from '../../../network/store/package-root.ts';
import { parsePipeline, readPipelineText } from '../../../serve/pipeline/load-pipeline.ts';
import { withOneDetector } from '../../../serve/pipeline/one-detector.ts';
import type { PipelineConfig } from '../../../serve/pipeline/pipeline.ts';

/** What is optimised. */
export interface Subject {
  /** As the user named it. */
  readonly name: string;
  /** Text of the pipeline, from which the best one is written. */
  readonly text: string;
  /** Its streams read `clip` instead of the recording. */
  readonly pipeline: PipelineConfig;
  /** Paths of the recordings that the streams name, each once. */
  readonly recordings: readonly string[];
  /** Size of the first stream's pictures, and its length if it states one. */
  readonly picture: { readonly width: number; readonly height: number; readonly durationUs: number | null };
  /** Parts of the first stream's file, spread evenly over it, in the order of their times; at least one. */
  readonly blocks: readonly ClipBlock[];
  /** All blocks as one file; the recording itself where they cover it or could not be copied from it. */
  readonly clip: string;
  /** False if the blocks had to be encoded again. */
  readonly isCopied: boolean;
  close(): Promise<void>;
}

const PROBE_TIMEOUT_MS = 20_000;

/**
 * Reads a pipeline file, or makes a pipeline with one stream from a video file.
 *
 * @param detector - the one of several that is optimised.
 * @param note - receives sentences about what takes long.
 * @throws CONFIG_*, SOURCE_*; COMMAND_INVALID if its first stream is not a file.
 */
export async function openSubject(
  name: string,
  detector: string | undefined,
  ffmpeg: FfmpegBinary,
  signal: AbortSignal,
  note: (text: string) => void,
): Promise<Subject> {
  const isPipeline = isPipelineFile(name);
  if (!isPipeline && detector !== undefined)
    throw new SightlineError('COMMAND_INVALID', '--detector: expected a pipeline file, which has several detectors');
  const written = isPipeline ? readPipeline(name, detector) : fromVideo(name);
  const pipeline = withDemoClip(written.pipeline);
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
    const cut = await cutBlocks(ffmpeg, source, durationUs, folder, signal, note);
    const clip = cut.isCopied && !cut.isWhole ? await joined(ffmpeg, cut.blocks, folder, signal) : first.source;
    const streams = pipeline.streams.map((stream) =>
      stream.source === first.source ? { ...stream, source: clip } : stream,
    );
    const picture = { width, height, durationUs };
    const files = pipeline.streams.map((stream) => stream.source).filter((text) => sourceScheme(text) === 'file');
    const recordings = [...new Set(files.map(sourcePath))];
    return {
      name,
      text: written.text,
      pipeline: { ...pipeline, streams },
      picture,
      recordings,
      blocks: cut.blocks,
      clip,
      isCopied: cut.isCopied,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Whether somebody uses the ids of objects. Second stages do, and of a bare recording nobody has said what it is for. */
export function followsObjects({ name, pipeline: { streams, stages } }: Pick<Subject, 'name' | 'pipeline'>): boolean {
  return !isPipelineFile(name) || stages.length > 0 || streams.some(needsTracks);
}

/** Whether the name of a subject is that of a pipeline; else it is a video. */
export function isPipelineFile(name: string): boolean {
  return /\.ya?ml$/i.test(name);
}

function readPipeline(path: string, detector: string | undefined): { text: string; pipeline: PipelineConfig } {
  const text = withOneDetector(readPipelineText(path), path, detector);
  return { text, pipeline: parsePipeline(text, path) };
}

function fromVideo(path: string): { text: string; pipeline: PipelineConfig } {
  const text = stringify({
    name: 'optimised',
    description: `Detects objects in ${basename(path)}.`,
    streams: [{ id: 'video', source: path }],
  });
  return { text, pipeline: parsePipeline(text, path) };
}

function withDemoClip(pipeline: PipelineConfig): PipelineConfig {
  if (!pipeline.streams.some(({ source }) => source === 'demo')) return pipeline;
  const streams = pipeline.streams.map((stream) =>
    stream.source === 'demo' ? { ...stream, source: demoClip() } : stream,
  );
  return { ...pipeline, streams };
}

/** Joins the blocks, so that rates are measured on all parts of a recording and not on its start. */
async function joined(
  ffmpeg: FfmpegBinary,
  blocks: readonly ClipBlock[],
  folder: string,
  signal: AbortSignal,
): Promise<string> {
  const list = join(folder, 'blocks.txt');
  // A name without a folder is found beside the list.
  await writeFile(list, blocks.map(({ path }) => `file '${basename(path)}'\n`).join(''));
  const path = join(folder, `clip${extname(blocks[0]!.path)}`);
  const args = joinArguments(list, path.endsWith('.mov') ? 'mov' : 'matroska', path);
  const listener = { onText: () => undefined, onLogLine: () => undefined };
  await runFfmpeg(ffmpeg, `file:${list}`, args, signal, listener, { reads: [folder], writes: folder });
  return path;
}
