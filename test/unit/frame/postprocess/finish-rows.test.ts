import { describe, expect, it } from 'vitest';
import type { ModelSpec } from '../../../../src/base/core/model.ts';
import { finishRows } from '../../../../src/frame/postprocess/finish-rows.ts';

const SPEC: ModelSpec = {
  name: 'test',
  family: 'yolox',
  input: { width: 640, height: 640, resize: { mode: 'letterbox', anchor: 'top-left', padValue: 114 } },
  classes: ['person', 'bicycle'],
  nmsIou: 0.5,
  scoreThreshold: 0.3,
  maxDetections: 3,
  classesPerBox: 'best',
};
// 1280x720 in 640x640 at the top left: scaled by a half, the picture ends at row 360.
const PLACEMENT = { scaleX: 0.5, scaleY: 0.5, offsetX: 0, offsetY: 0 };
const SOURCE = { width: 1280, height: 720 };

describe('finishRows', () => {
  it('suppresses, sorts, maps to source pixels and clips', () => {
    const rows = Float32Array.of(
      ...[100, 100, 50, 50, 0.5, 0],
      ...[102, 100, 50, 50, 0.75, 0],
      ...[102, 100, 50, 50, 0.625, 1],
      ...[600, 340, 100, 100, 0.375, 0],
    );
    expect(Array.from(finishRows(rows, SPEC, PLACEMENT, SOURCE))).toEqual([
      ...[204, 200, 100, 100, 0.75, 0],
      ...[204, 200, 100, 100, 0.625, 1],
      ...[1200, 680, 80, 40, 0.375, 0],
    ]);
  });

  it('keeps overlapping boxes if the network needs no suppression', () => {
    const rows = Float32Array.of(...[0, 0, 50, 50, 0.5, 0], ...[0, 0, 50, 50, 0.75, 0]);
    expect(finishRows(rows, { ...SPEC, nmsIou: null }, PLACEMENT, SOURCE)).toHaveLength(12);
    expect(finishRows(rows, SPEC, PLACEMENT, SOURCE)).toHaveLength(6);
  });

  it('keeps the best maxDetections', () => {
    const rows = Float32Array.from(Array.from({ length: 6 }, (_, i) => [i * 100, 0, 50, 50, i / 8, 0]).flat());
    const finished = finishRows(rows, SPEC, PLACEMENT, SOURCE);
    expect(Array.from(finished.filter((_, i) => i % 6 === 4))).toEqual([0.625, 0.5, 0.375]);
  });

  it('removes boxes that lie in the border', () => {
    expect(finishRows(Float32Array.of(100, 400, 50, 50, 0.9, 0), SPEC, PLACEMENT, SOURCE)).toHaveLength(0);
  });
});
