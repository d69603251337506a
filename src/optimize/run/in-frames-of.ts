import type { TrialResult } from '../../measure/trial-result.ts';

/**
 * Restates a run of a configuration that decodes fewer frames in those of another run of the same streams: so many as that one publishes for
 * the same media time. Each result of the run holds until its next one, so all of them are answered.
 *
 * @param own - the other run; both read files as fast as they can.
 */
export function inFramesOf(own: TrialResult, result: TrialResult): TrialResult {
  const perStream = result.perStream.map((stream, i) => {
    const { fps, mediaSpeed } = own.perStream[i]!;
    return mediaSpeed > 0 ? { ...stream, fps: (stream.mediaSpeed * fps) / mediaSpeed } : stream;
  });
  const streamFps = perStream.map((stream) => stream.fps);
  const fps = streamFps.reduce((sum, rate) => sum + rate, 0);
  const published = fps > 0 ? result.fps / fps : 1;
  const scaled = <T extends object>(costs: T): T =>
    Object.fromEntries(Object.entries(costs).map(([name, cost]) => [name, cost * published])) as T;
  const { cpuMsPerFrame, energy } = result;
  return {
    ...{ ...result, fps, streamFps, perStream },
    cpuMsPerFrame: cpuMsPerFrame === null ? null : scaled(cpuMsPerFrame),
    ...(energy === undefined ? {} : { energy: scaled(energy) }),
  };
}
