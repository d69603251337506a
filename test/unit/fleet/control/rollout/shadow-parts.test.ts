import { expect, it } from 'vitest';
import { guardsConfig } from '../../../../../src/fleet/control/rollout/guards/guards.ts';
import { BOXES } from '../../../../../src/fleet/control/rollout/shadow-agreement.ts';
import { ShadowParts } from '../../../../../src/fleet/control/rollout/shadow-parts.ts';

it('of a stream with very many classes, 24 have a part of their own, and the others one together, which counts all of them', () => {
  const parts = new ShadowParts(guardsConfig.parse({}));
  const labels = Array.from({ length: 30 }, (_, i) => `class ${i}`);
  const box = { ...BOXES.none(), boxes: 1, candidateBoxes: 1 };
  for (const nowMs of [100, 200]) parts.add('gate', new Map(labels.map((label) => [label, box])), nowMs);
  const ofGate = parts.state.parts.filter(({ stream, label }) => stream === 'gate' && label !== '');
  expect(ofGate.map(({ label, boxes }) => [label, boxes])).toEqual([
    ...labels.slice(0, 24).map((label) => [label, 2]),
    ['other classes', 12],
  ]);
});
