import { describe, expect, it } from 'vitest';
import type { Detection } from '../../../../src/base/core/detection.ts';
import type { LineCrossing } from '../../../../src/base/core/frame.ts';
import { LineCounter, type LineOptions } from '../../../../src/frame/track/lines.ts';
import { ObjectTracker } from '../../../../src/frame/track/object-tracker.ts';
import { personAt, seen } from './scenes.ts';

/** Vertical in the middle, from y 400 up to y 100 of a 1000 x 500 picture: its left is the left of the picture. */
const gate: LineOptions = { id: 'gate', from: [0.5, 0.8], to: [0.5, 0.2] };
const FRAME_US = 40_000;
/** 0.015 of the height. */
const BAND_PX = 7.5;

type Place = readonly [x: number, y: number] | null;

/** Moves one object from place to place, one per frame; null if it is not seen. */
function walk(places: readonly Place[], options: Partial<LineOptions> = {}, frameUs = FRAME_US) {
  const counter = new LineCounter([{ ...gate, ...options }]);
  const crossings: LineCrossing[] = [];
  for (const [k, place] of places.entries()) {
    const detections = place === null ? [] : [personAt(place[0], place[1], { trackId: 7 })];
    crossings.push(...counter.update({ width: 1000, height: 500, ptsUs: k * frameUs, detections }));
  }
  const { leftToRight, rightToLeft } = counter.report()[0]!;
  return { leftToRight, rightToLeft, crossings };
}

function straight(from: [number, number], to: [number, number], steps: number): Place[] {
  return Array.from({ length: steps + 1 }, (_, k) => {
    const share = k / steps;
    return [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])] as const;
  });
}

function stay(place: Place, frames: number): Place[] {
  return Array.from({ length: frames }, () => place);
}

describe('an object that crosses', () => {
  it('is counted once, with direction, track id and time', () => {
    const there = walk(straight([400, 250], [600, 250], 40));
    expect(there).toMatchObject({ leftToRight: 1, rightToLeft: 0 });
    expect(there.crossings).toEqual([
      // 5 px a frame: beyond the band at 510 (frame 22), and 200 ms later is frame 27.
      { lineId: 'gate', trackId: 7, label: 'person', direction: 'left-to-right', ptsUs: 27 * FRAME_US },
    ]);
    const back = walk(straight([600, 250], [400, 250], 40));
    expect(back).toMatchObject({ leftToRight: 0, rightToLeft: 1, crossings: [{ direction: 'right-to-left' }] });
  });

  it('is counted as soon as the settings of its line say', () => {
    // 5 px a frame: in frame 20 on the line, in 22 beyond its band.
    const countedAt = (options: Partial<LineOptions>) =>
      walk(straight([400, 250], [600, 250], 40), options).crossings.map(({ ptsUs }) => ptsUs / FRAME_US);
    expect(countedAt({ settleMs: 0, settleFrames: 1 })).toEqual([22]);
    expect(countedAt({ settleMs: 0, settleFrames: 10 })).toEqual([31]);
    expect(countedAt({ settleMs: 400, settleFrames: 1 })).toEqual([32]);
    expect(countedAt({ settleMs: 0, settleFrames: 1, bandRatio: 0.098 }), 'beyond 549').toEqual([30]);
  });

  it('is counted by the point of its box that the line says', () => {
    // Its feet pass below the end of the line, its centre 40 px higher through it.
    const places = straight([400, 430], [600, 430], 40);
    expect(walk(places)).toMatchObject({ leftToRight: 0 });
    expect(walk(places, { anchor: 'center' })).toMatchObject({ leftToRight: 1 });
  });

  it('is counted the other way if the line is reversed', () => {
    const turned = { from: gate.to, to: gate.from };
    expect(walk(straight([400, 250], [600, 250], 40), turned)).toMatchObject({ leftToRight: 0, rightToLeft: 1 });
  });

  it('is counted at five frames a second, and when it is fast', () => {
    const places = [...straight([430, 250], [580, 250], 4), ...stay([580, 250], 2)];
    expect(walk(places, {}, 200_000)).toMatchObject({ leftToRight: 1, rightToLeft: 0 });
  });

  it('is counted in both directions when it comes back', () => {
    const places = [...straight([400, 250], [600, 250], 40), ...straight([600, 250], [400, 250], 40)];
    expect(walk(places)).toMatchObject({ leftToRight: 1, rightToLeft: 1 });
  });

  it('is counted when it was occluded and reappears where it was heading', () => {
    const places = straight([400, 250], [640, 250], 48).map((place, k) => (k > 15 && k < 28 ? null : place));
    expect(walk(places)).toMatchObject({ leftToRight: 1 });
  });

  it('is counted if it is cut off by the lower border, at the end of the line', () => {
    const toBorder = { from: [0.5, 1], to: [0.5, 0] } as const;
    const borderPx = 500.00003;
    expect(walk(straight([400, borderPx], [600, borderPx], 40), toBorder)).toMatchObject({ leftToRight: 1 });
  });

  it('is counted on slanted lines in pictures that are not square', () => {
    const slanted = { from: [0.2, 0.9], to: [0.8, 0.1] } as const;
    expect(walk(straight([400, 150], [600, 350], 40), slanted)).toMatchObject({ leftToRight: 1, rightToLeft: 0 });
  });
});

describe('an object is not counted if it', () => {
  it('flickers at the line', () => {
    const places = Array.from({ length: 200 }, (_, k) => [500 + (k % 2 === 0 ? -12 : 12), 250] as const);
    expect(walk([...stay([480, 250], 10), ...places, ...stay([480, 250], 10)])).toMatchObject({
      leftToRight: 0,
      rightToLeft: 0,
    });
  });

  it('stands on the line for minutes, moving within the band', () => {
    const sway = Array.from({ length: 4500 }, (_, k) => [500 + 0.9 * BAND_PX * Math.sin(k / 9), 250] as const);
    expect(walk([...straight([400, 250], [500, 250], 20), ...sway])).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
  });

  it('stands on the line and goes back; if it goes on, it is counted once', () => {
    const sway = Array.from({ length: 500 }, (_, k) => [500 + 0.9 * BAND_PX * Math.sin(k / 9), 250] as const);
    const arrived = [...straight([400, 250], [500, 250], 20), ...sway];
    expect(walk([...arrived, ...straight([500, 250], [600, 250], 20)])).toMatchObject({
      leftToRight: 1,
      rightToLeft: 0,
    });
    expect(walk([...arrived, ...straight([500, 250], [400, 250], 20)])).toMatchObject({
      leftToRight: 0,
      rightToLeft: 0,
    });
  });

  it('makes a U-turn before the line, or right after it', () => {
    const before = [...straight([400, 250], [495, 250], 20), ...straight([495, 250], [400, 250], 20)];
    expect(walk(before)).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
    const behind = [...straight([400, 250], [511, 250], 20), ...straight([511, 250], [400, 250], 20)];
    expect(walk(behind)).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
  });

  it('passes the end of the segment, however closely', () => {
    expect(walk(straight([400, 405], [600, 405], 40))).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
    expect(walk(straight([400, 395], [600, 395], 40))).toMatchObject({ leftToRight: 1, rightToLeft: 0 });
    expect(walk(straight([400, 95], [600, 95], 40))).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
    expect(walk(straight([400, 105], [600, 105], 40))).toMatchObject({ leftToRight: 1, rightToLeft: 0 });
  });

  it('passes the end between two frames, on a slanted way', () => {
    // Steps of 30 px across the line and 35 px along it; the line is reached half-way between two frames.
    const down = (endPx: number) =>
      [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5].map((k) => [500 + 30 * k, endPx - 35 * k] as const);
    const settled = { settleMs: 0, settleFrames: 1 };
    expect(walk(down(395), settled)).toMatchObject({ leftToRight: 1, rightToLeft: 0 });
    expect(walk(down(405), settled)).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
    const lying: Partial<LineOptions> = { ...settled, from: [0.2, 0.5], to: [0.8, 0.5] };
    const across = (endPx: number) =>
      [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5].map((k) => [endPx - 35 * k, 250 + 30 * k] as const);
    expect(walk(across(795), lying)).toMatchObject({ leftToRight: 1, rightToLeft: 0 });
    expect(walk(across(805), lying)).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
  });

  it('goes around the end; coming back through the line is counted', () => {
    const round = straight([400, 450], [600, 450], 40);
    const up = straight([600, 450], [600, 250], 40);
    expect(walk([...round, ...up, ...straight([600, 250], [400, 250], 40)])).toMatchObject({
      leftToRight: 0,
      rightToLeft: 1,
    });
  });

  it('was first seen on the line', () => {
    for (const x of [500, 496])
      expect(walk(straight([x, 250], [600, 250], 20))).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
  });

  it('is lost before it has settled on the other side', () => {
    const places = [...straight([400, 250], [515, 250], 23), ...stay(null, 200)];
    expect(walk(places)).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
  });
});

describe('tracking errors', () => {
  it('a jump to the other side counts as another object, not as a crossing', () => {
    const places = [...stay([300, 250], 20), ...stay([700, 250], 20)];
    expect(walk(places)).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
    expect(walk([...places, ...straight([700, 250], [400, 250], 60)])).toMatchObject({ rightToLeft: 1 });
    const crossed = straight([400, 250], [600, 250], 40);
    expect(walk([...crossed, ...stay([300, 250], 20)]), 'nor one back').toMatchObject({
      leftToRight: 1,
      rightToLeft: 0,
    });
  });

  const across: Partial<LineOptions> = { from: [0.2, 0.5], to: [0.8, 0.5] };
  it.each([
    ['right', [1, 0], 40, {}],
    ['left', [-1, 0], 40, {}],
    ['down', [0, 1], 80, across],
    ['up', [0, -1], 80, across],
  ] as const)(
    'a move %s counts if its box touches the way from the last one to where it was heading',
    (_, [dx, dy], sizePx, line) => {
      const at = (px: number): Place => [500 + px * dx, 250 + px * dy];
      const counted = (places: Place[]) => {
        const { leftToRight, rightToLeft } = walk(places, line);
        return leftToRight + rightToLeft;
      };
      const jump = (px: number) => [...stay(at(-px / 2), 20), ...stay(at(px / 2), 20)];
      expect([counted(jump(sizePx - 1)), counted(jump(sizePx + 1))]).toEqual([1, 0]);
      const heading = Array.from({ length: 48 }, (__, k) => (k > 13 && k < 34 ? null : at(5 * k - 80)));
      expect(counted(heading), 'not seen for 105 px').toBe(1);
      // Last seen at -15, and 5 px a frame lead to 90.
      const again = (px: number) => [...heading.slice(0, 34), ...stay(at(90 + px), 20)];
      expect([counted(again(sizePx - 1)), counted(again(sizePx + 1))], 'not seen, and then far ahead').toEqual([1, 0]);
      const turned = [
        ...Array.from({ length: 14 }, (__, k) => at(20 + 5 * k)),
        ...stay(null, 20),
        ...stay(at(-40), 20),
      ];
      expect(counted(turned), 'seen again 125 px behind').toBe(0);
    },
  );

  it('a frame with the time of the one before it changes nothing', () => {
    const counter = new LineCounter([gate]);
    for (const [k, [x, y]] of straight([400, 250], [600, 250], 40)
      .map((place) => place!)
      .entries())
      for (let twice = 0; twice < 2; twice++)
        counter.update({
          width: 1000,
          height: 500,
          ptsUs: k * FRAME_US,
          detections: [personAt(x, y, { trackId: 7 })],
        });
    expect(counter.report()).toEqual([{ id: 'gate', leftToRight: 1, rightToLeft: 0 }]);
  });

  it('a track that returns after a long absence starts over', () => {
    const back = [...straight([400, 250], [485, 250], 20), ...stay(null, 124), ...stay([515, 250], 20)];
    expect(walk(back), 'just 5 s are not long').toMatchObject({ leftToRight: 1, rightToLeft: 0 });
    const places = [...straight([400, 250], [485, 250], 20), ...stay(null, 150), ...stay([515, 250], 20)];
    expect(walk(places)).toMatchObject({ leftToRight: 0, rightToLeft: 0 });
  });

  it('a looped source starts over', () => {
    const counter = new LineCounter([gate]);
    const at = (x: number, ptsUs: number) => {
      const detections = [personAt(x, 250, { trackId: 7 })];
      return counter.update({ width: 1000, height: 500, ptsUs, detections });
    };
    at(485, 10_000_000);
    for (let k = 0; k < 20; k++) expect(at(515, k * FRAME_US)).toEqual([]);
  });

  it('two people who cross at the line are counted once each, with a real tracker', () => {
    const tracker = new ObjectTracker();
    const counter = new LineCounter([gate]);
    for (let k = 0; k < 80; k++) {
      const scene: Detection[] = [personAt(300 + 5 * k, 230), personAt(695 - 5 * k, 260)];
      counter.update({
        width: 1000,
        height: 500,
        ptsUs: k * FRAME_US,
        detections: tracker.update(scene, k * FRAME_US),
      });
    }
    expect(counter.report()).toEqual([{ id: 'gate', leftToRight: 1, rightToLeft: 1 }]);
  });
});

describe('the input of a line', () => {
  it('is limited to tracked objects with one of its labels', () => {
    const counter = new LineCounter([gate, { ...gate, id: 'cars', labels: ['car'] }]);
    for (let k = 0; k <= 40; k++) {
      const detections = [
        personAt(400 + 5 * k, 250, { trackId: 1 }),
        personAt(400 + 5 * k, 300, { trackId: 2, label: 'car' }),
        personAt(400 + 5 * k, 350),
      ];
      counter.update({ width: 1000, height: 500, ptsUs: k * FRAME_US, detections });
    }
    expect(counter.report()).toEqual([
      { id: 'gate', leftToRight: 2, rightToLeft: 0 },
      { id: 'cars', leftToRight: 1, rightToLeft: 0 },
    ]);
  });

  it('is relative to the picture, so a camera may change its resolution during a crossing', () => {
    const counter = new LineCounter([gate]);
    for (let k = 0; k <= 40; k++) {
      const scale = k < 20 ? 1 : 2;
      const [x, y] = [(400 + 5 * k) * scale, 250 * scale];
      const detections = [seen([x - 20 * scale, y - 80 * scale, 40 * scale, 80 * scale], { trackId: 1 })];
      counter.update({ width: 1000 * scale, height: 500 * scale, ptsUs: k * FRAME_US, detections });
    }
    expect(counter.report()).toEqual([{ id: 'gate', leftToRight: 1, rightToLeft: 0 }]);
  });

  it('rejects a line whose points are equal', () => {
    expect(() => new LineCounter([{ id: 'dot', from: [0.5, 0.5], to: [0.5, 0.5] }])).toThrowError(/line dot/);
  });
});
