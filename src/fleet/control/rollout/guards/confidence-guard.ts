import { ABOUT_BOXES, type Guard, guardSettings } from './guard.ts';

/** The candidate is as sure of its boxes. */
export const confidence = {
  settings: guardSettings('How sure the candidate is.', 0.05, 1, 'Largest fall of the mean confidence of the boxes.'),
  subject: 'the mean confidence',
  harm: 'fall',
  unit: 'points',
  needs: null,
  bySides: { a: ({ scoreSum, baseline, boxes }) => scoreSum - baseline.score * boxes, b: ({ boxes }) => boxes },
  byPairs: {
    of: { a: ({ candidateScores }) => candidateScores, b: ({ candidateBoxes }) => candidateBoxes },
    minus: { a: ({ scores }) => scores, b: ({ boxes }) => boxes },
  },
  ofStreams: null,
  ofClasses: null,
  advice: ABOUT_BOXES,
  judges: 'same-detector',
} as const satisfies Guard;
