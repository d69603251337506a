import { SightlineError } from '../errors/sightline-error.ts';
import type { EngineInfo } from '../protocol/threads.ts';
import { candidates } from './model/choose-engine.ts';
import { type EngineOptions, prepareEngine } from './model/engine-request.ts';
import { inferenceThreads } from './open-runtime.ts';
import type { Runtime } from './runtime.ts';

/**
 * Prepares another model and loads it beside those of a runtime, on the engine that its configuration names or `auto` finds.
 *
 * @param name - by which streams use it.
 * @throws MODEL_*, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE
 */
export async function loadBeside(runtime: Runtime, name: string, options: EngineOptions): Promise<EngineInfo> {
  const { model, batch, onNotice } = options;
  const { engines } = await candidates(options);
  const batching = { ...batch, timeoutMs: model.timeoutMs, cacheResults: model.cacheResults };
  for (const [i, engine] of engines.entries()) {
    try {
      const request = await prepareEngine(options, engine);
      return await runtime.loadModel(name, { engine: request, batching, threads: inferenceThreads(model, request) });
    } catch (error) {
      const isLast = i === engines.length - 1;
      if (isLast || !(error instanceof SightlineError) || error.code !== 'ENGINE_UNAVAILABLE') throw error;
      onNotice(`${error.message}; trying engine ${engines[i + 1]}`);
    }
  }
  throw new RangeError('no engine to try');
}
