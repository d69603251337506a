import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';

/** How the streams of a trial are read. */
export type Scenario =
  /** Files, as fast as possible and from the start again at their ends. Nothing is dropped. */
  | {
      readonly kind: 'offline';
      /** Default: as many as the pipeline has. */
      readonly streams?: number;
    }
  /** Files as if they were cameras: paced by their own clock, however fast the pipeline is. */
  | {
      readonly kind: 'cameras';
      readonly streams: number;
      /** At most this many frames per second of each; default: as many as the source has. */
      readonly fps?: number;
    };

/** Names a scenario in records: `offline`, `offline x4`, `cameras x8`, `cameras x8 at 30 fps`. */
export function scenarioName(scenario: Scenario): string {
  const count = scenario.streams === undefined ? '' : ` x${scenario.streams}`;
  const rate = scenario.kind === 'cameras' && scenario.fps !== undefined ? ` at ${scenario.fps} fps` : '';
  return `${scenario.kind}${count}${rate}`;
}

/**
 * Returns the streams of a scenario: those of the pipeline in turn, with their settings, read as the scenario says.
 *
 * @throws CONFIG_INVALID if there are none to read.
 */
export function scenarioStreams(streams: readonly StreamConfig[], scenario: Scenario): StreamConfig[] {
  if (streams.length === 0)
    throw new SightlineError('CONFIG_INVALID', 'streams: expected at least one stream to measure with, received none');
  const count = scenario.streams ?? streams.length;
  if (!Number.isInteger(count) || count < 1)
    throw new RangeError(`expected a whole number of streams, received ${count}`);
  const isPaced = scenario.kind === 'cameras';
  return Array.from({ length: count }, (_, i) => {
    const config = streams[i % streams.length]!;
    const maxFps = (isPaced ? scenario.fps : undefined) ?? config.maxFps;
    return {
      ...config,
      id: `trial-${i + 1}`,
      policy: isPaced ? 'live' : 'file',
      loop: true,
      realtime: isPaced,
      ...(maxFps === undefined ? {} : { maxFps }),
    };
  });
}
