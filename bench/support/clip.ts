import { type ChildProcess, spawn } from 'node:child_process';
import { devNull } from 'node:os';
import { createInterface } from 'node:readline';
import type { SourceInput } from '../../src/base/core/source.ts';
import { type DecodePlan, decodeArguments } from '../../src/frame/decode/decode-command.ts';
import type { FfmpegBinary } from '../../src/frame/decode/ffmpeg-binary.ts';
import { FfmpegLog, newHeaderTag } from '../../src/frame/decode/ffmpeg-log.ts';
import { parseSource } from '../../src/frame/source/parse-source.ts';
import { readCpuUse } from '../../src/frame/telemetry/cpu-ledger.ts';

/** The clip that all sections use. */
export interface Clip {
  readonly path: string;
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly fps: number;
}

export interface DecodeRun {
  readonly frames: number;
  readonly seconds: number;
  /** From the kernel's accounting of ended children; 0 without /proc. */
  readonly cpuMs: number;
}

type Canvas = DecodePlan['canvas'];

/** Returns the plan of a stream with default settings, so that the measured work equals that of the pipeline. */
function plan(ffmpegMajor: number, canvas: Canvas): DecodePlan {
  const headerTag = newHeaderTag();
  const choice = { every: 1, maxFps: null, afterUs: null, takesCommands: false };
  return { ffmpegMajor, headerTag, canvas, ...choice, hwaccel: 'none', threads: 1 };
}

function sourceOf(path: string, isLooped: boolean): SourceInput {
  return parseSource(path, { loop: isLooped, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5_000 });
}

/** Decodes the clip once to determine its size, length and rate. @throws Error if ffmpeg cannot decode it. */
export async function describeClip(ffmpeg: FfmpegBinary, path: string): Promise<Clip> {
  const canvas = { width: 64, height: 64, fit: { mode: 'stretch' } } as const;
  const { frames, firstUs, lastUs, width, height } = await decodeToNothing(ffmpeg, path, canvas, 0);
  if (frames < 2) throw new Error(`${path}: ffmpeg decoded ${frames} frames`);
  return { path, width, height, frames, fps: ((frames - 1) * 1e6) / (lastUs - firstUs) };
}

/**
 * Measures ffmpeg alone: with the arguments of a stream, except that pictures go to the null device and the loop ends. One
 * process decodes the clip repeatedly, so that its start-up weighs no more than in a stream.
 */
export async function decodeAlone(
  ffmpeg: FfmpegBinary,
  clip: Clip,
  canvas: Canvas,
  seconds: number,
): Promise<DecodeRun> {
  const once = await timed(() => decodeToNothing(ffmpeg, clip.path, canvas, 0));
  const repeats = Math.max(1, Math.round(seconds / once.seconds));
  return timed(() => decodeToNothing(ffmpeg, clip.path, canvas, repeats));
}

async function timed(run: () => Promise<{ frames: number }>): Promise<DecodeRun> {
  const cpuBefore = endedChildrenMs();
  const before = performance.now();
  const { frames } = await run();
  return { frames, seconds: (performance.now() - before) / 1000, cpuMs: endedChildrenMs() - cpuBefore };
}

function endedChildrenMs(): number {
  return readCpuUse({ main: process.pid, engines: [], children: [] })?.decode ?? 0;
}

interface Decoded {
  readonly frames: number;
  readonly firstUs: number;
  readonly lastUs: number;
  readonly width: number;
  readonly height: number;
}

/** @param repeats - how often the clip is decoded again after the first time. */
async function decodeToNothing(ffmpeg: FfmpegBinary, path: string, canvas: Canvas, repeats: number): Promise<Decoded> {
  const decodePlan = plan(ffmpeg.major, canvas);
  const args = decodeArguments(sourceOf(path, true), decodePlan);
  args[args.indexOf('-stream_loop') + 1] = String(repeats);
  args.splice(args.indexOf('pipe:1'), 1, '-y', devNull);
  const child = spawn(ffmpeg.path, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const log = new FfmpegLog(path, decodePlan.headerTag);
  const decoded = { frames: 0, firstUs: 0, lastUs: 0, width: 0, height: 0 };
  for await (const line of createInterface({ input: child.stderr! })) {
    const event = log.read(line);
    if (event?.kind !== 'frame') continue;
    if (decoded.frames === 0) decoded.firstUs = event.frame.ptsUs;
    decoded.frames += 1;
    Object.assign(decoded, { lastUs: event.frame.ptsUs, width: event.frame.width, height: event.frame.height });
  }
  await ended(child);
  return decoded;
}

/**
 * Decodes pictures of the clip as a stream would get them.
 *
 * @returns `count` pictures, u8 `[height, width, 3]` rgb24, consecutive in shared memory.
 */
export async function grabFrames(
  ffmpeg: FfmpegBinary,
  clip: Clip,
  canvas: Canvas,
  count: number,
): Promise<{ buffer: SharedArrayBuffer; frameBytes: number; count: number }> {
  const frameBytes = canvas.width * canvas.height * 3;
  const wanted = Math.min(count, clip.frames);
  const every = Math.max(1, Math.floor(clip.frames / wanted));
  const args = decodeArguments(sourceOf(clip.path, false), { ...plan(ffmpeg.major, canvas), every });
  const child = spawn(ffmpeg.path, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const buffer = new SharedArrayBuffer(frameBytes * wanted);
  const bytes = new Uint8Array(buffer);
  let filled = 0;
  for await (const chunk of child.stdout!) {
    const part = (chunk as Buffer).subarray(0, bytes.length - filled);
    bytes.set(part, filled);
    filled += part.length;
  }
  await ended(child);
  const got = Math.floor(filled / frameBytes);
  if (got === 0) throw new Error(`${clip.path}: ffmpeg returned no picture`);
  return { buffer, frameBytes, count: got };
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}
