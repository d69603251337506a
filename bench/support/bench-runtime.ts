import { ResultSinks } from '../../src/after/sinks/result-sinks.ts';
import { openRuntime } from '../../src/frame/runtime/open-runtime.ts';
import type { Runtime } from '../../src/frame/runtime/runtime.ts';
import { type PictureNeed, resolveStreamInput } from '../../src/frame/runtime/stream/stream-input.ts';
import type { StreamInput } from '../../src/frame/runtime/stream/stream-port.ts';
import { type Measurement, measureRun } from '../../src/lab/measure/measure-run.ts';
import { batchConfig } from '../../src/settings/config/batch.ts';
import { check } from '../../src/settings/config/check.ts';
import { previewConfig } from '../../src/settings/config/gateway.ts';
import { modelConfig } from '../../src/settings/config/model-config.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { StreamConfig } from '../../src/settings/config/stream.ts';
import type { BenchContext } from './bench-context.ts';

export interface BenchStream {
  readonly config: StreamConfig;
  readonly input: StreamInput;
}

/** Opens a runtime without sinks, with default settings except those given. */
export function openBenchRuntime(
  context: BenchContext,
  model: Readonly<Record<string, unknown>>,
  batch: Readonly<Record<string, unknown>> = {},
): Promise<Runtime> {
  return openRuntime({
    model: check(modelConfig, model, 'model'),
    batch: check(batchConfig, batch, 'batch'),
    preview: check(previewConfig, {}, 'preview'),
    sinks: new ResultSinks([]),
    environment: context.environment,
    onNotice: context.note,
  });
}

/** Resolves `count` streams with the same settings; they read the clip unless another source is given. */
export async function benchStreams(
  context: BenchContext,
  count: number,
  settings: Readonly<Record<string, unknown>>,
  need: PictureNeed | null = null,
): Promise<BenchStream[]> {
  const streams: BenchStream[] = [];
  for (let i = 1; i <= count; i++) {
    const config = parseStream({ source: context.clip.path, ...settings, id: `bench-${i}` }, {});
    streams.push({ config, input: await resolveStreamInput(config, context.ffmpeg, need) });
  }
  return streams;
}

/** Streams that are read as fast as possible, in an endless loop. */
export const OFFLINE = { policy: 'file', loop: true } as const;
/** Streams at real-time speed, like cameras. */
export const LIVE = { policy: 'live', loop: true, realtime: true } as const;

export function measure(
  context: BenchContext,
  runtime: Runtime,
  streams: readonly BenchStream[],
): Promise<Measurement> {
  return measureRun(runtime, {
    streams,
    seconds: context.seconds,
    warmUpSeconds: context.warmUpSeconds,
    signal: new AbortController().signal,
  });
}

/** Opens a runtime, measures one run on it, and closes it. */
export async function measureOnce(
  context: BenchContext,
  model: Readonly<Record<string, unknown>>,
  streams: readonly BenchStream[],
): Promise<Measurement> {
  const runtime = await openBenchRuntime(context, model);
  try {
    return await measure(context, runtime, streams);
  } finally {
    await runtime.stop();
  }
}

/** Returns the frames per second of a model over four streams of the clip read as files; measured once per benchmark run. */
export async function capacityFps(context: BenchContext, model: string): Promise<number> {
  const known = context.capacities.get(model);
  if (known !== undefined) return known;
  context.note(`measuring the capacity of ${model} on this machine`);
  const { fps } = await measureOnce(context, { name: model }, await benchStreams(context, 4, OFFLINE));
  context.capacities.set(model, fps);
  return fps;
}
