import { loadavg } from 'node:os';
import { machineFacts } from '../../src/lab/measure/machine-facts.ts';
import type { BenchContext } from './bench-context.ts';

/** Describes everything that the figures depend on besides the code. */
export function describeMachine({ ffmpeg, clip, model }: BenchContext): Record<string, string | number> {
  const { cpuModel, cores, memoryBytes, system, versions } = machineFacts(ffmpeg);
  return {
    time: new Date().toISOString(),
    cpu: cpuModel,
    cores,
    memoryGb: Math.round(memoryBytes / 1e9),
    // Load of other programs: above a few tenths, the machine was not idle before the measurement.
    loadBefore: Number(loadavg()[0]!.toFixed(2)),
    system,
    ...versions,
    ffmpeg: `${ffmpeg.version} (${ffmpeg.foundBy})`,
    model,
    clip: `${clip.path.split('/').at(-1)} ${clip.width}x${clip.height}, ${clip.fps.toFixed(2)} fps, ${clip.frames} frames`,
  };
}
