import { describe, expect, it } from 'vitest';
import { maskOf, runsOfPolygons } from '../../../../src/base/geometry/rle.ts';
import { ZoneCounter, type ZoneOptions } from '../../../../src/frame/track/zones.ts';
import { personAt } from './scenes.ts';

const leftHalf: ZoneOptions = {
  id: 'left',
  polygon: [
    [0, 0],
    [0.5, 0],
    [0.5, 1],
    [0, 1],
  ],
};

function countIn(zone: ZoneOptions, ...detections: ReturnType<typeof personAt>[]): number {
  const counter = new ZoneCounter([zone]);
  counter.update({ width: 1000, height: 500, ptsUs: 0, detections });
  return counter.report()[0]!.inside;
}

describe('ZoneCounter', () => {
  it('counts objects by the bottom centre of their box, in ratios of the picture', () => {
    expect(countIn(leftHalf, personAt(499, 200, { trackId: 1 }), personAt(501, 200, { trackId: 2 }))).toBe(1);
    const upper: ZoneOptions = {
      ...leftHalf,
      polygon: [
        [0, 0],
        [1, 0],
        [1, 0.5],
        [0, 0.5],
      ],
    };
    expect(countIn(upper, personAt(100, 260, { trackId: 1 }))).toBe(0);
    expect(countIn({ ...upper, anchor: 'center' }, personAt(100, 260, { trackId: 1 }))).toBe(1);
  });

  it('counts objects by the foot of their mask, if it says so, and without a mask as before', () => {
    // A tree that leans: its lowest row is at the right of its box, where the left half has ended.
    const mask = maskOf(runsOfPolygons([[400, 100, 480, 100, 560, 200, 540, 200]], 500, 1000));
    const leaning = { ...personAt(480, 150, { trackId: 1 }), box: [400, 100, 160, 100] as const };
    const byFoot: ZoneOptions = { ...leftHalf, anchor: 'mask-foot' };
    expect([countIn(leftHalf, { ...leaning, mask }), countIn(byFoot, { ...leaning, mask })]).toEqual([1, 0]);
    expect(countIn(byFoot, leaning)).toBe(1);
  });

  it('counts what is there now, also without a track', () => {
    expect(countIn(leftHalf, personAt(100, 200), personAt(200, 200, { trackId: 1 }))).toBe(2);
  });

  it('does not count an object with another label', () => {
    const cars: ZoneOptions = { ...leftHalf, labels: ['car', 'truck'] };
    const scene = [personAt(100, 200, { trackId: 1 }), personAt(200, 200, { trackId: 2, label: 'truck' })];
    expect(countIn(cars, ...scene)).toBe(1);
  });

  it('counts neither what is too small nor what is too unsure', () => {
    const scene = [
      personAt(100, 200),
      personAt(200, 200, { score: 0.5 }),
      { ...personAt(300, 200), box: [290, 150, 20, 49] as const },
    ];
    expect(countIn(leftHalf, ...scene)).toBe(3);
    expect(countIn({ ...leftHalf, minScore: 0.6 }, ...scene)).toBe(2);
    expect(countIn({ ...leftHalf, minScore: 0.5 }, ...scene), 'just its limit').toBe(3);
    expect(countIn({ ...leftHalf, minSize: 0.1 }, ...scene)).toBe(2);
    expect(countIn({ ...leftHalf, minSize: 49 / 500 }, ...scene), 'just its limit').toBe(3);
    expect(countIn({ ...leftHalf, minScore: 0.6, minSize: 0.1 }, ...scene)).toBe(1);
  });

  it('counts an object cut off by the lower border of the picture', () => {
    expect(countIn(leftHalf, personAt(100, 500, { trackId: 1 }))).toBe(1);
    expect(countIn(leftHalf, personAt(100, Math.fround(500.00003), { trackId: 1 }))).toBe(1);
  });

  it('excludes the notch of a concave polygon', () => {
    // An M: the notch comes down from the top to the middle.
    const polygon = [
      [0, 0],
      [0.5, 0.5],
      [1, 0],
      [1, 1],
      [0, 1],
    ] as const;
    expect(countIn({ id: 'm', polygon }, personAt(500, 200, { trackId: 1 }))).toBe(0);
    expect(countIn({ id: 'm', polygon }, personAt(500, 300, { trackId: 1 }))).toBe(1);
    expect(countIn({ id: 'm', polygon }, personAt(100, 200, { trackId: 1 }))).toBe(1);
  });

  it('reports how many are inside now, not in total', () => {
    const counter = new ZoneCounter([leftHalf]);
    counter.update({ width: 1000, height: 500, ptsUs: 0, detections: [personAt(100, 200, { trackId: 1 })] });
    counter.update({ width: 1000, height: 500, ptsUs: 40_000, detections: [] });
    expect(counter.report()).toEqual([{ id: 'left', inside: 0 }]);
  });

  it('rejects a polygon of two corners', () => {
    const twoCorners: ZoneOptions = {
      id: 'thin',
      polygon: [
        [0, 0],
        [1, 1],
      ],
    };
    expect(() => new ZoneCounter([twoCorners])).toThrowError(/zone thin: expected a polygon of at least 3 corners/);
  });
});
