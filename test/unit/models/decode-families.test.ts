import { describe, expect, it } from 'vitest';
import { DECODERS } from '../../../models/decoders.ts';
import type { ModelFamily, ModelSpec, OutputTensor } from '../../../src/base/core/model.ts';

const WIDTH = 100;
const HEIGHT = 50;

function spec(family: ModelFamily, classesPerBox: 'best' | 'all' = 'best', classes = 3): ModelSpec {
  return {
    name: 'tiny',
    family,
    input: { width: WIDTH, height: HEIGHT, resize: { mode: 'stretch' } },
    classes: Array.from({ length: classes }, (_, index) => `class${index}`),
    nmsIou: null,
    scoreThreshold: 0.3,
    maxDetections: 10,
    classesPerBox,
  };
}

function f32(dims: number[], values: number[]): OutputTensor {
  return { dims, data: Float32Array.from(values) };
}

/** Rows rounded to f32 precision, picture by picture. */
function decoded(
  family: ModelFamily,
  outputs: Record<string, OutputTensor>,
  options: { images?: number; threshold?: number; classesPerBox?: 'best' | 'all'; classes?: number } = {},
): number[][][] {
  const { images = 1, threshold = 0.3, classesPerBox, classes } = options;
  const packed = DECODERS[family](
    new Map(Object.entries(outputs)),
    images,
    spec(family, classesPerBox, classes),
    threshold,
  );
  return packed.map((rows) =>
    Array.from({ length: rows.length / 6 }, (_, at) =>
      Array.from(rows.subarray(at * 6, at * 6 + 6), (value) => Number(value.toFixed(4))),
    ),
  );
}

describe('YOLOv5: centre and size in pixels, score = objectness * class', () => {
  const predictions = f32(
    [1, 3, 8],
    [
      // Score 0.8 * 0.75 = 0.6 for class 1, 0.8 * 0.5 = 0.4 for class 2.
      ...[30, 20, 10, 8, 0.8, 0.1, 0.75, 0.5],
      // Objectness alone is below the threshold.
      ...[30, 20, 10, 8, 0.2, 1, 1, 1],
      // Objectness passes, 0.5 * 0.5 does not.
      ...[30, 20, 10, 8, 0.5, 0.5, 0.5, 0.5],
    ],
  );

  it('returns the best class, with the top-left corner of the box', () => {
    expect(decoded('yolov5', { predictions })).toEqual([[[25, 16, 10, 8, 0.6, 1]]]);
  });

  it('with classesPerBox all, returns every class of a candidate above the threshold', () => {
    expect(decoded('yolov5', { predictions }, { classesPerBox: 'all' })).toEqual([
      [
        [25, 16, 10, 8, 0.6, 1],
        [25, 16, 10, 8, 0.4, 2],
      ],
    ]);
  });
});

describe('YOLOv8: planes of centre, size and class scores', () => {
  // Two cells; planes cx, cy, w, h, then a score for each of three classes.
  const planes = [
    [50, 10],
    [25, 12],
    [20, 4],
    [10, 6],
    [0.1, 0.9],
    [0.7, 0.2],
    [0.5, 0.4],
  ];
  const predictions = f32([1, 7, 2], planes.flat());

  it('returns the best class of each cell', () => {
    expect(decoded('yolov8', { predictions })).toEqual([
      [
        [40, 20, 20, 10, 0.7, 1],
        [8, 9, 4, 6, 0.9, 0],
      ],
    ]);
  });

  it('with classesPerBox all, returns every class above the threshold', () => {
    expect(decoded('yolov8', { predictions }, { classesPerBox: 'all' })).toEqual([
      [
        [8, 9, 4, 6, 0.9, 0],
        [40, 20, 20, 10, 0.7, 1],
        [40, 20, 20, 10, 0.5, 2],
        [8, 9, 4, 6, 0.4, 2],
      ],
    ]);
  });

  it('also reads an export with swapped axes, picture by picture', () => {
    const rows = [0, 1].flatMap((cell) => planes.map((plane) => plane[cell]!));
    const turned = f32([2, 2, 7], [...rows, ...new Array(14).fill(0)]);
    const images = decoded('yolov8', { predictions: turned }, { images: 2 });
    expect(images).toEqual([...decoded('yolov8', { predictions }), []]);
  });

  it('returns no boxes of an earlier picture for a later, smaller one', () => {
    decoded('yolov8', { predictions: f32([1, 7, 9], new Array(63).fill(1)) });
    expect(decoded('yolov8', { predictions: f32([1, 7, 1], [5, 5, 2, 2, 0, 0.4, 0]) })).toEqual([
      [[4, 4, 2, 2, 0.4, 1]],
    ]);
  });

  it('rejects an output with a different number of classes', () => {
    expect(() => decoded('yolov8', { predictions: f32([1, 9, 2], []) })).toThrow('expected 7 channels for 3 classes');
  });
});

describe('YOLO for other tasks: what stands behind the class scores', () => {
  /** One cell, with class 1 of 3. */
  const cell = (...more: number[]) => f32([1, 7 + more.length, 1], [50, 25, 20, 10, 0.1, 0.7, 0.5, ...more]);
  const rowsOf = (family: ModelFamily, outputs: Record<string, OutputTensor>, more: Partial<ModelSpec> = {}) => {
    const [rows] = DECODERS[family](new Map(Object.entries(outputs)), 1, { ...spec(family), ...more }, 0.3);
    return Array.from(rows!, (value) => Number(value.toFixed(4)));
  };
  const box = [40, 20, 20, 10, 0.7, 1];
  const prototypes = f32([1, 2, 1, 1], [0, 0]);

  it('the coefficients of the mask', () => {
    expect(rowsOf('yolov8-seg', { predictions: cell(-1, 2), prototypes })).toEqual([...box, -1, 2]);
    const rows = [50, 25, 20, 10, 0.8, 0.1, 0.75, 0.5, 3, -4, ...[50, 25, 20, 10, 0.1, 1, 1, 1, 9, 9]];
    expect(rowsOf('yolov5-seg', { predictions: f32([1, 2, 10], rows), prototypes })).toEqual([
      40, 20, 20, 10, 0.6, 1, 3, -4,
    ]);
  });

  it('the key points; without visibility they have the score of the box', () => {
    const points = { keypoints: 2 };
    const three = cell(1, 2, 0.9, 3, 4, 0.1);
    expect(rowsOf('yolov8-pose', { predictions: three }, points)).toEqual([...box, 1, 2, 0.9, 3, 4, 0.1]);
    expect(rowsOf('yolov8-pose', { predictions: cell(1, 2, 3, 4) }, points)).toEqual([...box, 1, 2, 0.7, 3, 4, 0.7]);
  });

  it('the angle', () => {
    expect(rowsOf('yolov8-obb', { predictions: cell(0.5) })).toEqual([...box, 0.5]);
  });

  it('of each class of a box, if all are asked for', () => {
    const rows = rowsOf('yolov8-obb', { predictions: cell(0.5) }, { classesPerBox: 'all' });
    expect(rows).toEqual([...box, 0.5, 40, 20, 20, 10, 0.5, 2, 0.5]);
  });
});

describe('RTMDet: boxes with labels that the network has already selected', () => {
  const outputs = {
    boxes: f32([2, 2, 5], [10, 5, 30, 25, 0.9, 0, 0, 0, 0, 0.2, ...[0, 0, 0, 0, 0], 1, 2, 4, 8, 0.5]),
    labels: { dims: [2, 2], data: BigInt64Array.from([2n, 1n, -1n, 0n]) },
  };

  it('are read by picture, without the rows that only fill it up', () => {
    expect(decoded('rtmdet', outputs, { images: 2 })).toEqual([[[10, 5, 20, 20, 0.9, 2]], [[1, 2, 3, 6, 0.5, 0]]]);
  });

  it('and a row without a class is no box, whatever the threshold', () => {
    expect(decoded('rtmdet', outputs, { images: 2, threshold: 0 })[1]).toHaveLength(1);
  });

  it('of RTMDet-Ins choose the mask of their own row', () => {
    const [first, second] = DECODERS['rtmdet-ins'](
      new Map(Object.entries(outputs)),
      2,
      { ...spec('rtmdet-ins'), task: 'masks' },
      0.3,
    );
    expect(Array.from(first!.subarray(6))).toEqual([1, 0]);
    expect(Array.from(second!.subarray(6))).toEqual([0, 1]);
  });
});

describe('RTMPose: the likeliest column and row of each point', () => {
  it('with the smaller likelihood as its score, and the mean of them as that of the object', () => {
    // Four columns of 25 pixels, two rows of 25.
    const x = f32([2, 2, 4], [0, 0.1, 0.9, 0, 0.5, 0, 0, 0, ...Array(8).fill(0)]);
    const y = f32([2, 2, 2], [0.7, 0, 0, 1.2, ...Array(4).fill(0)]);
    const [first, second] = DECODERS.rtmpose(
      new Map([
        ['x', x],
        ['y', y],
      ]),
      2,
      spec('rtmpose'),
      0.3,
    );
    expect(Array.from(first!, (value) => Number(value.toFixed(4)))).toEqual([
      ...[0, 0, WIDTH, HEIGHT, 0.6, 0],
      ...[50, 0, 0.7, 0, 25, 0.5],
    ]);
    expect(second).toHaveLength(0);
  });
});

describe('YuNet: offsets from the priors of each cell', () => {
  it('with five points of the score of their face, picture after picture', () => {
    // 12 x 6 cells with 3 priors, 6 x 3 with 2, 3 x 1 with 2, and none of stride 64, whose grid rounds down.
    const priors = 216 + 36 + 6;
    const [predictions, scores, ious] = [14, 2, 1].map((columns) => f32([2 * priors, columns], []));
    for (const [output, columns] of [
      [predictions, 14],
      [scores, 2],
      [ious, 1],
    ] as const)
      Object.assign(output!, { data: new Float32Array(2 * priors * columns) });
    // Of the second picture, stride 16, column 2, row 1: the larger of its priors, 48 pixels about 40, 24.
    const at = priors + 216 + (1 * 6 + 2) * 2 + 1;
    const points = Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? i / 2 : -(i - 1) / 2));
    (predictions!.data as Float32Array).set([1, -1, 10 * Math.log(0.5), 5 * Math.log(2), ...points], 14 * at);
    (scores!.data as Float32Array).set([0.19, 0.81], 2 * at);
    (ious!.data as Float32Array).set([1.5], at);
    const outputs = new Map(Object.entries({ predictions: predictions!, scores: scores!, ious: ious! }));
    const [first, second] = DECODERS.yunet(outputs, 2, { ...spec('yunet'), keypoints: 5 }, 0.3);
    expect(first).toHaveLength(0);
    expect(Array.from(second!, (value) => Number(value.toFixed(4)))).toEqual([
      ...[44.8 - 12, 19.2 - 48, 24, 96, 0.9, 0].map((value) => Number(value.toFixed(4))),
      ...[0, 1, 2, 3, 4].flatMap((i) => [40 + 4.8 * i, 24 - 4.8 * i, 0.9].map((value) => Number(value.toFixed(4)))),
    ]);
  });
});

describe('classifiers: a row for each class, with the input as its box', () => {
  const rows = [
    [0, 0, WIDTH, HEIGHT, 0.6667, 1],
    [0, 0, WIDTH, HEIGHT, 0.3333, 2],
  ];

  it('applies the softmax to logits, picture by picture', () => {
    const logits = f32([2, 3], [-90, Math.log(2), 0, -900, 1000 + Math.log(2), 1000]);
    expect(decoded('classifier', { logits }, { images: 2 })).toEqual([rows, rows]);
  });

  it('takes probabilities as they are', () => {
    expect(decoded('classifier', { probabilities: f32([1, 3], [0, 2 / 3, 1 / 3]) })).toEqual([rows]);
  });
});

describe('end-to-end YOLO: corners in pixels, score, class', () => {
  it('converts corners to sizes, and skips rows of zeros for any threshold', () => {
    const detections = f32([1, 3, 6], [10, 5, 30, 25, 0.9, 2, 1, 1, 2, 2, 0.1, 0, 0, 0, 0, 0, 0, 0]);
    expect(decoded('yolo-end2end', { detections })).toEqual([[[10, 5, 20, 20, 0.9, 2]]]);
    expect(decoded('yolo-end2end', { detections }, { threshold: 0 })[0]).toHaveLength(2);
  });
});

describe('DETR heads: centre and size as fractions of the input', () => {
  // Centre (50, 25), size 20 x 10 of an input of 100 x 50.
  const box = [0.5, 0.5, 0.2, 0.2];
  const corner = [40, 20, 20, 10];

  it('applies the sigmoid to logits: ln 3 is 0.75', () => {
    const outputs = {
      boxes: f32([1, 2, 4], [...box, 0, 0, 0, 0]),
      logits: f32([1, 2, 3], [-5, Math.log(3), 0, -5, -5, -5]),
    };
    expect(decoded('detr', outputs)).toEqual([[[...corner, 0.75, 1]]]);
    expect(decoded('detr', outputs, { classesPerBox: 'all' })).toEqual([
      [
        [...corner, 0.75, 1],
        [...corner, 0.5, 2],
      ],
    ]);
  });

  it('keeps a logit whose score equals the threshold', () => {
    const outputs = { boxes: f32([1, 1, 4], box), logits: f32([1, 1, 3], [0, -1, -2]) };
    expect(decoded('detr', outputs, { threshold: 0.5 })[0]).toHaveLength(1);
  });

  it('reads scores beside the boxes without a sigmoid', () => {
    const predictions = f32([1, 2, 7], [...box, 0.2, 0.4, 0.6, ...box, 0.1, 0.1, 0.1]);
    expect(decoded('detr', { predictions })).toEqual([[[...corner, 0.6, 2]]]);
    expect(decoded('detr', { predictions }, { classesPerBox: 'all' })[0]).toHaveLength(2);
  });

  it('reads score and class if the network selects the best boxes, for each picture', () => {
    const detections = f32([2, 1, 6], [...box, 0.2, 1, ...box, 0.8, 1]);
    expect(decoded('detr', { detections }, { images: 2 })).toEqual([[], [[...corner, 0.8, 1]]]);
  });

  it('lists the received outputs if one is missing', () => {
    expect(() => decoded('detr', { boxes: f32([1, 1, 4], box) })).toThrow('received boxes [1, 1, 4]');
  });
});

describe("SSD from TensorFlow: y before x, as fractions of the input, classes from 1, 'count' rows", () => {
  it('returns corner and size in pixels and classes from 0', () => {
    const outputs = {
      boxes: f32([2, 2, 4], [0.2, 0.1, 0.6, 0.4, 0, 0, 1, 1, 0, 0, 0.5, 0.5, 0, 0, 1, 1]),
      classes: f32([2, 2], [1, 2, 3, 1]),
      scores: f32([2, 2], [0.9, 0.8, 0.5, 0.1]),
      count: f32([2], [1, 2]),
    };
    expect(decoded('ssd', outputs, { images: 2 })).toEqual([[[10, 10, 30, 20, 0.9, 0]], [[0, 0, 50, 25, 0.5, 2]]]);
  });
});
