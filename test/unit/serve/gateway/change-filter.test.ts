import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Detection } from '../../../../src/base/core/detection.ts';
import { ChangeFilter, isSameScene, REPEAT_MS } from '../../../../src/serve/gateway/change-filter.ts';
import { FeedSocket } from '../../../support/feed-socket.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { publishedFrame, RuntimeDouble } from '../../../support/runtime-double.ts';

const car: Detection = { classId: 2, label: 'car', score: 0.9, box: [100, 100, 80, 40], trackId: 1 };
const walker: Detection = { classId: 0, label: 'person', score: 0.8, box: [300, 100, 20, 60], trackId: 2 };

function moved(detection: Detection, x: number, y = 0, width = 0, height = 0): Detection {
  const [left, top, wide, high] = detection.box;
  return { ...detection, box: [left + x, top + y, wide + width, high + height] };
}

describe('a frame is a change', () => {
  const MOVED_PX = 4;
  const before = [car, walker];

  it.each<[string, readonly Detection[], boolean]>([
    ['if nothing differs', [car, walker], false],
    ['if the order differs', [walker, car], false],
    ['if only a score differs', [{ ...car, score: 0.3 }, walker], false],
    ['if a box moves by the tolerance', [moved(car, 4, -4), walker], false],
    ['if a box moves by more, to the right', [moved(car, 4.1), walker], true],
    ['if a box moves by more, to the left', [moved(car, -4.1), walker], true],
    ['if a box moves by more, down', [car, moved(walker, 0, 4.1)], true],
    ['if a box grows by more', [moved(car, 0, 0, 4.1), walker], true],
    ['if a box becomes higher by more', [car, moved(walker, 0, 0, 0, 4.1)], true],
    ['if move and growth add up at an edge', [moved(car, 3, 0, 3), walker], true],
    ['if an object appears', [car, walker, moved(car, 200)], true],
    ['if an object disappears', [car], true],
    ['if all disappear', [], true],
    ['if one takes the place of another', [car, car], true],
    ['if a class differs', [{ ...car, classId: 7 }, walker], true],
    ['if a label differs', [{ ...car, label: 'truck' }, walker], true],
    ['if a track id differs', [{ ...car, trackId: 9 }, walker], true],
    [
      'if two objects exchange their track ids',
      [
        { ...car, trackId: 2 },
        { ...walker, trackId: 1 },
      ],
      true,
    ],
  ])('%s', (_, detections, isChange) => {
    const filter = new ChangeFilter(MOVED_PX, new ManualClock());
    expect(filter.tryTake(publishedFrame('gate', 0, before))).toBe(true);
    expect(filter.tryTake(publishedFrame('gate', 1, detections))).toBe(isChange);
  });

  it('if a line was crossed or the count of a zone differs', () => {
    const filter = new ChangeFilter(MOVED_PX, new ManualClock());
    const inside = (count: number) => ({
      ...publishedFrame('gate', 0, before),
      zones: [{ id: 'yard', inside: count }],
      crossings: [],
    });
    const crossing = { lineId: 'door', trackId: 1, label: 'car', direction: 'left-to-right', ptsUs: 0 } as const;
    const taken = [inside(1), inside(1), inside(2), inside(2), { ...inside(2), crossings: [crossing] }, inside(2)];
    expect(taken.map((frame) => filter.tryTake(frame))).toEqual([true, false, true, false, true, false]);
  });

  it('if the size of the picture differs', () => {
    const filter = new ChangeFilter(MOVED_PX, new ManualClock());
    filter.tryTake(publishedFrame('gate', 0, before));
    expect(filter.tryTake(publishedFrame('gate', 1, before, { width: 640, height: 360 }))).toBe(true);
  });

  it('if slow movement has added up since the last one that was sent', () => {
    const filter = new ChangeFilter(MOVED_PX, new ManualClock());
    const taken: number[] = [];
    for (let frame = 0; frame <= 20; frame += 1) {
      if (filter.tryTake(publishedFrame('gate', frame, [moved(car, frame)]))) taken.push(frame);
    }
    // One pixel a frame: every fifth frame is more than four pixels from the last one sent.
    expect(taken).toEqual([0, 5, 10, 15, 20]);
  });

  it('by a small movement of any one of many objects, with tolerance 0', () => {
    const box = fc.tuple(fc.nat(1000), fc.nat(600), fc.integer({ min: 1, max: 99 }), fc.integer({ min: 1, max: 99 }));
    fc.assert(
      fc.property(
        fc.uniqueArray(box, { minLength: 1, maxLength: 30, selector: String }),
        fc.nat(),
        fc.constantFrom(0, 1, 2, 3),
        (boxes, which, part) => {
          const still = boxes.map((each, index): Detection => ({ ...car, box: each, trackId: index }));
          const shaken = still.map((each, index): Detection => {
            if (index !== which % still.length) return each;
            const shifts = [0, 0, 0, 0].map((zero, at) => (at === part ? 0.1 : zero));
            return moved(each, shifts[0]!, shifts[1], shifts[2], shifts[3]);
          });
          const scene = (detections: readonly Detection[]) => ({ width: 1280, height: 720, detections });
          expect(isSameScene(scene(still), scene(still.toReversed()), 0)).toBe(true);
          expect(isSameScene(scene(still), scene(shaken), 0)).toBe(false);
        },
      ),
    );
  });
});

describe('frames without a change', () => {
  it(`are sent every ${REPEAT_MS} ms, for each stream`, () => {
    const clock = new ManualClock();
    const filter = new ChangeFilter(4, clock);
    const taken: [string, number][] = [];
    for (let frame = 0; frame < 100; frame += 1) {
      for (const stream of ['gate', 'yard']) {
        if (filter.tryTake(publishedFrame(stream, frame, [car]))) taken.push([stream, frame]);
      }
      clock.advance(100);
    }
    const every = REPEAT_MS / 100;
    const expected = Array.from({ length: 100 / every }, (_, index) => index * every);
    expect(taken).toEqual(expected.flatMap((frame) => ['gate', 'yard'].map((stream) => [stream, frame])));
  });
});

describe('a stream that is gone', () => {
  it('is forgotten: a new one of the same name begins with a message', () => {
    const filter = new ChangeFilter(4, new ManualClock());
    filter.tryTake(publishedFrame('gate', 0, [car]));
    filter.keepOnly(new Set(['yard']));
    expect(filter.tryTake(publishedFrame('gate', 1, [car]))).toBe(true);
  });
});

describe('a client that wants changes', () => {
  async function rig(): Promise<{ port: RuntimeDouble; open: (settings: object) => Promise<FeedSocket> }> {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port, { clock: new ManualClock() });
    const open = async (settings: object): Promise<FeedSocket> => {
      const client = await FeedSocket.open(url);
      client.say({ type: 'subscribe', topics: ['detections'], ...settings });
      await client.settle();
      return client;
    };
    return { port, open };
  }

  const framesOf = (client: FeedSocket): number[] => client.of('detections').map(({ frame }) => frame);

  it('gets a changed box at once and nothing else, while another client gets every frame', async () => {
    const { port, open } = await rig();
    const [some, all] = [await open({ detections: 'changes' }), await open({ detections: 'all' })];
    for (const x of [0, 1, 2, 40, 40, 41]) port.publish(publishedFrame('gate', x, [moved(car, x)]));
    await Promise.all([some.settle(), all.settle()]);
    expect(framesOf(some)).toEqual([0, 40]);
    expect(some.of('detections')[1]!.detections[0]!.box).toEqual([140, 100, 80, 40]);
    expect(framesOf(all)).toEqual([0, 1, 2, 40, 40, 41]);
  });

  it('that subscribes late gets the next frame though nothing changes, and so does one that subscribes again', async () => {
    const { port, open } = await rig();
    const early = await open({ detections: 'changes' });
    port.publish(publishedFrame('gate', 0, [car]));
    const late = await open({ detections: 'changes' });
    port.publish(publishedFrame('gate', 1, [car]));
    early.say({ type: 'subscribe', topics: ['detections'], detections: 'changes' });
    await early.settle();
    port.publish(publishedFrame('gate', 2, [car]));
    await Promise.all([early.settle(), late.settle()]);
    expect(framesOf(late)).toEqual([1]);
    expect(framesOf(early)).toEqual([0, 2]);
  });

  it('can name the tolerance', async () => {
    const { port, open } = await rig();
    const [exact, rough] = [
      await open({ detections: 'changes', movedPx: 0.5 }),
      await open({ detections: 'changes', movedPx: 30 }),
    ];
    for (const x of [0, 1, 20]) port.publish(publishedFrame('gate', x, [moved(car, x)]));
    await Promise.all([exact.settle(), rough.settle()]);
    expect(framesOf(exact)).toEqual([0, 1, 20]);
    expect(framesOf(rough)).toEqual([0]);
  });
});

describe('a client that names a rate of pictures', () => {
  it('gets at most that many, while another client gets all that are made', async () => {
    const clock = new ManualClock();
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port, { clock, heartbeatMs: 1e9 });
    const [some, all] = [await FeedSocket.open(url), await FeedSocket.open(url)];
    some.say({ type: 'subscribe', topics: ['preview'], previewFps: 1 });
    all.say({ type: 'subscribe', topics: ['preview'] });
    await Promise.all([some.settle(), all.settle()]);
    for (let picture = 0; picture < 50; picture += 1) {
      port.preview(publishedFrame('gate', picture), Uint8Array.of(1));
      clock.advance(200);
    }
    await Promise.all([some.settle(), all.settle()]);
    // One a second for ten seconds after the first; each may come a fifth of a second early.
    expect(some.of('preview').map(({ frame }) => frame)).toEqual([0, 4, 9, 14, 19, 24, 29, 34, 39, 44, 49]);
    expect(all.of('preview')).toHaveLength(50);
  });
});
