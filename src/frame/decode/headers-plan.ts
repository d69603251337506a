import type { DecodePlan } from './decode-command.ts';
import { newHeaderTag } from './ffmpeg-log.ts';

/** Returns a plan that reads every frame's time and size without its pixels: the canvas is 2x2. */
export function headersPlan(ffmpegMajor: number): DecodePlan {
  return {
    ffmpegMajor,
    headerTag: newHeaderTag(),
    canvas: { width: 2, height: 2, fit: { mode: 'stretch' } },
    every: 1,
    maxFps: null,
    afterUs: null,
    takesCommands: false,
    hwaccel: 'none',
    threads: 1,
  };
}
