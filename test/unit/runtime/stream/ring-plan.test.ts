import { describe, expect, it } from 'vitest';
import type { ModelSpec } from '../../../../src/core/model.ts';
import { planRing } from '../../../../src/runtime/stream/ring-plan.ts';

const port = { spec: { input: { width: 480, height: 256 } } as ModelSpec, inferenceSlots: 4, handOverSlots: 8 };

describe('planRing', () => {
  it('gives a live stream its queue, the slots of the threads and three more, and wakes its lane for each slot', () => {
    const { shape, refillAt } = planRing({ queueSize: 2 }, { policy: 'live', picture: null }, port);
    expect(shape).toEqual({ slots: 9, inputBytes: 480 * 256 * 3, pictureBytes: 0 });
    expect(refillAt).toBe(9);
  });

  it('gives a file four hand-overs per thread, and refills while more frames are left than the threads hold', () => {
    const { shape, refillAt } = planRing({ queueSize: 2 }, { policy: 'file', picture: null }, port);
    expect(shape.slots).toBe(32);
    expect(refillAt).toBe(21);
    expect(refillAt).toBeGreaterThan(2 * port.handOverSlots);
  });

  it('limits a ring of large pictures to less than hundreds of megabytes', () => {
    const picture = { width: 3840, height: 2160 };
    const { shape } = planRing({ queueSize: 2 }, { policy: 'file', picture }, port);
    expect(shape.slots, 'enough to keep every thread at work all the same').toBe(12);
    expect(shape.pictureBytes).toBe(3840 * 2160 * 3);
  });
});
