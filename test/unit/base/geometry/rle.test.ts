import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  areaOfRuns,
  bitmapOfRuns,
  boxOfRuns,
  decodeCounts,
  encodeCounts,
  footOfRuns,
  maskIou,
  maskOf,
  type Runs,
  runsOfBitmap,
  runsOfMask,
  runsOfPolygons,
  unionOfRuns,
} from '../../../../src/base/geometry/rle.ts';

const [HEIGHT, WIDTH] = [10, 13];

/** Made by pycocotools 2.0: frPyObjects, merge, decode, area and toBbox. */
const SHAPES = [
  {
    name: 'triangle',
    polygons: [[1.5, 1.2, 9.7, 3.1, 4.2, 8.9]],
    counts: 'e0382M2NO1O2M2OV1',
    area: 29,
    box: [2, 1, 7, 8],
    rows: [
      '.............',
      '..#..........',
      '..#####......',
      '..#######....',
      '...#####.....',
      '...####......',
      '...####......',
      '....##.......',
      '....#........',
      '.............',
    ],
  },
  {
    name: 'square on whole pixels',
    polygons: [[2, 3, 8, 3, 8, 7, 2, 7]],
    counts: 'g046000000000_1',
    area: 24,
    box: [2, 3, 6, 4],
    rows: [
      '.............',
      '.............',
      '.............',
      '..######.....',
      '..######.....',
      '..######.....',
      '..######.....',
      '.............',
      '.............',
      '.............',
    ],
  },
  {
    name: 'concave',
    polygons: [[1, 1, 11, 1, 11, 9, 6, 4.5, 1, 9]],
    counts: ';7300O1O1O1001O1O1O0c0',
    area: 58,
    box: [1, 1, 10, 7],
    rows: [
      '.............',
      '.##########..',
      '.##########..',
      '.##########..',
      '.##########..',
      '.####..####..',
      '.###....###..',
      '.##......##..',
      '.............',
      '.............',
    ],
  },
  {
    name: 'beyond the picture',
    polygons: [[-3.5, -2, 20, 4, 5, 30]],
    counts: '0l11]N0000001O0000',
    area: 120,
    box: [0, 0, 13, 10],
    rows: [
      '######.......',
      '##########...',
      '#############',
      '#############',
      '#############',
      '#############',
      '#############',
      '#############',
      '#############',
      '#############',
    ],
  },
  {
    name: 'repeated point',
    polygons: [[3, 2, 3, 2, 9, 2.5, 6, 8, 6, 8]],
    counts: 'P1192N2N00Nb1',
    area: 17,
    box: [3, 2, 5, 5],
    rows: [
      '.............',
      '.............',
      '...#####.....',
      '....####.....',
      '....####.....',
      '.....##......',
      '.....##......',
      '.............',
      '.............',
      '.............',
    ],
  },
  {
    name: 'thin',
    polygons: [[2, 5, 10, 5.1, 10, 5.2, 2, 5.3]],
    counts: 'R4',
    area: 0,
    box: [0, 0, 0, 0],
    rows: [
      '.............',
      '.............',
      '.............',
      '.............',
      '.............',
      '.............',
      '.............',
      '.............',
      '.............',
      '.............',
    ],
  },
  {
    name: 'two parts that overlap',
    polygons: [
      [1, 1, 6, 1, 6, 6, 1, 6],
      [4, 4, 11, 4, 11, 9, 4, 9],
    ],
    counts: ';5500003M03M00000000`0',
    area: 56,
    box: [1, 1, 10, 8],
    rows: [
      '.............',
      '.#####.......',
      '.#####.......',
      '.#####.......',
      '.##########..',
      '.##########..',
      '....#######..',
      '....#######..',
      '....#######..',
      '.............',
    ],
  },
];

/** By pycocotools: the IoU of each shape with each, and with the second as a crowd. */
const IOUS = [
  [1.0, 0.558824, 0.318182, 0.241667, 0.533333, 0.0, 0.393443],
  [0.558824, 1.0, 0.28125, 0.2, 0.413793, 0.0, 0.333333],
  [0.318182, 0.28125, 1.0, 0.471074, 0.209677, 0.0, 0.5],
  [0.241667, 0.2, 0.471074, 1.0, 0.141667, 0.0, 0.466667],
  [0.533333, 0.413793, 0.209677, 0.141667, 1.0, 0.0, 0.216667],
  [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
  [0.393443, 0.333333, 0.5, 0.466667, 0.216667, 0.0, 1.0],
];
const CROWD_IOUS = [
  [1.0, 0.655172, 0.724138, 1.0, 0.551724, 0.0, 0.827586],
  [0.791667, 1.0, 0.75, 1.0, 0.5, 0.0, 0.833333],
  [0.362069, 0.310345, 1.0, 0.982759, 0.224138, 0.0, 0.655172],
  [0.241667, 0.2, 0.475, 1.0, 0.141667, 0.0, 0.466667],
  [0.941176, 0.705882, 0.764706, 1.0, 1.0, 0.0, 0.764706],
  [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
  [0.428571, 0.357143, 0.678571, 1.0, 0.232143, 0.0, 1.0],
];

const SIZE = [HEIGHT, WIDTH] as const;
const runsOf = (counts: string): Runs => runsOfMask({ size: SIZE, counts });
const rowsOf = (runs: Runs): string[] => {
  const bitmap = bitmapOfRuns(runs);
  return Array.from({ length: runs.height }, (_, y) =>
    Array.from(bitmap.subarray(y * runs.width, (y + 1) * runs.width), (inside) => (inside === 1 ? '#' : '.')).join(''),
  );
};
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('masks equal those of pycocotools', () => {
  it.each(SHAPES)('$name', ({ polygons, counts, area, box, rows }) => {
    const runs = runsOfPolygons(polygons, HEIGHT, WIDTH);
    expect(rowsOf(runs)).toEqual(rows);
    expect(maskOf(runs)).toEqual({ size: SIZE, counts });
    expect([areaOfRuns(runs), boxOfRuns(runs)]).toEqual([area, box]);
    expect(rowsOf(runsOf(counts)), 'read again').toEqual(rows);
    const bitmap = Uint8Array.from(rows.join(''), (pixel) => (pixel === '#' ? 1 : 0));
    expect(maskOf(runsOfBitmap(bitmap, HEIGHT, WIDTH)).counts).toBe(counts);
  });

  it('in their IoU, with crowds too', () => {
    const masks = SHAPES.map(({ counts }) => runsOf(counts));
    const table = (isCrowd: boolean) => masks.map((a) => masks.map((b) => Number(maskIou(a, b, isCrowd).toFixed(6))));
    expect(table(false)).toEqual(IOUS);
    expect(table(true)).toEqual(CROWD_IOUS);
  });

  it('in uncompressed form', () => {
    const runs = runsOfMask({ size: SIZE, counts: [0, 5, 3, 100, 22] });
    expect(maskOf(runs).counts).toBe('053o2c0');
    expect([areaOfRuns(runs), boxOfRuns(runs)]).toEqual([105, [0, 0, 11, 10]]);
  });

  it('with long runs, which take more characters', () => {
    const bitmap = new Uint8Array(3000 * 2000);
    for (let y = 1000; y < 2500; y += 1) bitmap.fill(1, y * 2000 + 700, y * 2000 + 1500);
    const { counts } = maskOf(runsOfBitmap(bitmap, 3000, 2000));
    expect(counts.slice(0, 18)).toBe('XhSP2l^1l^10000000');
    expect(sha256(counts)).toBe('be8ddfb6fd70f9afe33ed386361869d2adda7ab505e3bb1005c937d163274824');
  });
});

describe('a mask', () => {
  it('with runs of length 0 has the same pixels', () => {
    const runs = { height: 4, width: 3, counts: [2, 1, 0, 3, 0, 0, 6] };
    expect(rowsOf(runs)).toEqual(['.#.', '.#.', '#..', '#..']);
    expect([areaOfRuns(runs), boxOfRuns(runs)]).toEqual([4, [0, 0, 2, 4]]);
    const whole = { height: 4, width: 3, counts: [2, 4, 6] };
    expect([maskIou(runs, whole), maskIou(whole, runs)]).toEqual([1, 1]);
  });

  it('joined with others has the pixels of any of them', () => {
    const [first, second] = [SHAPES[0]!, SHAPES[2]!].map(({ counts }) => runsOf(counts));
    const expected = SHAPES[0]!.rows.map((row, y) =>
      Array.from(row, (pixel, x) => (pixel === '#' || SHAPES[2]!.rows[y]![x] === '#' ? '#' : '.')).join(''),
    );
    expect(rowsOf(unionOfRuns(first!, second!))).toEqual(expected);
    expect(rowsOf(unionOfRuns(second!, first!))).toEqual(expected);
  });

  it('has its foot in the middle of its lowest row', () => {
    expect(footOfRuns(runsOf(SHAPES[2]!.counts))).toEqual({ x: (1.5 + 2.5 + 9.5 + 10.5) / 4, y: 8 });
    expect(footOfRuns(runsOf(SHAPES[5]!.counts))).toBeNull();
  });

  it('that is not one is refused, with what is wrong', () => {
    expect(() => runsOf('g046')).toThrow('expected run lengths of 10 x 13 = 130 pixels');
    expect(() => runsOfMask({ size: SIZE, counts: [200, -70] })).toThrow('= 130 pixels, received NaN');
    expect(() => decodeCounts('ab\u0001')).toThrow('expected compressed run lengths');
    expect(() => decodeCounts('R')).toThrow('cut off');
    expect(() => decodeCounts('P'.repeat(20))).toThrow('expected compressed run lengths');
    const other = { height: 13, width: 10, counts: [130] };
    expect(() => maskIou(runsOf(SHAPES[0]!.counts), other)).toThrow(
      'expected masks of one size, received 10 x 13 and 13 x 10',
    );
  });

  it('has no polygon if there is none', () => {
    expect(runsOfPolygons([], 2, 3)).toEqual({ height: 2, width: 3, counts: [6] });
  });
});

describe('run lengths', () => {
  it('are the same after they were written and read, whatever their size', () => {
    const lengths = Array.from({ length: 300 }, (_, i) => Math.floor(Math.abs(Math.sin(i)) * 2 ** (i % 31)));
    expect(decodeCounts(encodeCounts(lengths))).toEqual(lengths);
  });
});
