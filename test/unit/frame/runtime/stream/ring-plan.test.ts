import { describe, expect, it } from 'vitest';
import type { ModelSpec } from '../../../../../src/base/core/model.ts';
import { planRing } from '../../../../../src/frame/runtime/stream/ring-plan.ts';

const port = {
  spec: { input: { width: 480, height: 256 } } as ModelSpec,
  inferenceCalls: 2,
  inferenceInputs: 4,
  handOverInputs: 8,
};

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
    expect(refillAt).toBeGreaterThan(2 * port.handOverInputs);
  });

  it('limits a ring of large pictures to less than hundreds of megabytes', () => {
    const picture = { width: 3840, height: 2160 };
    const { shape } = planRing({ queueSize: 2 }, { policy: 'file', picture }, port);
    expect(shape.slots, 'enough to keep every thread at work all the same').toBe(12);
    expect(shape.pictureBytes).toBe(3840 * 2160 * 3);
  });

  it('has room for all inputs of a frame, and fewer slots where a frame takes more of a call', () => {
    const gpu = { ...port, inferenceCalls: 2, inferenceInputs: 16, handOverInputs: 4 };
    const tiles = { columns: 2, rows: 2, overlap: 0.2, whole: true };
    const { shape } = planRing({ queueSize: 2, tiles }, { policy: 'live', picture: null }, gpu);
    // A call of 8 holds one frame of 5 inputs, and so do all of the three that 16 inputs allow.
    expect(shape).toEqual({ slots: 2 + 3 + 3, inputBytes: 480 * 256 * 3, views: 5, pictureBytes: 0 });
    const plain = planRing({ queueSize: 2 }, { policy: 'live', picture: null }, gpu);
    expect(plain.shape.slots).toBe(2 + 16 + 3);
  });

  it('has a slot for each thread even if a frame has more inputs than all threads take', () => {
    const tiles = { columns: 4, rows: 4, overlap: 0.2, whole: true };
    const live = planRing({ queueSize: 2, tiles }, { policy: 'live', picture: null }, port);
    expect(live.shape.slots).toBe(2 + 2 + 3);
    const file = planRing({ queueSize: 2, tiles }, { policy: 'file', picture: null }, port);
    expect(file.shape).toMatchObject({ slots: 8, views: 17 });
  });

  it('marks a region as a view of its own', () => {
    const region = { x: 0, y: 0, width: 0.5, height: 1 };
    expect(planRing({ queueSize: 2, region }, { policy: 'live', picture: null }, port).shape.views).toBe(1);
  });
});
