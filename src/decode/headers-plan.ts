import type { DecodePlan } from './ffmpeg-command.ts';
import { newHeaderTag } from './ffmpeg-log.ts';

/** A plan for reading the frames' times and sizes without their pixels: every frame, on a canvas of two pixels a side. */
export function headersPlan(ffmpegMajor: number): DecodePlan {
  return {
    ffmpegMajor,
    headerTag: newHeaderTag(),
    canvas: { width: 2, height: 2, fit: { mode: 'stretch' } },
    every: 1,
    maxFps: null,
    skip: 0,
    hwaccel: 'none',
    threads: 1,
  };
}
