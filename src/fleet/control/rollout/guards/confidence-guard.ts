import { ABOUT_BOXES, boxesOf, type ComparedBox, type ComparedFrame, type Guard, guardSettings } from './guard.ts';

function scoresOf(frame: ComparedFrame, wanted: ComparedBox['side']): number {
  return frame.reduce((sum, { side, score }) => (side === wanted ? sum + score : sum), 0);
}

/** The candidate is as sure of its boxes. */
export const confidence = {
  settings: guardSettings('How sure the candidate is.', 0.05, 1, 'Largest fall of the mean confidence of the boxes.'),
  subject: 'the mean confidence',
  harm: 'fall',
  unit: 'points',
  bySides: {
    usual: { a: ({ scoreSum }) => scoreSum, b: ({ boxes }) => boxes },
    a: ({ scoreSum, usual, boxes }) => scoreSum - usual * boxes,
    b: ({ boxes }) => boxes,
  },
  byPairs: {
    of: { a: (frame) => scoresOf(frame, 'candidate'), b: (frame) => boxesOf(frame, 'candidate') },
    minus: { a: (frame) => scoresOf(frame, 'control'), b: (frame) => boxesOf(frame, 'control') },
  },
  advice: ABOUT_BOXES,
  judges: 'same-detector',
} as const satisfies Guard;
