import { countAbove, ratio } from '../observed.ts';
import { ABOUT_SPEED, type Guard, guardSettingsWithParts, streamRule, TAIL_SHARE } from './guard.ts';

/** The share of frames above the tail may be this many times as large by chance. */
const TAIL_SLACK = 2;
/** A turn is slow if more than this share of its frames are above the limit, and few of the control's. */
const MOST = 0.5;
/** By chance at most this share of the turns is slow. */
const SLOW_TURNS = 0.25;

const factorOf = (partMargin: number): number => +(1 + partMargin).toFixed(2);

/** Latency does not rise: in the sum its tail, on a single stream its tail and its median. */
export const p99 = {
  settings: guardSettingsWithParts(
    'Latency from captured to published.',
    [0.1, 1],
    [10, 10],
    ['Largest relative rise of the 99th percentile of latency.', 'The same for one stream.'],
  ),
  subject: 'the 99th percentile of latency',
  harm: 'rise',
  unit: 'relative',
  bySides: 'tail',
  ofStreams: {
    p99: streamRule({
      sums: {
        // Latencies above the baseline's 99th percentile, of the candidate times the factor.
        tail: ({ side, latenciesMs }, { p99 }, partMargin) =>
          countAbove(latenciesMs, p99 * (side === 'control' ? 1 : 1 + partMargin)),
      },
      figure: ({ candidate, control, controlSum }) => {
        if (candidate.frames === 0 || control.frames === 0) return null;
        const shares = [ratio(control.tail, control.frames), ratio(controlSum.tail, controlSum.frames), TAIL_SHARE];
        return { figure: candidate.tail / candidate.frames, limit: TAIL_SLACK * Math.max(...shares) };
      },
      limit: () => TAIL_SHARE,
      says: (size, blocks, partMargin) =>
        `in ${blocks} ${size} of the frames take more than ${factorOf(partMargin)} times as long as 99 % of the control's`,
    }),
    median: streamRule({
      sums: {
        slow: ({ latenciesMs }, { p50 }, partMargin) => countAbove(latenciesMs, p50 * (1 + partMargin)),
      },
      figure: ({ candidate, control }) => {
        if (candidate.frames === 0 || control.frames === 0) return null;
        const slow = candidate.slow / candidate.frames;
        const isSlow = slow > MOST && control.slow / control.frames < slow / 2;
        return { figure: isSlow ? 1 : 0, limit: SLOW_TURNS };
      },
      limit: () => SLOW_TURNS,
      says: (size, blocks, partMargin) =>
        `in ${size} of ${blocks} most frames take more than ${factorOf(partMargin)} times as long as usual`,
    }),
  },
  advice: ABOUT_SPEED,
} as const satisfies Guard;
