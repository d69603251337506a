import type { StreamConfig } from '../../config/stream.ts';

/** What a camera is taken to send where nobody says. */
const USUAL_FPS = 25;

/**
 * Inferences a second that a stream is planned with. `maxFps` caps the frames that are left after `every`, and a target
 * counts published frames, so neither is divided by it.
 */
export function demandFps({ maxFps, target, every }: StreamConfig): number {
  return maxFps ?? target.fps ?? USUAL_FPS / every;
}
