import { ABOUT_BOXES, boxesByPairs, type Guard, guardSettingsWithParts } from './guard.ts';

/** The candidate has about as many boxes; on a part, it does not lack those of the control. */
export const boxes = {
  settings: guardSettingsWithParts(
    'How much is detected.',
    [0.1, 0.5],
    [10, 1],
    [
      'Largest relative change of the number of boxes, up or down.',
      'Largest share of boxes missing on one stream, for one class, or for one class on one stream.',
    ],
  ),
  subject: 'the number of boxes',
  harm: 'change',
  unit: 'relative',
  bySides: {
    usual: { a: ({ boxes }) => boxes, b: ({ frames }) => frames },
    a: ({ boxes }) => boxes,
    b: ({ usual, frames }) => usual * frames,
  },
  byPairs: boxesByPairs,
  ofClasses: {
    boxesLost: {
      figure: ({ boxes, missed }, partMargin) => (boxes > 0 ? { figure: missed / boxes, limit: partMargin } : null),
      limit: (partMargin) => partMargin,
      harmful: () => 'fails',
      says: (size, blocks) => `${size} of the boxes are missing in ${blocks}`,
    },
  },
  advice: ABOUT_BOXES,
  judges: 'same-detector',
} as const satisfies Guard;
