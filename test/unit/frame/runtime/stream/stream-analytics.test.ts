import { describe, expect, it } from 'vitest';
import { reportScoreOf, StreamAnalytics } from '../../../../../src/frame/runtime/stream/stream-analytics.ts';
import type { BulkWork } from '../../../../../src/frame/runtime/stream/stream-port.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import { personAt } from '../../track/scenes.ts';

const FRAME_US = 40_000;
const PICTURE = { width: 1000, height: 500 };
/** From the bottom up in the middle: its left is the left of the picture. */
const GATE = { id: 'gate', from: [0.5, 0.9], to: [0.5, 0.1] };
const LEFT = {
  id: 'left',
  polygon: [
    [0, 0],
    [0.5, 0],
    [0.5, 1],
    [0, 1],
  ],
};

/** People walk to the right through the middle, one after the other, and settings change in between. */
class Street {
  analytics: StreamAnalytics;
  #settings: object;
  #ptsUs = 0;
  readonly ids = new Set<number>();

  constructor(settings: object) {
    this.#settings = settings;
    this.analytics = new StreamAnalytics(this.#config(), 0.3);
  }

  #config() {
    return parseStream({ id: 'cam', source: 'demo', ...this.#settings }, {});
  }

  change(settings: object, reportScore = 0.3): void {
    this.#settings = { ...this.#settings, ...settings };
    this.analytics = new StreamAnalytics(this.#config(), reportScore, this.analytics);
  }

  /** A person walks; `during` is called when it is in the middle of its way. */
  walk(fromX = 400, toX = 600, during: () => void = () => undefined): void {
    const steps = 40;
    for (let k = 0; k <= steps; k += 1) {
      if (k === steps / 2) during();
      this.frame([personAt(fromX + (k / steps) * (toX - fromX), 300)]);
    }
    // So long without it that the next one is another person.
    this.#ptsUs += 10_000_000;
    this.frame([]);
  }

  frame(people: ReturnType<typeof personAt>[]) {
    this.#ptsUs += FRAME_US;
    const result = this.analytics.update({ ...PICTURE, ptsUs: this.#ptsUs }, people);
    for (const { trackId } of result.detections) if (trackId !== undefined) this.ids.add(trackId);
    return result;
  }

  get crossed(): Record<string, number> {
    return Object.fromEntries(this.analytics.lines.map(({ id, leftToRight }) => [id, leftToRight]));
  }
}

describe('counts of lines go on after a change of', () => {
  it.each<[string, object]>([
    ['the zones', { zones: [LEFT] }],
    ['the rate, also where tracks must live longer', { maxFps: 0.5 }],
    ['a moderate rate', { maxFps: 7 }],
    ['the tracker', { track: { minHits: 1, lostMs: 5000 } }],
    ['the tracker to its defaults', { track: true }],
    ['which frames are inferred', { skip: { trackBetween: 3 } }],
    ['the other lines', { lines: [{ id: 'new', from: [0, 0], to: [1, 0] }, GATE] }],
    ['the place of the line', { lines: [{ ...GATE, from: [0.52, 0.9] }] }],
    ['what the line counts', { lines: [{ ...GATE, labels: ['person'], settleMs: 100 }] }],
    ['everything at once', { zones: [LEFT], track: { minHits: 1 }, maxFps: 25, lines: [{ ...GATE, bandRatio: 0.01 }] }],
    ['nothing', {}],
  ])('%s', (_, settings) => {
    const street = new Street({ lines: [GATE] });
    street.walk();
    street.walk();
    street.change(settings);
    expect(street.crossed.gate).toBe(2);
    street.walk();
    expect(street.crossed.gate).toBe(3);
    expect([...street.ids], 'and no track id is used twice').toEqual([1, 2, 3]);
  });

  it('settings that come in the middle of a crossing, which is counted once', () => {
    const street = new Street({ lines: [GATE] });
    street.walk(400, 600, () => street.change({ zones: [LEFT], track: { minHits: 5 } }));
    expect(street.crossed).toEqual({ gate: 1 });
    expect([...street.ids]).toEqual([1]);
  });
});

describe('a line', () => {
  it('that is moved over a person who stands still counts nobody', () => {
    const street = new Street({ lines: [GATE] });
    for (let k = 0; k < 20; k += 1) street.frame([personAt(550, 300)]);
    street.change({ lines: [{ ...GATE, from: [0.6, 0.9], to: [0.6, 0.1] }] });
    for (let k = 0; k < 20; k += 1) street.frame([personAt(550, 300)]);
    expect(street.analytics.lines).toEqual([{ id: 'gate', leftToRight: 0, rightToLeft: 0 }]);
  });

  it('that is removed and drawn again counts from 0, and its neighbour goes on', () => {
    const door = { ...GATE, id: 'door' };
    const street = new Street({ lines: [GATE, door] });
    street.walk();
    street.change({ lines: [door] });
    street.change({ lines: [door, GATE] });
    expect(street.crossed).toEqual({ door: 1, gate: 0 });
    street.walk();
    expect(street.crossed).toEqual({ door: 2, gate: 1 });
  });
});

describe('zones', () => {
  it('keep their count until the next frame if another one is added, moved or removed', () => {
    const right = { id: 'right', polygon: LEFT.polygon.map(([x, y]) => [x! + 0.5, y!]) };
    const street = new Street({ zones: [LEFT, right] });
    for (let k = 0; k < 5; k += 1) street.frame([personAt(200, 300), personAt(800, 300)]);
    const wider = { ...right, polygon: right.polygon.map(([x, y]) => [x! - 0.1, y!]) };
    street.change({ zones: [{ ...LEFT, id: 'new' }, LEFT, wider] });
    expect(street.analytics.zones).toEqual([
      { id: 'new', inside: 0 },
      { id: 'left', inside: 1 },
      { id: 'right', inside: 0 },
    ]);
    street.frame([personAt(200, 300), personAt(800, 300)]);
    expect(street.analytics.zones.map(({ inside }) => inside)).toEqual([1, 1, 1]);
  });
});

describe('tracks', () => {
  it('keep their ids while tracking is changed, and new objects get new ones after it was off', () => {
    const street = new Street({ track: true });
    const idOf = (): (number | undefined)[] =>
      street.frame([personAt(300, 300)]).detections.map((each) => each.trackId);
    for (let k = 0; k < 4; k += 1) idOf();
    street.change({ track: { minHits: 10, matchIou: 0.1 } });
    expect(idOf()).toEqual([1]);
    street.change({ track: false });
    expect(idOf()).toEqual([undefined]);
    street.change({ track: { minHits: 1 } });
    expect(idOf()).toEqual([1]);
    street.frame([personAt(300, 300), personAt(700, 300)]);
    expect([...street.ids]).toEqual([1, 2]);
  });

  it('follow new settings from the next frame on, and those before a refused change', () => {
    const street = new Street({ track: { minHits: 3 } });
    const { analytics } = street;
    const next = new StreamAnalytics(
      parseStream({ id: 'cam', source: 'demo', track: { minHits: 1 } }, {}),
      0.3,
      analytics,
    );
    // The new settings were made, and could not be applied.
    street.frame([personAt(300, 300)]);
    expect([...street.ids], 'one hit of three').toEqual([]);
    street.analytics = next;
    street.frame([personAt(300, 300)]);
    expect([...street.ids]).toEqual([1]);
  });

  it('are only those with the labels of the stream, at once after a change', () => {
    const analytics = (settings: object): StreamAnalytics =>
      new StreamAnalytics(parseStream({ id: 'cam', source: 'demo', ...settings }, {}), 0.3);
    const scene = [personAt(100, 300), personAt(300, 300, { label: 'car', classId: 2 })];
    const labelsOf = (of: StreamAnalytics): string[] => of.wanted(scene).map(({ label }) => label);
    expect(labelsOf(analytics({}))).toEqual(['person', 'car']);
    expect(labelsOf(analytics({ labels: ['car'] }))).toEqual(['car']);
  });

  it('have a threshold of the stream, at least that of its model; that of a job holds alone', () => {
    expect(reportScoreOf({}, {}, 0.3)).toBe(0.3);
    expect(reportScoreOf({ scoreThreshold: 0.6 }, {}, 0.3)).toBe(0.6);
    expect(reportScoreOf({ scoreThreshold: 0.2 }, {}, 0.3)).toBe(0.3);
    const bulk = { scoreThreshold: 0.05 } as BulkWork;
    expect(reportScoreOf({ scoreThreshold: 0.6 }, { bulk }, 0.3)).toBe(0.05);
  });

  it('are reported by the new threshold', () => {
    const street = new Street({ track: true });
    for (let k = 0; k < 4; k += 1) street.frame([personAt(300, 300, { score: 0.7 })]);
    street.change({}, 0.8);
    expect(street.frame([personAt(300, 300, { score: 0.7 })]).detections).toEqual([]);
    street.change({}, 0.5);
    expect(street.frame([personAt(300, 300, { score: 0.7 })]).detections.map(({ trackId }) => trackId)).toEqual([1]);
  });
});
