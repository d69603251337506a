import type { DecodePlan } from './ffmpeg-command.ts';

/** A plan for who wants the frames' times and sizes and not their pixels: every frame, on a canvas of two pixels a side. */
export function headersPlan(ffmpegMajor: number): DecodePlan {
  return {
    ffmpegMajor,
    canvas: { width: 2, height: 2, fit: { mode: 'stretch' } },
    every: 1,
    maxFps: null,
    skip: 0,
    hwaccel: 'none',
    threads: 1,
  };
}
