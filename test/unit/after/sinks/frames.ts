import type { Detection } from '../../../../src/base/core/detection.ts';
import type { PublishedFrame } from '../../../../src/base/core/frame.ts';
import type { MonoMs, PtsUs } from '../../../../src/base/core/units.ts';

const at = 0 as MonoMs;
const times = { captured: at, decoded: at, preprocessed: at, batched: at, inferred: at, published: at };

export function frameOf(frame: number, detections: readonly Detection[] = []): PublishedFrame {
  return {
    streamId: 's',
    frame,
    ptsUs: (frame * 40_000) as PtsUs,
    width: 1280,
    height: 720,
    by: 'inferred',
    detections,
    times,
  };
}

export const person: Detection = { classId: 0, label: 'person', score: 0.91, box: [10, 20, 30, 40] };
