import { expect, test } from 'vitest';
import { SceneSteps } from '../../../../src/frame/track/scene-steps.ts';

test('a step is how far the scene went since the frame before; none if it stands', () => {
  const steps = new SceneSteps();
  expect(steps.to({ x: 0, y: 0 })).toBeUndefined();
  expect(steps.to({ x: 4, y: -2 })).toEqual({ x: 4, y: -2 });
  expect(steps.to({ x: 4, y: -2 })).toBeUndefined();
  expect(steps.to({ x: 3, y: 0 })).toEqual({ x: -1, y: 2 });
});

test('steps add up, also over parts that begin at no shift', () => {
  const parts = [
    [
      { x: 0, y: 0 },
      { x: 8, y: 1 },
    ],
    [
      { x: 0, y: 0 },
      { x: 2, y: 0 },
    ],
  ];
  const sum = new SceneSteps();
  const found = parts.map((shifts) => {
    const steps = new SceneSteps();
    return shifts.map((shift) => sum.by(steps.to(shift)));
  });
  expect(found.flat().map(({ x }) => x)).toEqual([0, 8, 8, 10]);
});
