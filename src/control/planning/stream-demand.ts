import type { StreamConfig } from '../../config/stream.ts';

/** Assumed frame rate of a camera if none is configured. */
const ASSUMED_FPS = 25;

/**
 * Returns the inferences a second to plan for a stream. `maxFps` limits the frames left after `every`, and a target counts
 * published frames, so neither is divided by `every`.
 */
export function demandFps({ maxFps, target, every }: StreamConfig): number {
  return maxFps ?? target.fps ?? ASSUMED_FPS / every;
}
