import { describe, expect, it } from 'vitest';
import { SlotRing } from '../../../src/flow/slot-ring.ts';

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

  it('is reused only for rings of the same size', () => {
    const small = SlotRing.create(SHAPE);
    small.recycle();
    const large = SlotRing.create({ ...SHAPE, slots: 30 });
    expect(large.buffer.byteLength).toBeGreaterThan(30 * 48);
    for (let i = 0; i < 30; i++) expect(large.acquire()).toBe(i);
  });
});
