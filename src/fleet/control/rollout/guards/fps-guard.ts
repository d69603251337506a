import { ratio } from '../observed.ts';
import { ABOUT_SPEED, type Guard, guardSettingsWithParts, wantedFps } from './guard.ts';

/** A frame more or less at the ends of a block is no change of the rate. */
const RATE_SLACK_FRAMES = 1.5;

/** The rate of frames does not fall: of those that arrive where the source has its own rate, else by the clock. */
export const fps = {
  settings: guardSettingsWithParts(
    'Frames per second attained.',
    [0.02, 0.1],
    [1, 1],
    ['Largest relative fall of the frames per second attained.', 'The same for one stream.'],
  ),
  subject: 'the rate of frames attained',
  harm: 'fall',
  unit: 'relative',
  bySides: {
    usual: { a: ({ fpsAttained, seconds }) => fpsAttained * seconds, b: ({ seconds }) => seconds },
    a: ({ isOwnRate, frames, fpsAttained, seconds }) => (isOwnRate ? frames : fpsAttained * seconds),
    b: ({ isOwnRate, arrived, usual, pace, seconds }) => (isOwnRate ? arrived : wantedFps(usual, pace) * seconds),
  },
  ofStreams: {
    fps: {
      figure: ({ candidate, control, pace, isOwnRate }, partMargin) => {
        if (control.frames === 0) return null;
        const expected = isOwnRate
          ? ratio(control.frames, control.arrived) * candidate.arrived
          : wantedFps(control.frames / control.seconds, pace) * candidate.seconds;
        if (expected === 0) return null;
        return { figure: Math.max(0, 1 - (candidate.frames + RATE_SLACK_FRAMES) / expected), limit: partMargin };
      },
      limit: (partMargin) => partMargin,
      says: (size, blocks) => `the rate falls by ${size} in ${blocks}`,
    },
  },
  advice: ABOUT_SPEED,
} as const satisfies Guard;
