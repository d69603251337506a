import { describe, expect, it } from 'vitest';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { type InferenceEngine, ROWS_OUTPUT } from '../../../../../src/frame/infer/inference-engine.ts';
import { BatchRunner } from '../../../../../src/frame/runtime/inference/batch-runner.ts';
import { SIDE, TINY_SPEC } from '../../../../support/fake-engine.ts';
import { slotMeta } from '../../../../support/slot-meta.ts';

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
      type: 'batch',
      batchId: 3,
      slots,
      ringIds: slots.map(() => ringId),
      callSize,
      scoreThreshold: 0,
    });
  return { engine, run };
}

describe('BatchRunner', () => {
  it('splits a large batch into several calls, and returns one result in the order of the frames', async () => {
    const { engine, run } = setUp(5);
    const result = await run(2);
    expect(engine.calls.map((call) => call.length)).toEqual([2, 2, 2]);
    expect(engine.calls.flat().slice(0, 5)).toEqual([10, 20, 30, 40, 50]);
    expect(result.lengths).toEqual([6, 6, 6, 6, 6]);
    const scores = [0, 1, 2, 3, 4].map((i) => Math.round(result.rows[i * 6 + 4]! * 255));
    expect(scores).toEqual([10, 20, 30, 40, 50]);
    expect(result.batchId).toBe(3);
  });

  it('pads a batch smaller than one call, and returns no rows for the padding', async () => {
    const { engine, run } = setUp(3);
    const result = await run(4);
    expect(engine.calls.map((call) => call.length)).toEqual([4]);
    expect(result.lengths).toEqual([6, 6, 6]);
  });

  it('reads the outputs of an empty picture once it is loaded, and names the model whose manifest does not fit', async () => {
    const calls: number[] = [];
    const engine = {
      info: { batchSizes: [4, 8] },
      inputBuffer: () => new Uint8Array(4 * SIDE * SIDE * 3).fill(7),
      infer: async (size: number) => {
        calls.push(size);
        return new Map();
      },
    };
    const decode = (error: Error | null) => () => {
      if (error !== null) throw error;
      return [new Float32Array(0)];
    };
    const runnerOf = (error: Error | null) =>
      new BatchRunner(engine as unknown as InferenceEngine, TINY_SPEC, decode(error));
    await runnerOf(null).tryOutputs();
    expect(calls).toEqual([4]);
    await expect(
      runnerOf(new RangeError('output type: expected 5 scores; received 4')).tryOutputs(),
    ).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: `model ${TINY_SPEC.name}: output type: expected 5 scores; received 4`,
    });
  });

  it('does not decode the padding', async () => {
    const decoded: number[] = [];
    const engine = { inputBuffer: () => new Uint8Array(4 * SIDE * SIDE * 3), infer: async () => new Map() };
    const runner = new BatchRunner(engine as unknown as InferenceEngine, TINY_SPEC, (_, inputs) => {
      decoded.push(inputs);
      return Array.from({ length: inputs }, () => new Float32Array(0));
    });
    const ring = SlotRing.create({ slots: 5, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
    runner.attach({ ringId: 7, buffer: ring.buffer, shape: ring.shape });
    const slots = Array.from({ length: 5 }, () => ring.acquire());
    for (const slot of slots) ring.writeMeta(slot, slotMeta({ frame: slot, width: SIDE, height: SIDE }));
    const ringIds = slots.map(() => 7);
    await runner.run({ type: 'batch', batchId: 1, slots, ringIds, callSize: 4, scoreThreshold: 0 });
    expect(decoded).toEqual([4, 1]);
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

  it('makes masks of frames whose masks somebody reads, and returns how long the rows of each frame are', async () => {
    const spec = { ...TINY_SPEC, task: 'masks' } as const;
    // The whole of each prototype is above 0.
    const prototypes = { data: new Float32Array(2 * SIDE * SIDE).fill(1), dims: [2, 1, SIDE, SIDE] };
    const memory = new Uint8Array(2 * SIDE * SIDE * 3);
    const engine = { inputBuffer: () => memory, infer: async () => new Map([['prototypes', prototypes]]) };
    const runner = new BatchRunner(engine as unknown as InferenceEngine, spec, () => [
      Float32Array.of(0, 0, 2, 2, 0.9, 0, 1),
      new Float32Array(0),
    ]);
    const ring = SlotRing.create({ slots: 2, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
    runner.attach({ ringId: 7, buffer: ring.buffer, shape: ring.shape });
    const slots = [ring.acquire(), ring.acquire()];
    for (const slot of slots) ring.writeMeta(slot, slotMeta({ frame: slot, width: SIDE, height: SIDE }));
    const batch = { type: 'batch', batchId: 1, slots, ringIds: [7, 7], callSize: 2, scoreThreshold: 0 } as const;
    const read = await runner.run({ ...batch, masks: true });
    // Two pixels inside in each of two columns of four: 0 outside, 2 inside, 2 outside, 2 inside, 10 outside.
    expect(Array.from(read.rows.slice(6))).toEqual([SIDE, SIDE, 5, 0, 2, 2, 2, 10]);
    expect(read.lengths).toEqual([14, 0]);
    expect((await runner.run(batch)).lengths).toEqual([9, 0]);
  });

  it('refuses a ring that was never attached', async () => {
    await expect(setUp(1).run(1, 8)).rejects.toThrow('no ring 8');
  });
});

describe('BatchRunner with frames of several views', () => {
  const INPUT_BYTES = SIDE * SIDE * 3;
  const SPEC = { ...TINY_SPEC, maxDetections: 10 };
  /** The left and the right half of a picture of 80x40; the model input shows each 10 times smaller. */
  const HALVES = [0, 40].map((x) => ({
    placement: { scaleX: 0.1, scaleY: 0.1, offsetX: -x / 10, offsetY: 0 },
    bounds: { x, y: 0, width: 40, height: 40 },
  }));

  /** Frames of two views in ring 7, then one without views in ring 8. */
  function rig() {
    const engine = new FirstByteEngine();
    const runner = new BatchRunner(engine as unknown as InferenceEngine, SPEC, () => []);
    const tiled = SlotRing.create({ slots: 2, inputBytes: INPUT_BYTES, views: 2, pictureBytes: 0 });
    const plain = SlotRing.create({ slots: 1, inputBytes: INPUT_BYTES, pictureBytes: 0 });
    runner.attach({ ringId: 7, buffer: tiled.buffer, shape: tiled.shape });
    runner.attach({ ringId: 8, buffer: plain.buffer, shape: plain.shape });
    for (const slot of [0, 1]) {
      tiled.writeMeta(slot, slotMeta({ frame: slot, width: 80, height: 40 }));
      for (const view of [0, 1]) {
        tiled.input(slot, view).fill(100 + 50 * slot + 10 * view);
        tiled.writeView(slot, view, HALVES[view]!);
      }
    }
    plain.writeMeta(0, slotMeta({ frame: 0, width: SIDE, height: SIDE }));
    plain.input(0).fill(40);
    const run = (callSize: number) =>
      runner.run({
        type: 'batch',
        batchId: 1,
        ringIds: [7, 8, 7],
        slots: [0, 0, 1],
        callSize,
        scoreThreshold: 0,
      });
    return { engine, tiled, run };
  }

  /** x, y, width, height and the byte that became the score. */
  const boxes = (rows: Float32Array): number[][] =>
    Array.from({ length: rows.length / 6 }, (_, i) => [
      ...Array.from(rows.subarray(i * 6, i * 6 + 4), Math.round),
      Math.round(rows[i * 6 + 4]! * 255),
    ]);

  it('runs each view as an input of its own, across frames, padded only at the end', async () => {
    const { engine, run } = rig();
    await run(2);
    expect(engine.calls.map((call) => call.length)).toEqual([2, 2, 2]);
    expect(engine.calls.flat().slice(0, 5)).toEqual([100, 110, 40, 150, 160]);
  });

  it.each([1, 2, 4, 8])(
    'returns the boxes of each frame together, in source pixels, with calls of %i',
    async (callSize) => {
      const { lengths, rows } = await rig().run(callSize);
      expect(lengths).toEqual([12, 6, 12]);
      expect(boxes(rows)).toEqual([
        [40, 0, 20, 20, 110],
        [0, 0, 20, 20, 100],
        [0, 0, 2, 2, 40],
        [40, 0, 20, 20, 160],
        [0, 0, 20, 20, 150],
      ]);
    },
  );

  it('clips boxes to their view', async () => {
    const { tiled, run } = rig();
    // The box of the engine is 20 pixels wide; this view shows only 8.
    tiled.writeView(0, 0, { ...HALVES[0]!, bounds: { x: 4, y: 2, width: 8, height: 38 } });
    const { rows } = await run(4);
    expect(boxes(rows)[1]).toEqual([4, 2, 8, 18, 100]);
  });

  it('shows a view in the place of another one as boxes at the wrong place', async () => {
    const { tiled, run } = rig();
    for (const view of [0, 1]) tiled.writeView(0, view, HALVES[1 - view]!);
    const { rows } = await run(4);
    expect(boxes(rows).slice(0, 2)).toEqual([
      [0, 0, 20, 20, 110],
      [40, 0, 20, 20, 100],
    ]);
  });
});
