import { boxesByPairs, type Guard, guardSettingsWithParts } from './guard.ts';

/** Another detector reports other boxes, but where the control reports many it must report some. */
export const blind = {
  settings: guardSettingsWithParts(
    'Whether another detector sees anything where the control sees objects. Only if the candidate is another detector.',
    [0.5, 0.8],
    [1, 1],
    [
      'Largest relative fall of the number of boxes.',
      'The same for one stream; for one class on all streams a person decides.',
    ],
  ),
  subject: 'the number of boxes',
  harm: 'fall',
  unit: 'relative',
  needs: 'shadow',
  bySides: null,
  byPairs: boxesByPairs,
  ofStreams: null,
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
  },
  advice:
    'Look at the boxes of both on the dashboard; if the control is the one that is wrong, start it again with blind: { isOn: false } in --guards FILE.',
  judges: 'other-detector',
} as const satisfies Guard;
