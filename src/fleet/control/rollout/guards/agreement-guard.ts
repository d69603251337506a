import { z } from 'zod';
import { range } from '../../../../settings/config/number.ts';
import { ABOUT_BOXES, type Guard, isOn } from './guard.ts';

/** The candidate detects what the control detects. */
export const agreement = {
  settings: z
    .strictObject({
      isOn,
      margin: range(0.0001, 1)
        .default(0.03)
        .describe('Largest loss of F1 at IoU 0.5 against the control, on shadow frames.'),
      partMargin: range(0.01, 1)
        .default(0.3)
        .describe('Largest loss of F1 on one stream, for one class, or for one class on one stream.'),
      scoreSlack: range(0, 0.5)
        .default(0.1)
        .describe(
          'A box that is published by less than this may be this much weaker on the other side: weak boxes come and go.',
        ),
    })
    .prefault({})
    .describe('Whether the candidate detects what the control detects.'),
  subject: 'the share of boxes without a counterpart (1 - F1)',
  harm: 'rise',
  unit: 'points',
  // Without frames that both sides inferred it is unknown whether boxes agree.
  needs: 'shadow',
  byPairs: {
    of: { a: (frame) => frame.filter(({ isMissing }) => isMissing).length, b: (frame) => frame.length },
    minus: 0,
  },
  ofClasses: {
    agreement: {
      figure: ({ boxes, missed, candidateBoxes, extra }, partMargin) =>
        boxes + candidateBoxes > 0 ? { figure: (missed + extra) / (boxes + candidateBoxes), limit: partMargin } : null,
      limit: (partMargin) => partMargin,
      harmful: () => 'fails',
      says: (size, blocks) => `${size} of the boxes have no counterpart (1 - F1) in ${blocks}`,
    },
  },
  advice: ABOUT_BOXES,
  judges: 'same-detector',
} as const satisfies Guard;
