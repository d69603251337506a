import type { Measurement } from '../../src/measure/measure-run.ts';
import type { Percentiles } from '../../src/protocol/report.ts';
import { type BenchContext, FAST_MODEL, SLOW_MODEL } from './bench-context.ts';
import { benchStreams, capacityFps, LIVE, measure, openBenchRuntime } from './bench-runtime.ts';
import { fps, PERCENTILE_HEADING, percentileCells } from './format.ts';
import type { Table } from './section.ts';
import { StageWatch, type WatchedTime } from './stage-watch.ts';

export interface LiveRun {
  readonly model: string;
  readonly capacityFps: number;
  readonly streams: number;
  readonly maxFps: number;
  readonly offeredFps: number;
  readonly maxAgeMs: number;
  readonly measured: Measurement;
  readonly stages: Readonly<Record<WatchedTime, Percentiles>>;
}

const STREAMS = 4;
/** The largest load of these sections, as a multiple of the capacity. */
const MAX_LOAD = 2;
/** A rate limit of `maxFps` passes slightly fewer frames than the clip has. */
const CLIP_FPS_RATIO = 0.95;

/** Returns the model for live runs: the fast one if four streams of the clip can overload it twofold, else the slow one. */
async function liveModel(context: BenchContext): Promise<string> {
  if (context.model !== FAST_MODEL) return SLOW_MODEL;
  const canOverload =
    STREAMS * context.clip.fps * CLIP_FPS_RATIO >= MAX_LOAD * (await capacityFps(context, FAST_MODEL));
  return canOverload ? FAST_MODEL : SLOW_MODEL;
}

/** Runs at least four live streams of the clip that together offer `load` times the capacity, in equal shares. */
export async function liveRun(context: BenchContext, load: number): Promise<LiveRun> {
  const model = await liveModel(context);
  const capacity = await capacityFps(context, model);
  const streams = Math.max(STREAMS, Math.ceil((load * capacity) / (context.clip.fps * CLIP_FPS_RATIO)));
  const maxFps = (load * capacity) / streams;
  const opened = await benchStreams(context, streams, { ...LIVE, maxFps });
  const runtime = await openBenchRuntime(context, { name: model });
  try {
    const watch = new StageWatch(runtime, context);
    let offeredFps = 0;
    runtime.reports.add((report) => {
      // Streams that are being removed at the end no longer report their input rate.
      if (report.streams.length < streams || report.streams.some(({ state }) => state !== 'running')) return;
      offeredFps = report.streams.reduce((sum, stream) => sum + stream.fps.in, 0);
    });
    const measured = await measure(context, runtime, opened);
    const { maxAgeMs } = opened[0]!.config;
    return { model, capacityFps: capacity, streams, maxFps, offeredFps, maxAgeMs, measured, stages: watch.stop() };
  } finally {
    await runtime.stop();
  }
}

export function loadText({ model, capacityFps: capacity, streams, maxFps, offeredFps, measured }: LiveRun): string {
  return `${model}: capacity ${fps(capacity)}; ${streams} streams of ${maxFps.toFixed(1)} offered ${fps(offeredFps)}, published ${fps(measured.fps)}`;
}

export function stagesTable(run: LiveRun): Table {
  const names: readonly WatchedTime[] = ['decode', 'preprocess', 'queue', 'infer', 'publish', 'total'];
  return {
    caption: loadText(run),
    rows: [['stage', ...PERCENTILE_HEADING], ...names.map((name) => [name, ...percentileCells(run.stages[name])])],
  };
}
