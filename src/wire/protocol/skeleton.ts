/** Pairs of COCO's 17 points of a person that are joined by a line: legs, hips, trunk, shoulders, arms, head. */
const PERSON_SKELETON: readonly (readonly [number, number])[] = [
  ...([
    [15, 13],
    [13, 11],
    [16, 14],
    [14, 12],
    [11, 12],
    [5, 11],
    [6, 12],
    [5, 6],
  ] as const),
  ...([
    [5, 7],
    [6, 8],
    [7, 9],
    [8, 10],
    [1, 2],
    [0, 1],
    [0, 2],
    [1, 3],
    [2, 4],
    [3, 5],
    [4, 6],
  ] as const),
];

/** A point with a lower score is hidden or outside of the picture: it is not drawn, and nothing is aligned by it. */
export const LEAST_SCORE = 0.5;

/** What is drawn of an object's key points. */
export interface Pose {
  /** Places of the points that are seen, in source pixels. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Between points of a person, in source pixels. */
  readonly lines: readonly (readonly [from: readonly [number, number], to: readonly [number, number]])[];
}

/**
 * Returns the points that are seen, and lines between them if they are COCO's 17 points of a person.
 *
 * @param keypoints - x, y and score of each in turn.
 */
export function poseOf(keypoints: readonly number[]): Pose {
  const count = keypoints.length / 3;
  const pointAt = (i: number) => [keypoints[3 * i]!, keypoints[3 * i + 1]!] as const;
  const isSeen = (i: number): boolean => keypoints[3 * i + 2]! >= LEAST_SCORE;
  const pairs = count === 17 ? PERSON_SKELETON : [];
  return {
    points: Array.from({ length: count }, (_, i) => i)
      .filter(isSeen)
      .map(pointAt),
    lines: pairs.filter((pair) => pair.every(isSeen)).map(([from, to]) => [pointAt(from), pointAt(to)]),
  };
}
