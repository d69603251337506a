import { needsTracks } from '../../frame/runtime/stream/stream-analytics.ts';
import { isPaced } from '../../frame/runtime/stream/stream-input.ts';
import { trackRateProblem } from '../../frame/track/track-rate.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';

/** Below this share of its value a target counts as missed. */
const MET_RATIO = 0.95;
/** Few cameras send more frames a second. */
const USUAL_MOST_FPS = 60;
/** Rate of ffmpeg's picture generators if none is given. */
const GENERATOR_FPS = 25;

/** Returns what a stream is asked for and cannot give, a sentence each: its settings let too few frames through. */
export function rateWarnings(stream: StreamConfig): string[] {
  const { id, every, maxFps, target } = stream;
  const wanted = target.fps;
  const sourceFps = rateOf(stream);
  const bounds = [
    { fps: maxFps ?? Number.POSITIVE_INFINITY, why: `maxFps is ${maxFps}` },
    {
      fps: sourceFps === null ? Number.POSITIVE_INFINITY : sourceFps / every,
      why: `the source has ${sourceFps} frames/s${every === 1 ? '' : ` and every is ${every}`}`,
    },
  ];
  const least = bounds.reduce((a, b) => (b.fps < a.fps ? b : a));
  const problem = needsTracks(stream) ? trackRateProblem(least.fps) : null;
  const warnings = problem === null ? [] : [`stream "${id}": ${problem}. Now ${least.why}`];
  if (stream.decode === 'key' && needsTracks(stream))
    warnings.push(
      `stream "${id}": decode: key leaves a frame every few seconds, too few to follow objects. Now decode is key; all and reference leave more`,
    );
  if (wanted === undefined) return warnings;
  if (least.fps < wanted * MET_RATIO)
    return [
      ...warnings,
      `stream "${id}": target.fps ${wanted} cannot be met: at most ${round(least.fps)} frames/s, because ${least.why}`,
    ];
  if (sourceFps === null && every > 1 && wanted * every > USUAL_MOST_FPS)
    return [
      ...warnings,
      `stream "${id}": target.fps ${wanted} with every ${every} needs a source of ${round(wanted * every)} frames/s, more than most cameras send`,
    ];
  return warnings;
}

/** Frames per second of a source whose text tells it; null if it does not, or is read at full speed. */
function rateOf(config: StreamConfig): number | null {
  const { source } = config;
  if (!isPaced(config) || !/^synthetic:/i.test(source)) return null;
  const [, over, under = '1'] = /[=:](?:rate|r)=([\d.]+)(?:\/(\d+))?/.exec(source) ?? [];
  return over === undefined ? GENERATOR_FPS : Number(over) / Number(under);
}

function round(fps: number): number {
  return Math.round(fps * 100) / 100;
}
