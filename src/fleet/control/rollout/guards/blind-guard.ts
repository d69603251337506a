import { z } from 'zod';
import { range } from '../../../../settings/config/number.ts';
import { boxesByPairs, classRule, type Guard } from './guard.ts';

/** Share of the control's sure boxes for which the candidate may have none, on a stream or of a class. */
const MOST_SURE_LOST = 0.5;

/** Another detector reports other boxes, but where the control reports many it must report some, and what is sure it must see. */
export const blind = {
  settings: z
    .strictObject({
      isOn: z
        .literal(true, 'expected true: boxes are never wholly unwatched; allow more by margin and partMargin')
        .default(true)
        .describe('Cannot be turned off.'),
      margin: range(0.0001, 1).default(0.5).describe('Largest relative fall of the number of boxes.'),
      partMargin: range(0.01, 1)
        .default(0.8)
        .describe('The same for one stream; for one class on all streams a person decides.'),
    })
    .prefault({})
    .describe(
      'Whether another detector sees anything where the control sees objects. Only if the candidate is another detector, or `agreement` and `boxes` are off.',
    ),
  subject: 'the number of boxes',
  harm: 'fall',
  unit: 'relative',
  needs: 'shadow',
  byPairs: boxesByPairs,
  ofClasses: {
    blind: {
      // Its boxes need not match, nor have the same class: labels have shown that it is right.
      figure: ({ boxes, candidateBoxes }, partMargin) =>
        boxes > 0 ? { figure: Math.max(0, 1 - candidateBoxes / boxes), limit: partMargin } : null,
      limit: (partMargin) => partMargin,
      says: (size, blocks) => `it reports ${size} fewer boxes than the control in ${blocks}`,
      // What the old detector mistook for a class is rightly lost.
      harmful: (part) => (({ stream: 'fails', class: 'holds', 'class-of-stream': 'never' }) as const)[part],
    },
    sure: classRule({
      sums: {
        sureBoxes: ({ side, isSure }) => (side === 'control' && isSure ? 1 : 0),
        sureLost: ({ side, isSure, isLost }) => (side === 'control' && isSure && isLost ? 1 : 0),
      },
      figure: ({ sureBoxes, sureLost }) =>
        sureBoxes > 0 ? { figure: sureLost / sureBoxes, limit: MOST_SURE_LOST } : null,
      limit: () => MOST_SURE_LOST,
      says: (size, blocks) => `it has no box of any class for ${size} of the control's sure boxes in ${blocks}`,
      // One camera may show a statue that the control is sure of; a whole class is not made of statues.
      harmful: (part) => (({ stream: 'fails', class: 'fails', 'class-of-stream': 'never' }) as const)[part],
    }),
  },
  advice:
    'Look at the boxes of both on the dashboard; if the control is the one that is wrong, "rollout promote" goes on without the guards.',
  judges: 'other-detector',
  standsInFor: ['agreement', 'boxes'],
} as const satisfies Guard;
