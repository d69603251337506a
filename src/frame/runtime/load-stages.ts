import type { StageConfig } from '../../settings/config/stages.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { EngineOptions } from './model/engine-request.ts';
import { loadBeside } from './open-runtime.ts';
import type { Runtime } from './runtime.ts';
import type { PictureNeed } from './stream/stream-input.ts';

/** Widest full picture of a stream that second stages look at: more takes memory for each slot, and text is readable at it. */
export const LOOKED_AT_WIDTH = 1920;

/** Loads second stages into a runtime that keeps them to its end. @throws MODEL_*, ENGINE_UNAVAILABLE */
export async function loadStages(
  runtime: Runtime,
  stages: readonly StageConfig[],
  options: Pick<EngineOptions, 'batch' | 'environment' | 'onNotice'>,
): Promise<void> {
  const loaded = stages.map((config) => ({ config, instance: `stage:${config.name}` }));
  for (const { config, instance } of loaded)
    await loadBeside(runtime, instance, { ...options, model: config.model }, { readsCrops: true });
  runtime.useStages(loaded);
}

/** The settings of a stream whose objects second stages look at, all unless it names some, and the pictures that it needs for it. */
export function lookedAt<T extends Pick<StreamConfig, 'stages'>>(
  stream: T,
  stages: readonly StageConfig[] = [],
): { readonly config: T; readonly need: PictureNeed | null } {
  if (stages.length === 0) return { config: stream, need: null };
  const names = stream.stages ?? stages.map(({ name }) => name);
  return { config: { ...stream, stages: names }, need: names.length === 0 ? null : { maxWidth: LOOKED_AT_WIDTH } };
}
