import { afterEach, describe, expect, it } from 'vitest';
import { TensorflowEngine } from '../../src/frame/infer/tensorflow-engine.ts';
import { slope } from '../../src/lab/measure/slope.ts';
import { centernet, request, tinyModel } from '../conformance/engine-cases.ts';
import { hasTensorflow } from '../support/tensorflow.ts';

/** Takes minutes with the real detector, seconds with a network of three nodes. */
const inferences = Number(process.env.SOAK_INFERENCES ?? 0);
if (inferences === 0)
  console.warn('TensorFlow soaks a network of three nodes; SOAK_INFERENCES=10000 takes the default detector.');
const CALLS = inferences === 0 ? 30_000 : inferences;
const MOST_BYTES_PER_CALL = 1024;
/**
 * Ratio of calls before the measurement, until allocators have settled. Over 120,000 calls of three nodes the process grew by 1075,
 * 668 and 184 bytes per call in the first three blocks of ten thousand, and by 3 in the remaining ninety thousand.
 */
const WARM_RATIO = inferences === 0 ? 2 / 3 : 0.3;

describe.skipIf(!hasTensorflow)('TensorFlow over many calls in one process', () => {
  let engine: TensorflowEngine;

  afterEach(() => engine?.close());

  it(
    'holds no tensors and does not grow',
    async () => {
      const model = inferences === 0 ? tinyModel('saved-model') : await centernet('tensorflow');
      if (model === null) return;
      engine = await TensorflowEngine.load(request('tensorflow', model, { batchSizes: [1] }));
      const marks: { call: number; rssBytes: number; hostBytes: number }[] = [];
      const tensors = new Set<number>();
      let previous: Promise<unknown> = Promise.resolve();
      for (let call = 0; call < CALLS; call++) {
        engine.inputBuffer(1).fill(call & 255);
        const next = engine.infer(1);
        await previous;
        previous = next;
        if (call % 50 !== 0) continue;
        const { rssBytes, numTensors } = engine.usage;
        tensors.add(numTensors);
        marks.push({ call, rssBytes, hostBytes: process.memoryUsage.rss() });
      }
      await previous;
      const settled = marks.slice(Math.floor(marks.length * WARM_RATIO));
      const perCall = slope(settled.map(({ call, rssBytes }) => [call, rssBytes]));
      const host = slope(settled.map(({ call, hostBytes }) => [call, hostBytes]));
      console.log(
        `${CALLS} calls of ${model.spec.name}: ${engine.usage.numTensors} tensors, RSS ${megabytes(settled[0]!.rssBytes)} to ` +
          `${megabytes(settled.at(-1)!.rssBytes)}, ${perCall.toFixed(0)} bytes a call; this process ${host.toFixed(0)} bytes a call`,
      );
      expect(engine.replacements).toBe(0);
      expect([...tensors]).toEqual([0]);
      expect(perCall).toBeLessThan(MOST_BYTES_PER_CALL);
    },
    30 * 60_000,
  );
});

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
