import { viewCount } from '../../../base/geometry/views.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';

/** Assumed frame rate of a camera if none is configured. */
const ASSUMED_FPS = 25;

/**
 * Returns the inferences a second to plan for a stream. `maxFps` limits the frames left after `every`, and a target counts
 * published frames, so neither is divided by `every`. A frame with several views takes an inference for each.
 */
export function demandFps(config: StreamConfig): number {
  const { maxFps, target, every } = config;
  return (maxFps ?? target.fps ?? ASSUMED_FPS / every) * viewCount(config);
}
