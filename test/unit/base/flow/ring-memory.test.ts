import { describe, expect, it } from 'vitest';
import { keptRingBytes } from '../../../../src/base/flow/ring-memory.ts';
import { SlotRing } from '../../../../src/base/flow/slot-ring.ts';

const SHAPE = { slots: 3, inputBytes: 48, pictureBytes: 0 };

describe('ring memory', () => {
  it('is reused, and a ring in it starts empty', () => {
    const first = SlotRing.create(SHAPE);
    first.acquire();
    first.countCompleted();
    first.setWaiting(true);
    first.recycle();
    const second = SlotRing.create(SHAPE);
    expect(second.buffer).toBe(first.buffer);
    expect([second.heldCount, second.completedCount, second.takeWaiting()]).toEqual([0, 0, false]);
  });

  it('is never shared by two rings in use', () => {
    SlotRing.create(SHAPE).recycle();
    expect(SlotRing.create(SHAPE).buffer).not.toBe(SlotRing.create(SHAPE).buffer);
  });

  it('keeps at most eight blocks of a size', () => {
    const rings = Array.from({ length: 10 }, () => SlotRing.create({ ...SHAPE, slots: 7 }));
    const before = keptRingBytes();
    for (const ring of rings) ring.recycle();
    expect(keptRingBytes() - before).toBe(8 * rings[0]!.buffer.byteLength);
  });

  it('keeps at most 256 MiB, whatever sizes come, and the newest of them', () => {
    const mib = 2 ** 20;
    const rings = Array.from({ length: 40 }, (_, i) =>
      SlotRing.create({ slots: 1, inputBytes: 20 * mib + 64 * i, pictureBytes: 0 }),
    );
    for (const ring of rings) ring.recycle();
    expect(keptRingBytes()).toBeLessThanOrEqual(256 * mib);
    expect(keptRingBytes()).toBeGreaterThan(200 * mib);
    const { shape, buffer } = rings.at(-1)!;
    expect(SlotRing.create(shape).buffer).toBe(buffer);
    expect(SlotRing.create(rings[0]!.shape).buffer).not.toBe(rings[0]!.buffer);
  });

  it('is reused only for rings of the same size', () => {
    const small = SlotRing.create(SHAPE);
    small.recycle();
    const large = SlotRing.create({ ...SHAPE, slots: 30 });
    expect(large.buffer.byteLength).toBeGreaterThan(30 * 48);
    for (let i = 0; i < 30; i++) expect(large.acquire()).toBe(i);
  });
});
