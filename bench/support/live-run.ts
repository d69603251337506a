import { setTimeout as sleep } from 'node:timers/promises';
import type { Runtime } from '../../src/frame/runtime/runtime.ts';
import type { Measurement } from '../../src/lab/measure/measure-run.ts';
import type { Percentiles } from '../../src/wire/protocol/report.ts';
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

export interface LiveLoad {
  readonly model: string;
  readonly capacityFps: number;
  /** Drops all excess frames from the queue, as if ffmpeg could not shed them earlier. */
  readonly isUnshed?: boolean;
}

/** Runs at least four live streams of the clip that together offer `load` times the capacity, in equal shares. */
export async function liveRun(context: BenchContext, load: number, of?: LiveLoad): Promise<LiveRun> {
  const model = of?.model ?? (await liveModel(context));
  const capacity = of?.capacityFps ?? (await capacityFps(context, model));
  const streams = Math.max(STREAMS, Math.ceil((load * capacity) / (context.clip.fps * CLIP_FPS_RATIO)));
  const maxFps = (load * capacity) / streams;
  const opened = await benchStreams(context, streams, { ...LIVE, maxFps });
  const runtime = await openBenchRuntime(context, { name: model });
  if (of?.isUnshed === true) neverShed(runtime);
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

/** Hides what the load shedder needs of each stream that is added. */
function neverShed(runtime: Runtime): void {
  runtime.events.add(({ kind, stream }) => {
    if (kind === 'stream-added') Object.defineProperty(runtime.stream(stream!), 'intake', { value: null });
  });
}

/**
 * Starts four times the capacity, then removes all streams but those that offer half of it.
 *
 * @returns the time from the removal to the last frame that was shed, in milliseconds; null if none was shed before it.
 */
export async function recoveryMs(
  context: BenchContext,
  { model, capacityFps: capacity }: LiveLoad,
): Promise<number | null> {
  const streams = Math.max(STREAMS, Math.ceil((4 * capacity) / (context.clip.fps * CLIP_FPS_RATIO)));
  const maxFps = (4 * capacity) / streams;
  const opened = await benchStreams(context, streams, { ...LIVE, maxFps });
  const runtime = await openBenchRuntime(context, { name: model });
  try {
    for (const { config, input } of opened) runtime.add(config, input);
    await sleep(context.warmUpSeconds * 1000);
    const left = Math.max(1, Math.floor(streams / 8));
    const kept = runtime.streams.slice(0, left);
    const shedCount = (): number => kept.reduce((sum, { telemetry }) => sum + telemetry.intake.shed, 0);
    if (shedCount() === 0) return null;
    const from = performance.now();
    const removals = runtime.streams.slice(left).map(({ id }) => runtime.remove(id));
    let [count, lastMs] = [shedCount(), from];
    while (performance.now() - from < RECOVERY_WATCH_MS) {
      await sleep(RECOVERY_STEP_MS);
      const now = shedCount();
      if (now > count) lastMs = performance.now();
      count = now;
    }
    await Promise.all(removals);
    return lastMs - from;
  } finally {
    await runtime.stop();
  }
}

const RECOVERY_WATCH_MS = 6000;
const RECOVERY_STEP_MS = 20;

function loadText({ model, capacityFps: capacity, streams, maxFps, offeredFps, measured }: LiveRun): string {
  return `${model}: capacity ${fps(capacity)}; ${streams} streams of ${maxFps.toFixed(1)} offered ${fps(offeredFps)}, published ${fps(measured.fps)}`;
}

export function stagesTable(run: LiveRun): Table {
  const names: readonly WatchedTime[] = ['decode', 'preprocess', 'queue', 'infer', 'publish', 'total'];
  return {
    caption: loadText(run),
    rows: [['stage', ...PERCENTILE_HEADING], ...names.map((name) => [name, ...percentileCells(run.stages[name])])],
  };
}
