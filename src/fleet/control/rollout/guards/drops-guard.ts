import { ratio } from '../observed.ts';
import { ABOUT_SPEED, type Guard, guardSettingsWithParts } from './guard.ts';

/** No more frames are dropped than before. */
export const drops = {
  settings: guardSettingsWithParts(
    'Frames dropped.',
    [0.01, 0.2],
    [1, 1],
    ['Largest rise of the share of frames dropped.', 'The same for one stream.'],
  ),
  subject: 'the share of frames dropped',
  harm: 'rise',
  unit: 'points',
  bySides: {
    usual: { a: ({ dropped }) => dropped, b: ({ arrived }) => arrived },
    a: ({ dropped, usual, arrived }) => dropped - usual * arrived,
    b: ({ arrived }) => arrived,
  },
  ofStreams: {
    drops: {
      figure: ({ candidate, control, controlSum }, partMargin) => {
        if (candidate.arrived === 0) return null;
        const usual = Math.max(ratio(control.dropped, control.arrived), ratio(controlSum.dropped, controlSum.arrived));
        return { figure: candidate.dropped / candidate.arrived, limit: usual + partMargin };
      },
      limit: (partMargin) => partMargin,
      says: (size, blocks) => `${size} of the frames are dropped in ${blocks}`,
    },
  },
  advice: ABOUT_SPEED,
} as const satisfies Guard;
