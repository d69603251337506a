import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { monoNowMs } from '../src/base/core/clock.ts';
import type { PublishedFrame } from '../src/base/core/frame.ts';
import { CLOCK_PERIOD_TICKS, clockTicks, TICKS_PER_MS } from '../src/frame/infer/clock-code.ts';
import type { Runtime } from '../src/frame/runtime/runtime.ts';
import { resolveStreamInput } from '../src/frame/runtime/stream/stream-input.ts';
import { percentilesOf } from '../src/frame/telemetry/sliding-window.ts';
import { CameraProcess } from '../src/lab/loadtest/cameras/camera-process.ts';
import { ClockEncoder, systemTicks } from '../src/lab/loadtest/cameras/clock-encoder.ts';
import type { CodedFrame } from '../src/lab/loadtest/cameras/flv-reader.ts';
import { MpegTsWriter } from '../src/lab/loadtest/cameras/mpegts-writer.ts';
import { packageRoot } from '../src/network/store/package-root.ts';
import { parseStream } from '../src/settings/config/parse-stream.ts';
import type { Percentiles } from '../src/wire/protocol/report.ts';
import { findOpencv } from './peers/find-python.ts';
import type { BenchContext } from './support/bench-context.ts';
import { openBenchRuntime } from './support/bench-runtime.ts';
import { ms } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

const SIZE = { width: 640, height: 360, fps: 25 };
/** Model input of the same aspect, so that the picture fills it. */
const MODEL = { engine: 'fake', inputSize: '320x180', threads: 1, scoreThreshold: 0.3, fake: { barcode: true } };
const FRAME_MS = 1000 / SIZE.fps;
const OPENCV_SCRIPT = 'opencv_clock_loop.py';

interface Run {
  readonly what: string;
  readonly latencyMs: Percentiles;
  /** Mean of captured to published: the stages. */
  readonly stagesMs: number | null;
}

/** Measures from the moment when a camera's shutter opens to the published box, by a clock in the picture. */
export const cameraLatency: Section = {
  id: 'camera-latency',
  title: "From the camera's clock to the box",
  async run(context): Promise<SectionResult> {
    const { ffmpeg } = context;
    const folder = await mkdtemp(join(tmpdir(), 'sightline-bench-'));
    const runtime = await openBenchRuntime(context, MODEL, { maxBatch: 1 });
    const cameras = await CameraProcess.open(ffmpeg);
    const runs: Run[] = [];
    let encodeMs = 0;
    try {
      const quiet = { jitterMs: 0, burst: null, events: [], seed: 1 };
      await cameras.add([{ id: 'clock', ...SIZE, ...quiet, pictures: { kind: 'clock' } }]);
      const rtsp = cameras.url('clock', 'rtsp');
      const file = join(folder, 'clock.ts');
      await writeClockFile(ffmpeg, file, context.seconds + context.warmUpSeconds + 2);
      runs.push(await fileRun(context, runtime, file));
      runs.push(await liveRun(context, runtime, 'HTTP, MPEG-TS', { source: cameras.url('clock', 'http') }));
      for (const transport of ['tcp', 'udp'] as const) {
        runs.push(await liveRun(context, runtime, `RTSP over ${transport.toUpperCase()}`, { source: rtsp, transport }));
        const opencv = await opencvRun(context, rtsp, transport);
        if (opencv !== null) runs.push(opencv);
      }
      encodeMs = (await cameras.stats()).encodeMs ?? 0;
    } finally {
      await runtime.stop();
      await cameras.close();
      await rm(folder, { recursive: true, force: true });
    }
    return summary(context, runs, encodeMs);
  },
};

function summary({ note }: BenchContext, runs: readonly Run[], encodeMs: number): SectionResult {
  if (runs.length < 6) note('no Python with OpenCV was found; its loop is left out');
  const ours = runs.filter(({ stagesMs }) => stagesMs !== null);
  return {
    tables: [
      {
        caption: `${SIZE.width}x${SIZE.height} at ${SIZE.fps} frames/s, H.264; a frame interval is ${FRAME_MS} ms`,
        rows: [
          ['source', 'p50', 'p95', 'p99', 'of it stages', 'frames'],
          ...runs.map(({ what, latencyMs, stagesMs }) => [
            what,
            ...[latencyMs.p50, latencyMs.p95, latencyMs.p99].map(ms),
            stagesMs === null ? '-' : ms(stagesMs),
            String(latencyMs.count),
          ]),
        ],
      },
    ],
    targets: ours.map(({ what, latencyMs, stagesMs }) => ({
      what: `${what}: p50 less stages and the camera's encoding`,
      measured: latencyMs.p50 - stagesMs! - (what.startsWith('file') ? 0 : encodeMs),
      target: FRAME_MS,
      want: 'at most',
      unit: 'ms',
    })),
    notes: [
      `A time is drawn into each picture as a bar code before it is encoded, which takes ${ms(encodeMs)} on average, in the camera. The fake engine reads it; OpenCV's loop reads it after VideoCapture.read().`,
      "A file's clock is its media time, from the frame that came earliest; what delays every frame alike cannot be seen there.",
    ],
    data: { runs, encodeMs },
  };
}

async function liveRun(
  context: BenchContext,
  runtime: Runtime,
  what: string,
  settings: Readonly<Record<string, unknown>>,
): Promise<Run> {
  // Both clocks are monotonic; read together, they differ by a constant.
  const offsetTicks = systemTicks() - monoNowMs() * TICKS_PER_MS;
  const frames = await record(context, runtime, { ...settings, policy: 'live' });
  const latencies = frames.map(({ times, detections }) => {
    const published = times.published * TICKS_PER_MS + offsetTicks;
    const age = (published - clockTicks(detections[0]!.score)) % CLOCK_PERIOD_TICKS;
    return ((age + CLOCK_PERIOD_TICKS) % CLOCK_PERIOD_TICKS) / TICKS_PER_MS;
  });
  return { what, latencyMs: percentilesOf(Float64Array.from(latencies)), stagesMs: meanStages(frames) };
}

async function fileRun(context: BenchContext, runtime: Runtime, path: string): Promise<Run> {
  const frames = await record(context, runtime, { source: path, policy: 'live', realtime: true });
  const mediaMs = (frame: PublishedFrame): number => clockTicks(frame.detections[0]!.score) / TICKS_PER_MS;
  const originMs = Math.min(...frames.map((frame) => frame.times.captured - mediaMs(frame)));
  const latencies = frames.map((frame) => frame.times.published - originMs - mediaMs(frame));
  return { what: 'file, paced', latencyMs: percentilesOf(Float64Array.from(latencies)), stagesMs: meanStages(frames) };
}

/** Frames whose clock could be read, after the warm-up. */
async function record(
  { ffmpeg, seconds, warmUpSeconds }: BenchContext,
  runtime: Runtime,
  settings: Readonly<Record<string, unknown>>,
): Promise<PublishedFrame[]> {
  const config = parseStream({ ...settings, id: 'clock' }, {});
  const frames: PublishedFrame[] = [];
  const stream = runtime.add(config, await resolveStreamInput(config, ffmpeg, null, runtime.spec));
  await sleep(warmUpSeconds * 1000);
  const remove = runtime.published.add((frame) => {
    if (frame.detections.length > 0) frames.push(frame);
  });
  await sleep(seconds * 1000);
  remove();
  if (stream.failure !== null) throw stream.failure;
  await runtime.remove(config.id);
  return frames;
}

function meanStages(frames: readonly PublishedFrame[]): number {
  return frames.reduce((sum, { times }) => sum + times.published - times.captured, 0) / frames.length;
}

async function opencvRun(context: BenchContext, url: string, transport: 'tcp' | 'udp'): Promise<Run | null> {
  const python = await findOpencv(context);
  if (python === null) return null;
  const script = join(packageRoot(), 'bench', 'peers', OPENCV_SCRIPT);
  const { seconds, warmUpSeconds } = context;
  const flags = ['--transport', transport, '--seconds', String(seconds), '--warm-up', String(warmUpSeconds)];
  const { stdout } = await promisify(execFile)(python, [script, url, ...flags], { maxBuffer: 2 ** 24 });
  const { latenciesMs } = JSON.parse(stdout) as { latenciesMs: number[] };
  const what = `OpenCV VideoCapture, RTSP over ${transport.toUpperCase()}`;
  return { what, latencyMs: percentilesOf(Float64Array.from(latenciesMs)), stagesMs: null };
}

/** Writes an MPEG-TS file whose pictures show their own media time. */
async function writeClockFile(ffmpeg: BenchContext['ffmpeg'], path: string, seconds: number): Promise<void> {
  const count = Math.ceil(seconds * SIZE.fps);
  let index = 0;
  const encoder = new ClockEncoder(ffmpeg, SIZE, () => index * FRAME_MS * TICKS_PER_MS);
  const frames: CodedFrame[] = [];
  const done = new Promise<void>((resolve) => {
    for (; index < count; index++)
      encoder.next(index, (frame) => {
        frames.push(frame);
        if (frames.length === count) resolve();
      });
  });
  await done;
  encoder.close();
  const writer = new MpegTsWriter();
  await writeFile(path, Buffer.concat(frames.map((frame, i) => writer.frame(frame, i * FRAME_MS * 90))));
}
