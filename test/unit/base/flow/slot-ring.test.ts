import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inputsPerModel, type SlotMeta, SlotRing, viewsFor } from '../../../../src/base/flow/slot-ring.ts';

const SHAPE = { slots: 3, inputBytes: 100, pictureBytes: 300 };

const LEAKED = expect.objectContaining({ code: 'FRAME_LEAKED' });

describe('SlotRing', () => {
  it('gives each slot to one owner at a time', () => {
    const ring = SlotRing.create(SHAPE);
    expect([ring.acquire(), ring.acquire(), ring.acquire(), ring.acquire()]).toEqual([0, 1, 2, -1]);
    expect(ring.heldCount).toBe(3);
    ring.hand(1);
    ring.release(1);
    expect(ring.acquire()).toBe(1);
  });

  it('reports a double release as a leak', () => {
    const ring = SlotRing.create(SHAPE);
    const slot = ring.acquire();
    ring.hand(slot);
    ring.release(slot);
    expect(() => ring.release(slot)).toThrowError(LEAKED);
  });

  it.each([
    ['handing a slot that is free', (ring: SlotRing) => ring.hand(0)],
    ['releasing a slot that the lane still fills', (ring: SlotRing) => ring.release(ring.acquire())],
    ['abandoning a slot that the host has', (ring: SlotRing) => [ring.hand(ring.acquire()), ring.abandon(0)]],
    ['handing a slot twice', (ring: SlotRing) => [ring.hand(ring.acquire()), ring.hand(0)]],
    ['abandoning a slot that is free', (ring: SlotRing) => ring.abandon(2)],
  ])('refuses %s', (_, wrong) => {
    expect(() => wrong(SlotRing.create(SHAPE))).toThrowError(LEAKED);
  });

  it('counts exactly the slots that were taken and not released, in any order', () => {
    const step = fc.record({ what: fc.constantFrom('acquire', 'hand', 'abandon', 'release'), slot: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ring = SlotRing.create(SHAPE);
        const owner = ['free', 'free', 'free'];
        for (const { what, slot } of steps) {
          if (what === 'acquire') {
            const got = ring.acquire();
            expect(got).toBe(owner.indexOf('free'));
            if (got >= 0) owner[got] = 'lane';
            continue;
          }
          const [from, to] = { hand: ['lane', 'host'], abandon: ['lane', 'free'], release: ['host', 'free'] }[what]!;
          if (owner[slot] === from) {
            ring[what as 'hand'](slot);
            owner[slot] = to!;
          } else expect(() => ring[what as 'hand'](slot)).toThrowError(LEAKED);
          expect(ring.heldCount).toBe(owner.filter((name) => name !== 'free').length);
        }
      }),
    );
  });

  it('reports a waiting lane once, and not at all if it cancelled its request', () => {
    const ring = SlotRing.create(SHAPE);
    expect(ring.takeWaiting()).toBe(false);
    ring.setWaiting(true);
    expect(ring.isWaiting).toBe(true);
    expect([ring.takeWaiting(), ring.takeWaiting()]).toEqual([true, false]);
    expect(ring.isWaiting).toBe(false);
    ring.setWaiting(true);
    ring.setWaiting(false);
    expect(ring.takeWaiting()).toBe(false);
  });

  it('asks the lane once for each requested look', () => {
    const ring = SlotRing.create(SHAPE);
    const lane = SlotRing.attach(ring.buffer, ring.shape);
    expect(lane.takeLookRequest()).toBe(false);
    ring.requestLook();
    expect([lane.takeLookRequest(), lane.takeLookRequest(), lane.isWaiting]).toEqual([true, false, false]);
  });

  it('gives the host each handed-over slot once and in order, however often the ring wraps', () => {
    const ring = SlotRing.create(SHAPE);
    const lane = SlotRing.attach(ring.buffer, ring.shape);
    fc.assert(
      fc.property(fc.array(fc.constantFrom('hand', 'take'), { maxLength: 60 }), (steps) => {
        const handed: number[] = [];
        const takeNext = (): void => {
          const slot = ring.take();
          expect(slot).toBe(handed.shift() ?? -1);
          if (slot >= 0) ring.release(slot);
        };
        for (const step of steps) {
          const slot = step === 'hand' ? lane.acquire() : -1;
          if (slot >= 0) {
            lane.hand(slot);
            handed.push(slot);
          } else takeNext();
        }
        while (handed.length > 0) takeNext();
        expect(ring.take()).toBe(-1);
      }),
    );
  });

  it('notifies the host of the next frame once per request', () => {
    const ring = SlotRing.create(SHAPE);
    expect(ring.hand(ring.acquire())).toBe(false);
    ring.listen();
    ring.listen();
    expect([ring.hand(ring.acquire()), ring.hand(ring.acquire())]).toEqual([true, false]);
  });

  it('stores the numbers of a frame exactly as they were written', () => {
    const number = fc.double({ noNaN: true });
    const meta = fc.record({
      frame: number,
      ptsUs: number,
      width: number,
      height: number,
      captured: number,
      wallMs: fc.double(),
      decoded: number,
      preprocessed: number,
      placement: fc.record({ scaleX: number, scaleY: number, offsetX: number, offsetY: number }),
      change: fc.constantFrom('changed', 'unchanged', 'without-input'),
      hashHigh: fc.nat({ max: 2 ** 48 - 1 }),
      hashLow: fc.nat({ max: 2 ** 48 - 1 }),
      shift: fc.record({ x: number, y: number }),
    });
    const ring = SlotRing.create(SHAPE);
    fc.assert(
      fc.property(meta, meta, (first, last) => {
        ring.writeMeta(0, first as SlotMeta);
        ring.writeMeta(2, last as SlotMeta);
        expect(ring.readMeta(0)).toEqual(first);
        expect(ring.readMeta(2)).toEqual(last);
      }),
    );
  });

  it('says how long ago a frame was decoded, whatever the clock reads', () => {
    const ring = SlotRing.create(SHAPE);
    expect(ring.decodedAgeMs(5)).toBeNull();
    for (const nowMs of [0, 1_700_000_000_000.4, 2 ** 31 - 10, 2 ** 32 - 10]) {
      SlotRing.attach(ring.buffer, SHAPE).noteDecoded(nowMs);
      expect(ring.decodedAgeMs(nowMs + 86_400_000)).toBeCloseTo(86_400_000, -1);
    }
  });

  it('shares one memory between all threads that attach to it', () => {
    const ring = SlotRing.create(SHAPE);
    const other = SlotRing.attach(ring.buffer, ring.shape);
    const slot = other.acquire();
    other.input(slot).fill(7);
    other.picture(slot).fill(9);
    other.countCompleted();
    other.setWaiting(true);
    expect(ring.heldCount).toBe(1);
    other.hand(slot);
    expect(ring.input(slot).every((byte) => byte === 7)).toBe(true);
    expect(ring.picture(slot).every((byte) => byte === 9)).toBe(true);
    expect(ring.completedCount).toBe(1);
    expect(ring.takeWaiting()).toBe(true);
    ring.release(slot);
    expect(other.heldCount).toBe(0);
  });

  it('keeps the parts of all slots apart', () => {
    const ring = SlotRing.create(SHAPE);
    const parts = [0, 1, 2].flatMap((slot) => [ring.input(slot), ring.picture(slot)]);
    parts.forEach((part, i) => {
      part.fill(i + 1);
    });
    parts.forEach((part, i) => {
      expect(part.every((byte) => byte === i + 1)).toBe(true);
    });
    expect(parts.map((part) => part.length)).toEqual([100, 300, 100, 300, 100, 300]);
    ring.writeMeta(0, { ...ring.readMeta(0), frame: 5 });
    expect(ring.heldCount).toBe(0);
  });
});

describe('a ring of frames with several model inputs', () => {
  const views = 3;
  const shape = { ...SHAPE, views };

  it('has the inputs of a slot one after the other, apart from those of other slots and from pictures', () => {
    const ring = SlotRing.create(shape);
    for (let slot = 0; slot < shape.slots; slot++) {
      expect(ring.input(slot)).toHaveLength(views * shape.inputBytes);
      for (let view = 0; view < views; view++) ring.input(slot, view).fill(10 * slot + view + 1);
      ring.picture(slot).fill(200 + slot);
    }
    for (let slot = 0; slot < shape.slots; slot++) {
      const expected = [0, 1, 2].flatMap((view) => Array(shape.inputBytes).fill(10 * slot + view + 1));
      expect(Array.from(ring.input(slot))).toEqual(expected);
      expect(new Set(ring.picture(slot))).toEqual(new Set([200 + slot]));
    }
  });

  it('keeps the place of every view, also for a thread that attaches to it', () => {
    const ring = SlotRing.create(shape);
    const place = (n: number) => ({
      placement: { scaleX: n + 0.1, scaleY: n + 0.2, offsetX: n + 0.3, offsetY: n + 0.4 },
      bounds: { x: n + 0.5, y: n + 0.6, width: n + 0.7, height: n + 0.8 },
    });
    for (let slot = 0; slot < shape.slots; slot++)
      for (let view = 0; view < views; view++) ring.writeView(slot, view, place(10 * slot + view));
    const other = SlotRing.attach(ring.buffer, shape);
    for (let slot = 0; slot < shape.slots; slot++) {
      ring.input(slot).fill(255);
      ring.picture(slot).fill(255);
    }
    for (let slot = 0; slot < shape.slots; slot++)
      for (let view = 0; view < views; view++) expect(other.readView(slot, view)).toEqual(place(10 * slot + view));
  });

  it('shared by two models has half of the views for each', () => {
    const models: [string, string] = ['old', 'new'];
    expect([viewsFor({ views: 6, models }, 'old'), viewsFor({ views: 6, models }, 'new')]).toEqual([
      { from: 0, count: 3 },
      { from: 3, count: 3 },
    ]);
    expect(() => viewsFor({ views: 6, models }, 'third')).toThrow('a ring has no inputs for third');
    expect([viewsFor({ views: 6 }, 'any'), viewsFor({}, 'any')]).toEqual([
      { from: 0, count: 6 },
      { from: 0, count: 1 },
    ]);
    expect([{ views: 6, models }, { views: 6 }, {}].map(inputsPerModel)).toEqual([3, 6, 1]);
  });

  it('refuses a view that it does not have', () => {
    expect(() => SlotRing.create(shape).readView(0, views)).toThrow('view 3 of a ring with 3');
    expect(() => SlotRing.create(SHAPE).readView(0, 0)).toThrow('view 0 of a ring with 0');
  });
});
