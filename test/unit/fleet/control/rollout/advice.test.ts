import { expect, it } from 'vitest';
import { GUARD_NAMES } from '../../../../../src/fleet/control/rollout/guards/guards.ts';
import { adviceAfter } from '../../../../../src/fleet/control/rollout/rollout-machine.ts';

it('every guard that can roll a candidate back says what to do next', () => {
  const hard = ['errors', 'results', 'slow', 'crashes', 'target', 'fullLoad'];
  for (const guard of [...GUARD_NAMES, ...hard]) expect(adviceAfter(guard), guard).toMatch(/^ [A-Z].*\.$/);
});
