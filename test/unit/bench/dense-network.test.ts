import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { denseNetwork } from '../../../bench/support/dense-network.ts';
import { emitOnnx } from '../../../src/network/compile/onnx/emit-onnx.ts';

const SIZE_PX = 64;
const PICTURE = 3 * SIZE_PX * SIZE_PX;
/** 64 px at strides 8, 16 and 32: 8x8 + 4x4 + 2x2 cells, each with a box and 80 classes. */
const OUTPUT = (64 + 16 + 4) * 84;

describe('the dense network of the benches', () => {
  it('with a free batch gives each picture the output that it gets alone', async () => {
    const run = async (batch: 1 | 'n', pixels: Float32Array, count: number): Promise<Float32Array> => {
      const session = await InferenceSession.create(emitOnnx(denseNetwork(0.25, SIZE_PX, batch)), {
        logSeverityLevel: 3,
      });
      const outputs = await session.run({ images: new Tensor('float32', pixels, [count, 3, SIZE_PX, SIZE_PX]) });
      await session.release();
      return outputs.output0!.data as Float32Array;
    };
    // Pictures of very different contrast: with random weights, similar ones give almost the same output.
    const pixels = Float32Array.from(
      { length: 3 * PICTURE },
      (_, i) => Math.sin(i * i) * 16 ** Math.floor(i / PICTURE),
    );
    const together = await run('n', pixels, 3);
    expect(together).toHaveLength(3 * OUTPUT);
    for (let i = 0; i < 3; i++) {
      const alone = await run(1, pixels.slice(i * PICTURE, (i + 1) * PICTURE), 1);
      const difference = (other: number): number =>
        Math.max(...alone.map((value, at) => Math.abs(value - together[other * OUTPUT + at]!)));
      expect(difference(i)).toBeLessThan(1e-3);
      // Another picture gives another output, by ten times the tolerance at least.
      expect(difference((i + 1) % 3)).toBeGreaterThan(1e-2);
    }
  });
});
