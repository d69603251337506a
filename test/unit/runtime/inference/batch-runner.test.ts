import { describe, expect, it } from 'vitest';
import { SlotRing } from '../../../../src/flow/slot-ring.ts';
import { type InferenceEngine, ROWS_OUTPUT } from '../../../../src/infer/inference-engine.ts';
import { BatchRunner } from '../../../../src/runtime/inference/batch-runner.ts';
import { SIDE, TINY_SPEC } from '../../../support/fake-engine.ts';
import { slotMeta } from '../../../support/slot-meta.ts';

/** Returns one box per frame, whose score is the first byte of the picture divided by 255; records its calls. */
class FirstByteEngine {
  readonly calls: number[][] = [];
  readonly #memory = new Uint8Array(8 * SIDE * SIDE * 3);

  inputBuffer(batchSize: number): Uint8Array {
    return this.#memory.subarray(0, batchSize * SIDE * SIDE * 3);
  }

  async infer(batchSize: number): Promise<unknown> {
    const first = Array.from({ length: batchSize }, (_, i) => this.#memory[i * SIDE * SIDE * 3]!);
    this.calls.push(first);
    const data = Float32Array.from(first.flatMap((byte) => [0, 0, 2, 2, byte / 255, 0]));
    return new Map([[ROWS_OUTPUT, { data, dims: [batchSize, 1, 6] }]]);
  }
}

function setUp(frames: number) {
  const engine = new FirstByteEngine();
  const runner = new BatchRunner(engine as unknown as InferenceEngine, TINY_SPEC, () => []);
  const ring = SlotRing.create({ slots: frames, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
  runner.attach({ ringId: 7, buffer: ring.buffer, shape: ring.shape });
  const slots = Array.from({ length: frames }, (_, i) => {
    const slot = ring.acquire();
    ring.input(slot).fill(10 * (i + 1));
    ring.writeMeta(slot, slotMeta({ frame: i, width: SIDE, height: SIDE }));
    return slot;
  });
  const run = (callSize: number, ringId = 7) =>
    runner.run({
      ...{ type: 'batch', batchId: 3, slots, ringIds: slots.map(() => ringId), callSize, scoreThreshold: 0 },
    });
  return { engine, run };
}

describe('BatchRunner', () => {
  it('splits a large batch into several calls, and returns one result in the order of the frames', async () => {
    const { engine, run } = setUp(5);
    const result = await run(2);
    expect(engine.calls.map((call) => call.length)).toEqual([2, 2, 2]);
    expect(engine.calls.flat().slice(0, 5)).toEqual([10, 20, 30, 40, 50]);
    expect(result.counts).toEqual([1, 1, 1, 1, 1]);
    const scores = [0, 1, 2, 3, 4].map((i) => Math.round(result.rows[i * 6 + 4]! * 255));
    expect(scores).toEqual([10, 20, 30, 40, 50]);
    expect(result.batchId).toBe(3);
  });

  it('pads a batch smaller than one call, and returns no rows for the padding', async () => {
    const { engine, run } = setUp(3);
    const result = await run(4);
    expect(engine.calls.map((call) => call.length)).toEqual([4]);
    expect(result.counts).toEqual([1, 1, 1]);
  });

  it('states its times in order: began, in the calls, in their outputs, ended', async () => {
    const { run } = setUp(5);
    const before = performance.timeOrigin + performance.now();
    const { beganMs, busyMs, postprocessMs, endedMs } = await run(2);
    expect(beganMs).toBeGreaterThanOrEqual(before);
    expect(postprocessMs).toBeGreaterThan(0);
    expect(busyMs).toBeGreaterThanOrEqual(postprocessMs);
    expect(endedMs - beganMs).toBeGreaterThanOrEqual(busyMs - 1e-6);
  });

  it('refuses a ring that was never attached', async () => {
    await expect(setUp(1).run(1, 8)).rejects.toThrow('no ring 8');
  });
});
