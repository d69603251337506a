import { expect, it } from 'vitest';
import type { ComparedBox } from '../../../../../src/fleet/control/rollout/guards/guard.ts';
import { guardsConfig } from '../../../../../src/fleet/control/rollout/guards/guards.ts';
import { ShadowParts } from '../../../../../src/fleet/control/rollout/shadow-parts.ts';

it('of a stream with very many classes, 24 have a part of their own, and the others one together, which counts all of them', () => {
  const parts = new ShadowParts(guardsConfig.parse({}));
  const labels = Array.from({ length: 30 }, (_, i) => `class ${i}`);
  const boxOf = (label: string, side: ComparedBox['side']): ComparedBox => ({
    classId: 0,
    label,
    score: 0.9,
    box: [0, 0, 100, 100],
    side,
    isSure: false,
    isSmall: false,
    isMissing: false,
    isLost: false,
  });
  const frame = labels.flatMap((label) => [boxOf(label, 'control'), boxOf(label, 'candidate')]);
  for (const nowMs of [100, 200]) parts.add('gate', frame, nowMs);
  const ofGate = parts.state.parts.filter(({ stream, label }) => stream === 'gate' && label !== '');
  expect(ofGate.map(({ label, sums }) => [label, sums.boxes])).toEqual([
    ...labels.slice(0, 24).map((label) => [label, 2]),
    ['other classes', 12],
  ]);
});
