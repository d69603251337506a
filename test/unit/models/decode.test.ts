import { describe, expect, it } from 'vitest';
import { DECODERS } from '../../../models/decoders.ts';
import type { ModelFamily, ModelSpec, OutputTensor } from '../../../src/base/core/model.ts';

function spec(family: ModelFamily, width: number, height: number): ModelSpec {
  const input = { width, height, resize: { mode: 'stretch' as const } };
  return {
    name: 'tiny',
    family,
    input,
    classes: ['a', 'b', 'c'],
    nmsIou: null,
    scoreThreshold: 0.3,
    maxDetections: 10,
    classesPerBox: 'best',
  };
}

function f32(dims: number[], values: number[]): OutputTensor {
  return { dims, data: Float32Array.from(values) };
}

/** 64x32 has 8x4 cells of 8 px, 4x2 of 16 px and 2x1 of 32 px: 42 in all. */
function yoloxOutput(images: number, cells: Record<number, number[]>): OutputTensor {
  const data = new Float32Array(images * 42 * 8);
  for (const [cell, values] of Object.entries(cells)) data.set(values, Number(cell) * 8);
  return { dims: [images, 42, 8], data };
}

describe('YOLOX', () => {
  it('places a box by its cell and stride: centre (cell + d) * stride, size exp(log size) * stride', () => {
    // Cell 32 + 5 is row 1, column 1 of the 16 px grid; ln 2 is two strides.
    const output = yoloxOutput(1, { 37: [0.5, 0.25, Math.log(2), 0, 0.5, 0.1, 0.8, 0.2] });
    const [rows] = DECODERS.yolox(new Map([['predictions', output]]), 1, spec('yolox', 64, 32), 0.3);
    // Centre x (1 + 0.5) * 16 = 24, y (1 + 0.25) * 16 = 20; size 32 x 16; score 0.5 * 0.8.
    expect(Array.from(rows!)).toEqual([8, 12, 32, 16, expect.closeTo(0.4, 6), 1]);
  });

  it('returns the best class, drops scores below the threshold, and keeps equal ones', () => {
    const output = yoloxOutput(1, {
      0: [0, 0, 0, 0, 1, 0.25, 0, 0],
      1: [0, 0, 0, 0, 0.25, 1, 0, 0],
      2: [0, 0, 0, 0, 1, 0, 0.24, 0],
    });
    const [rows] = DECODERS.yolox(new Map([['predictions', output]]), 1, spec('yolox', 64, 32), 0.25);
    expect(rows).toHaveLength(12);
    expect(Array.from(rows!.filter((_, at) => at % 6 === 4))).toEqual([0.25, 0.25]);
  });

  it('with classesPerBox all, reports every class that reaches the threshold, even more than there are cells', () => {
    const every = { ...spec('yolox', 64, 32), classesPerBox: 'all' as const };
    const cells = Object.fromEntries(Array.from({ length: 42 }, (_, cell) => [cell, [0, 0, 0, 0, 0.5, 0.5, 1, 0.25]]));
    const [rows] = DECODERS.yolox(new Map([['predictions', yoloxOutput(1, cells)]]), 1, every, 0.25);
    const found = Array.from({ length: rows!.length / 6 }, (_, row) => Array.from(rows!.slice(row * 6, row * 6 + 6)));
    expect(found).toHaveLength(84);
    // The first cell of the 32 px grid: its corner is the corner of the picture.
    expect(found.slice(80, 82)).toEqual([
      [-16, -16, 32, 32, 0.25, 0],
      [-16, -16, 32, 32, 0.5, 1],
    ]);
  });

  it('reads each picture of a batch separately, without the padding', () => {
    const output = yoloxOutput(3, {
      41: [0, 0, 0, 0, 1, 1, 0, 0],
      42: [0, 0, 0, 0, 1, 0, 0, 1],
      84: [0, 0, 0, 0, 1, 1, 1, 1],
    });
    const images = DECODERS.yolox(new Map([['predictions', output]]), 2, spec('yolox', 64, 32), 0.5);
    expect(images.map((rows) => Array.from(rows))).toEqual([
      [16, -16, 32, 32, 1, 0],
      [-4, -4, 8, 8, 1, 2],
    ]);
  });

  it.each([
    ['best', [2, 2]],
    ['all', [4, 3]],
  ] as const)('returns the same boxes for gated outputs as for published ones, classes: %s', (classesPerBox, boxes) => {
    const logit = (score: number) => Math.log(score / (1 - score));
    const cells: Record<number, number[]> = {
      // Two pictures of 42 cells; one cell of each grid, one below the threshold, two of the second picture.
      3: [0.5, 0.25, 0.1, -0.2, 0.9, 0.1, 0.8, 0.2],
      37: [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.6, 0.5],
      41: [-0.5, 0.75, 0, 0.5, 0.5, 0.1, 0.2, 0.3],
      45: [0.25, 0.5, 0.4, 0.3, 0.8, 0.2, 0.1, 0.9],
      82: [0, 0, 0, 0, 0.7, 0.6, 0.5, 0.4],
    };
    const published = new Map([['predictions', yoloxOutput(2, cells)]]);
    // By stride, then picture, then cell, as in the network.
    const order = [3, 45, 37, 82, 41];
    const planes = new Float32Array(2 * 5 * 42).fill(-20);
    for (const cell of order) {
      const [dx, dy, width, height, objectness] = cells[cell]!;
      const values = [dx!, dy!, width!, height!, logit(objectness!)];
      for (const [plane, value] of values.entries())
        planes[(Math.floor(cell / 42) * 5 + plane) * 42 + (cell % 42)] = value;
    }
    const gated = new Map<string, OutputTensor>([
      ['cells', { dims: [2, 5, 42], data: planes }],
      [
        'passing',
        {
          dims: [5, 2],
          data: BigInt64Array.from(order.flatMap((cell) => [BigInt(Math.floor(cell / 42)), BigInt(cell % 42)])),
        },
      ],
      [
        'classes',
        f32(
          [5, 3],
          order.flatMap((cell) => cells[cell]!.slice(5).map(logit)),
        ),
      ],
    ]);
    const [expected, received] = [published, gated].map((outputs) =>
      DECODERS.yolox(outputs, 2, { ...spec('yolox', 64, 32), classesPerBox }, 0.29),
    );
    expect(expected!.map((rows) => rows.length / 6)).toEqual(boxes);
    expect(received!.map((rows) => Array.from(rows))).toEqual(
      expected!.map((rows) => Array.from(rows, (value) => expect.closeTo(value, 5))),
    );
  });

  it('rejects an output that does not match the grid of the input', () => {
    const decode = () => DECODERS.yolox(new Map([['predictions', f32([1, 41, 8], [])]]), 1, spec('yolox', 64, 32), 0.5);
    expect(decode).toThrow('tiny: expected 42 cells for an input of 64x32, received 41');
  });
});

describe('CenterNet', () => {
  it('converts corners to top-left and size, without clipping', () => {
    const output = f32([1, 2, 6], [-4, 2, 6, 10, 0.9, 2, 0, 0, 1, 1, 0.1, 0]);
    const images = DECODERS.centernet(new Map([['detections', output]]), 1, spec('centernet', 64, 64), 0.3);
    expect(images.map((rows) => Array.from(rows))).toEqual([[-4, 2, 10, 8, expect.closeTo(0.9, 6), 2]]);
  });

  it('finds the detections of a network that runs as published, with a different name', () => {
    const outputs = new Map([
      ['tower_0/keypoints', f32([1, 2, 2, 6], new Array(24).fill(1))],
      ['tower_0/detections', f32([1, 1, 6], [1, 1, 2, 2, 0.5, 1])],
    ]);
    expect(DECODERS.centernet(outputs, 1, spec('centernet', 64, 64), 0.3)[0]).toHaveLength(6);
  });
});

describe('DEIMv2', () => {
  it('combines labels, boxes and scores of each picture', () => {
    const outputs = new Map<string, OutputTensor>([
      ['labels', { dims: [2, 2], data: BigInt64Array.from([1n, 0n, 2n, 1n]) }],
      ['boxes', f32([2, 2, 4], [0, 0, 1, 1, 10, 20, 30, 50, 5, 5, 6, 7, 0, 0, 1, 1])],
      ['scores', f32([2, 2], [0.25, 0.75, 0.5, 0.125])],
    ]);
    const images = DECODERS.deimv2(outputs, 2, spec('deimv2', 64, 64), 0.5);
    expect(images.map((rows) => Array.from(rows))).toEqual([
      [10, 20, 20, 30, 0.75, 0],
      [5, 5, 1, 2, 0.5, 2],
    ]);
  });

  it('lists the received outputs if one is missing', () => {
    const outputs = new Map([['boxes', f32([1, 1, 4], [0, 0, 1, 1])]]);
    expect(() => DECODERS.deimv2(outputs, 1, spec('deimv2', 64, 64), 0.5)).toThrow('received boxes [1, 1, 4]');
  });
});
