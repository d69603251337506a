import type { CompiledModel } from '../../src/base/core/model.ts';
import {
  type EngineAloneOptions,
  type EngineRun,
  engineAlone as runAlone,
} from '../../src/lab/measure/engine-alone.ts';
import { findOpenvino } from '../../src/network/store/openvino/openvino-place.ts';
import type { EngineName } from '../../src/settings/config/engines.ts';
import type { EngineRequest } from '../../src/wire/protocol/threads.ts';
import type { BenchContext } from './bench-context.ts';
import { grabFrames } from './clip.ts';

export type { EngineRun } from '../../src/lab/measure/engine-alone.ts';

interface Options extends Omit<EngineAloneOptions, 'seconds'> {
  readonly provider?: string;
  readonly precision?: EngineRequest['precision'];
}

/** Enough for varied real pictures, few enough to decode quickly. */
const FRAMES = 40;

/** Measures an engine without a pipeline on frames of the clip. @throws ENGINE_UNAVAILABLE */
export async function engineAlone(
  context: BenchContext,
  engine: Exclude<EngineName, 'fake'>,
  model: CompiledModel,
  { provider = 'cpu', precision = 'auto', ...options }: Options = {},
): Promise<EngineRun> {
  const { input } = model.spec;
  const pictures = await grabFrames(context.ffmpeg, context.clip, { ...input, fit: input.resize }, FRAMES);
  const request: EngineRequest = {
    engine,
    provider: engine === 'wasm' ? 'wasm' : provider,
    precision,
    model,
    openvinoLibrary: findOpenvino(context.environment)?.libraryPath,
    maxBatch: 1,
    batchSizes: [1],
    intraThreads: 1,
    fake: { callMs: 0, frameMs: 0, rows: [] },
  };
  return runAlone(request, pictures, { ...options, seconds: context.seconds });
}
