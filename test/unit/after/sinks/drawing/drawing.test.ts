import { describe, expect, it } from 'vitest';
import {
  type Canvas,
  fillRectangle,
  outlineRectangle,
  type Rectangle,
  strokeLine,
} from '../../../../../src/after/sinks/drawing/canvas.ts';
import { classColour, textColour } from '../../../../../src/after/sinks/drawing/class-colours.ts';
import { OverlayPainter } from '../../../../../src/after/sinks/drawing/draw-overlay.ts';
import { LabelPlaces } from '../../../../../src/after/sinks/drawing/label-places.ts';
import { Typeface } from '../../../../../src/after/sinks/drawing/typeface.ts';
import type { Detection } from '../../../../../src/base/core/detection.ts';
import { maskOf, runsOfBitmap } from '../../../../../src/base/geometry/rle.ts';
import { person } from '../frames.ts';

const identity = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };

function blank(width: number, height: number): Canvas {
  return { pixels: new Uint8Array(width * height * 3), width, height };
}

/** Returns the red channel as rows of text: `#` for values of at least half. */
function drawn({ pixels, width, height }: Canvas): string[] {
  const row = (y: number) =>
    Array.from({ length: width }, (_, x) => (pixels[(y * width + x) * 3]! >= 128 ? '#' : '.')).join('');
  return Array.from({ length: height }, (_, y) => row(y));
}

const white = [255, 255, 255] as const;

describe('rectangles', () => {
  it('are outlined inside their edges', () => {
    const canvas = blank(7, 5);
    outlineRectangle(canvas, { x: 1, y: 0, width: 5, height: 5 }, 1, white);
    expect(drawn(canvas)).toEqual(['.#####.', '.#...#.', '.#...#.', '.#...#.', '.#####.']);
  });

  it('are clipped to the picture on every side', () => {
    const canvas = blank(4, 3);
    fillRectangle(canvas, { x: -9, y: -9, width: 100, height: 100 }, white);
    expect(drawn(canvas)).toEqual(['####', '####', '####']);
    const other = blank(4, 3);
    outlineRectangle(other, { x: -2, y: -2, width: 4, height: 4 }, 1, white);
    expect(drawn(other)).toEqual(['.#..', '##..', '....']);
    fillRectangle(other, { x: 4, y: 0, width: 5, height: 5 }, white);
    expect(drawn(other)).toEqual(['.#..', '##..', '....']);
  });

  it('blend with the background if they are not opaque', () => {
    const canvas = blank(1, 1);
    fillRectangle(canvas, { x: 0, y: 0, width: 1, height: 1 }, [200, 100, 0], 0.5);
    expect([...canvas.pixels]).toEqual([100, 50, 0]);
  });
});

describe('lines', () => {
  it('are straight, of the given thickness, and clipped', () => {
    const canvas = blank(6, 5);
    strokeLine(canvas, [-5, 2], [50, 2], 3, white);
    expect(drawn(canvas)).toEqual(['......', '######', '######', '######', '......']);
    const diagonal = blank(4, 4);
    strokeLine(diagonal, [0, 0], [3, 3], 1, white);
    expect(drawn(diagonal)).toEqual(['#...', '.#..', '..#.', '...#']);
  });
});

describe('the typeface', () => {
  const typeface = new Typeface(12);

  it('has every printable ASCII character, each with a distinct shape', () => {
    const shapes = new Set<string>();
    for (let code = 33; code < 127; code++) {
      const canvas = blank(30, 30);
      typeface.draw(canvas, String.fromCharCode(code), 6, 6, white);
      shapes.add(drawn(canvas).join('\n'));
    }
    // O and 0, and l, I and |, may only differ in length or width, or be equal.
    expect(shapes.size).toBeGreaterThanOrEqual(94 - 2);
    const canvas = blank(30, 30);
    typeface.draw(canvas, '語', 6, 6, white);
    expect(drawn(canvas).join('\n')).toContain('#');
  });

  it('is legible: a 7 has a bar on top and a foot left of its middle', () => {
    const canvas = blank(12, 16);
    typeface.draw(canvas, '7', 2, 2, white);
    const rows = drawn(canvas);
    expect(rows[2]).toMatch(/#{6,}/);
    expect(rows[13]!.indexOf('#')).toBeGreaterThan(2);
    expect(rows[13]!.lastIndexOf('#')).toBeLessThan(8);
  });

  it('measures what it draws', () => {
    for (const text of ['person', '#12 traffic light 87%', 'WWW', 'ill']) {
      const canvas = blank(400, 30);
      typeface.draw(canvas, text, 10, 10, white);
      const columns = drawn(canvas).flatMap((row) => [row.indexOf('#'), row.lastIndexOf('#')].filter((x) => x >= 0));
      const widthPx = Math.max(...columns) - Math.min(...columns);
      expect(Math.abs(widthPx - typeface.measure(text)), text).toBeLessThanOrEqual(3);
    }
    expect(typeface.measure('')).toBe(0);
  });

  it('strips accents and never draws outside the picture', () => {
    expect(typeface.measure('café')).toBe(typeface.measure('cafe'));
    const canvas = blank(5, 5);
    typeface.draw(canvas, 'gjW@', -3, -3, white);
    expect(canvas.pixels).toHaveLength(75);
  });
});

describe('colours', () => {
  it('are the same each time, and far apart for neighbouring classes', () => {
    expect(classColour(3)).toEqual(classColour(3));
    const difference = (one: number, two: number) =>
      Math.hypot(...classColour(one).map((value, i) => value - classColour(two)[i]!));
    for (let id = 0; id < 80; id++) expect(difference(id, id + 1), `${id} and its neighbour`).toBeGreaterThan(80);
    for (let id = 1; id < 80; id++) expect(difference(0, id), `person and ${id}`).toBeGreaterThan(id < 50 ? 40 : 20);
  });

  it('give text a contrast of at least 4.5, as WCAG requires', () => {
    const luminance = (colour: readonly number[]) => {
      const [r, g, b] = colour.map((v) => (v / 255 <= 0.04045 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
    };
    for (let id = 0; id < 90; id++) {
      const [one, two] = [luminance(classColour(id)), luminance(textColour(classColour(id)))];
      expect((Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), `class ${id}`).toBeGreaterThan(4.5);
    }
  });
});

describe('places of labels', () => {
  const picture = { width: 200, height: 100 };
  const overlaps = (a: Rectangle, b: Rectangle) =>
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

  it('are above the box, or inside its top if there is no room above', () => {
    const places = new LabelPlaces(picture);
    expect(places.take({ x: 20, y: 50, width: 40, height: 40 }, 50, 10)).toEqual({
      x: 20,
      y: 40,
      width: 50,
      height: 10,
    });
    expect(places.take({ x: 100, y: 3, width: 40, height: 80 }, 50, 10)).toMatchObject({ x: 100, y: 0 });
  });

  it('stay inside the picture', () => {
    const places = new LabelPlaces(picture);
    expect(places.take({ x: 190, y: 95, width: 10, height: 5 }, 50, 10)).toMatchObject({ x: 150 });
    expect(places.take({ x: -30, y: 60, width: 10, height: 5 }, 50, 10)).toMatchObject({ x: 0 });
  });

  it('do not overlap while the box has another free place', () => {
    const places = new LabelPlaces(picture);
    const box = { x: 50, y: 30, width: 60, height: 40 };
    const taken = [1, 2, 3, 4].map(() => places.take(box, 60, 10));
    for (const [i, one] of taken.entries())
      for (const other of taken.slice(i + 1)) expect(overlaps(one, other)).toBe(false);
  });
});

describe('an overlay', () => {
  const plan = {
    zones: [
      {
        id: 'lawn',
        polygon: [
          [0, 0.5],
          [0.5, 0.5],
          [0.5, 1],
        ] as const,
      },
    ],
    lines: [{ id: 'door', from: [0.6, 0.2], to: [0.6, 0.8] } as const],
  };
  const counts = { zones: [{ id: 'lawn', inside: 2 }], lines: [{ id: 'door', leftToRight: 3, rightToLeft: 1 }] };
  const frame = { detections: [] as Detection[], counts, sourceWidth: 640, sourceHeight: 360, placement: identity };

  function paint(detections: readonly Detection[], more: Partial<typeof frame> = {}, canvas = blank(640, 360)): Canvas {
    new OverlayPainter(canvas, plan).draw(canvas, { ...frame, ...more, detections });
    return canvas;
  }

  it('shows the class, the score and the track id: each changes the label', () => {
    const label = (detection: Detection) => Buffer.from(paint([detection]).pixels).toString('base64');
    const box = [300, 100, 90, 80] as const;
    const pictures = [
      label({ ...person, box }),
      label({ ...person, box, label: 'dog' }),
      label({ ...person, box, score: 0.42 }),
      label({ ...person, box, trackId: 7 }),
    ];
    expect(new Set(pictures).size).toBe(4);
  });

  const at = ({ pixels }: Canvas, x: number, y: number) => [
    ...pixels.subarray((y * 640 + x) * 3, (y * 640 + x) * 3 + 3),
  ];
  const boxed = { ...person, box: [300, 100, 90, 80] } as const;

  it('tints the pixels of a mask, also on a canvas of another size', () => {
    const bitmap = new Uint8Array(640 * 360);
    for (let y = 120; y < 150; y++) bitmap.fill(1, y * 640 + 320, y * 640 + 360);
    const mask = maskOf(runsOfBitmap(bitmap, 360, 640));
    const tinted = classColour(0).map((value) => Math.floor(value * 0.4));
    const canvas = paint([{ ...boxed, mask }]);
    expect(at(canvas, 340, 135)).toEqual(tinted);
    expect([at(canvas, 319, 135), at(canvas, 360, 135), at(canvas, 340, 150)]).toEqual(Array(3).fill([0, 0, 0]));
    const half = paint([{ ...boxed, mask }], { placement: { ...identity, scaleX: 0.5, scaleY: 0.5 } });
    // No pixel is tinted twice where two of the source fall on one.
    expect(at(half, 170, 67)).toEqual(tinted);
    expect(at(half, 181, 67)).toEqual([0, 0, 0]);
  });

  it('draws the key points that are seen, and the lines of a person', () => {
    const points = Array.from({ length: 17 }, (_, i) => [
      320 + (i % 2) * 30,
      110 + 4 * i,
      i === 5 || i === 6 ? 0.9 : 0.1,
    ]);
    const canvas = paint([{ ...boxed, keypoints: points.flat() }]);
    // The shoulders are points 5 and 6.
    expect([at(canvas, 350, 130), at(canvas, 320, 134)]).toEqual(Array(2).fill([255, 255, 255]));
    expect(at(canvas, 335, 132)).toEqual([...classColour(0)]);
    expect(at(canvas, 320, 110)).toEqual([0, 0, 0]);
  });

  it('draws an oriented box turned about its centre', () => {
    const canvas = paint([{ ...person, box: [400, 200, 100, 20], angle: 90 }]);
    expect(at(canvas, 440, 240)).toEqual([...classColour(0)]);
    expect(at(canvas, 420, 200)).toEqual([0, 0, 0]);
  });

  it('shows zones and lines, and their counts', () => {
    const canvas = paint([]);
    const at = (x: number, y: number) => [...canvas.pixels.subarray((y * 640 + x) * 3, (y * 640 + x) * 3 + 3)];
    expect(at(250, 180)).toEqual([255, 196, 0]);
    expect(at(384, 250)).toEqual([255, 90, 90]);
    const busier = paint([], { counts: { ...counts, zones: [{ id: 'lawn', inside: 3 }] } });
    expect(Buffer.compare(canvas.pixels, busier.pixels)).not.toBe(0);
  });

  it('accepts boxes on and beyond every edge, and pictures smaller than a label', () => {
    const everywhere = [
      [-50, -50, 20, 20],
      [630, 350, 100, 100],
      [0, 0, 640, 360],
      [100, 100, 0, 0],
    ] as const;
    paint(everywhere.map((box) => ({ ...person, box })));
    const tiny = paint(
      [{ ...person, box: [0, 0, 640, 360] }],
      { placement: { ...identity, scaleX: 0.01 } },
      blank(16, 4),
    );
    expect(tiny.pixels.some((value) => value > 0)).toBe(true);
  });
});
