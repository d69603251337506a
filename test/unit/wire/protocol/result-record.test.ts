import { describe, expect, it } from 'vitest';
import { resultRecord } from '../../../../src/wire/protocol/result-record.ts';
import { poseOf } from '../../../../src/wire/protocol/skeleton.ts';
import { frameOf, person } from '../../after/sinks/frames.ts';

describe('the record of a result', () => {
  it('has mask, key points and angle, rounded, behind the other keys of a detection; absent if there are none', () => {
    const mask = { size: [720, 1280], counts: 'abc' } as const;
    const rich = { ...person, trackId: 7, mask, keypoints: [1.23456, -2.3456, 0.123456], angle: 12.3456 };
    const { detections } = resultRecord(frameOf(0, [rich, person]), 100);
    expect(JSON.stringify(detections)).toBe(
      '[{"classId":0,"label":"person","score":0.91,"box":[10,20,30,40],"trackId":7,"mask":{"size":[720,1280],"counts":"abc"},' +
        '"keypoints":[1.23,-2.35,0.1235],"angle":12.35},{"classId":0,"label":"person","score":0.91,"box":[10,20,30,40]}]',
    );
  });
});

describe('the pose that is drawn', () => {
  const points = (seen: readonly number[]) =>
    Array.from({ length: 17 }, (_, i) => [i, 10 * i, seen.includes(i) ? 0.9 : 0.2]).flat();

  it('has the points that are seen, and the lines between them', () => {
    // Left shoulder, elbow and wrist; and the right knee, whose neighbours are not seen.
    expect(poseOf(points([5, 7, 9, 14]))).toEqual({
      points: [
        [5, 50],
        [7, 70],
        [9, 90],
        [14, 140],
      ],
      lines: [
        [
          [5, 50],
          [7, 70],
        ],
        [
          [7, 70],
          [9, 90],
        ],
      ],
    });
  });

  it('has no lines between points of other objects than people', () => {
    expect(poseOf([1, 2, 0.9, 3, 4, 0.9])).toEqual({
      points: [
        [1, 2],
        [3, 4],
      ],
      lines: [],
    });
  });
});
