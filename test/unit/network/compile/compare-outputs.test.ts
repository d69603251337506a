import { describe, expect, it } from 'vitest';
import type { ModelFamily, OutputTensor } from '../../../../src/base/core/model.ts';
import { compareOutputs } from '../../../../src/network/compile/verify/compare-outputs.ts';

type Outputs = Record<string, OutputTensor>;

function f32(dims: number[], values: number[]): OutputTensor {
  return { dims, data: Float32Array.from(values) };
}

/** Largest difference of each compared output. */
function differences(family: ModelFamily, before: Outputs, after: Outputs): Record<string, number> {
  const [source, compiled] = [before, after].map((outputs) => [new Map(Object.entries(outputs))]);
  return Object.fromEntries(compareOutputs(family, source!, compiled!).map(({ output, maxAbs }) => [output, maxAbs]));
}

const near = (value: number) => expect.closeTo(value, 5);

describe('families that rank their boxes', () => {
  // Two boxes of class 1 with almost the same score; the second list has them in reverse order, one moved by 0.25 px.
  const first = [10, 10, 50, 40, 0.75, 1];
  const second = [200, 20, 260, 90, 0.5, 1];
  const moved = [200.25, 20, 260, 90, 0.5, 1];

  it('match end-to-end rows by position, not by rank', () => {
    const before = { detections: f32([1, 2, 6], [...first, ...second]) };
    const after = { detections: f32([1, 2, 6], [...moved, ...first]) };
    expect(differences('yolo-end2end', before, after)).toEqual({ boxes: near(0.25), scores: 0 });
  });

  it('count the whole score of a box that was lost or has another class', () => {
    const before = { detections: f32([1, 2, 6], [...first, ...second]) };
    const lost = { detections: f32([1, 1, 6], first) };
    const renamed = { detections: f32([1, 2, 6], [...first, ...second.slice(0, 5), 2]) };
    expect(differences('yolo-end2end', before, lost)).toEqual({ boxes: 0, scores: 0.5 });
    expect(differences('yolo-end2end', before, renamed)).toEqual({ boxes: 0, scores: 0.5 });
  });

  it('apply the sigmoid to logits, and convert centres to corners, as fractions of the input', () => {
    const boxes = [0.25, 0.25, 0.1, 0.1, 0.75, 0.75, 0.1, 0.1];
    const before = { boxes: f32([1, 2, 4], boxes), logits: f32([1, 2, 2], [Math.log(3), -9, -9, 0]) };
    // The queries have swapped places, one score is 0.5 instead of 0.75, and one box is 0.02 wider.
    const wider = [0.75, 0.75, 0.12, 0.1, 0.25, 0.25, 0.1, 0.1];
    const after = { boxes: f32([1, 2, 4], wider), logits: f32([1, 2, 2], [-9, 0, 0, -9]) };
    expect(differences('detr', before, after)).toEqual({ boxes: near(0.01), scores: near(0.25) });
  });

  it('join boxes, classes and scores of an SSD', () => {
    const outputs = (scores: number[]) => ({
      boxes: f32([1, 2, 4], [0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1]),
      classes: f32([1, 2], [1, 2]),
      scores: f32([1, 2], scores),
      count: f32([1], [2]),
    });
    expect(differences('ssd', outputs([0.75, 0.5]), outputs([0.75, 0.25]))).toEqual({ boxes: 0, scores: 0.25 });
  });
});

describe('families with a row for each cell', () => {
  it('are compared number by number', () => {
    const before = { predictions: f32([1, 5, 2], [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 0.25]) };
    const after = { predictions: f32([1, 5, 2], [1, 2, 3, 4, 5, 6, 7, 8.5, 0.5, 0.25]) };
    expect(differences('yolov8', before, after)).toEqual({ predictions: 0.5 });
  });
});
