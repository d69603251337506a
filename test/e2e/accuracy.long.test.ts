import { describe, expect, it } from 'vitest';
import { ACCURACY_CELLS, EVAL_TIMEOUT_MS, evaluated, reachesItsAp } from '../support/accuracy.ts';
import { sharedDir } from '../support/shared.ts';

describe.skipIf(sharedDir === null)('the AP of whole detectors on COCO (needs the shared folder)', () => {
  reachesItsAp(ACCURACY_CELLS);

  it(
    'measures the AP with pictures resized by ffmpeg',
    async () => {
      const { figures, resizeBy } = await evaluated('--model', 'deimv2-atto', '--resize-by', 'ffmpeg');
      expect(resizeBy).toBe('ffmpeg');
      expect(Math.abs(figures.AP - 0.3113)).toBeLessThan(0.02);
    },
    EVAL_TIMEOUT_MS,
  );
});
