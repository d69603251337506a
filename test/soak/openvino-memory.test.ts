import { afterEach, describe, expect, it } from 'vitest';
import { OpenvinoEngine } from '../../src/frame/infer/openvino-engine.ts';
import { slope } from '../../src/lab/measure/slope.ts';
import { centernet, request, tinyModel } from '../conformance/engine-cases.ts';
import { hasOpenvino } from '../support/openvino.ts';

/** Takes minutes with the real detector, one second with a network of three nodes. */
const inferences = Number(process.env.SOAK_INFERENCES ?? 0);
const CALLS = inferences === 0 ? 20_000 : inferences;
const LOADS = 60;
const MOST_BYTES_PER_CALL = 1024;
/** Measured: an engine that is not freed keeps 735 kB. */
const MOST_BYTES_PER_LOAD = 350_000;
/** Ratio of calls before the measurement, until the allocators have settled. */
const WARM_RATIO = 0.5;

describe.skipIf(!hasOpenvino)('OpenVINO over many calls in one process', () => {
  let engine: OpenvinoEngine | undefined;

  afterEach(() => engine?.close());

  it(
    'does not grow with its calls',
    async () => {
      const model = inferences === 0 ? tinyModel() : await centernet('openvino');
      if (model === null) return;
      engine = await OpenvinoEngine.load(request('openvino', model, { batchSizes: [1] }));
      const marks: [number, number][] = [];
      for (let call = 0; call < CALLS; call++) {
        engine.inputBuffer(1).fill(call & 255);
        await engine.infer(1);
        if (call % 50 === 0) marks.push([call, process.memoryUsage.rss()]);
      }
      const perCall = slope(marks.slice(Math.floor(marks.length * WARM_RATIO)));
      console.log(`${CALLS} calls of ${model.spec.name}: ${perCall.toFixed(0)} bytes a call`);
      expect(perCall).toBeLessThan(MOST_BYTES_PER_CALL);
    },
    30 * 60_000,
  );

  it('frees its memory when it is closed', async () => {
    const marks: [number, number][] = [];
    for (let load = 0; load < LOADS; load++) {
      const own = await OpenvinoEngine.load(request('openvino', tinyModel(), { batchSizes: [1, 2] }));
      await own.close();
      marks.push([load, process.memoryUsage.rss()]);
    }
    const perLoad = slope(marks.slice(Math.floor(LOADS * WARM_RATIO)));
    console.log(`${LOADS} loads: ${perLoad.toFixed(0)} bytes each`);
    expect(perLoad).toBeLessThan(MOST_BYTES_PER_LOAD);
  });
});
