import { describe, expect, it } from 'vitest';
import { cropsAlone } from '../../../../src/lab/measure/crops-alone.ts';
import { stageConfig } from '../../../../src/settings/config/stages.ts';
import type { EngineRequest } from '../../../../src/wire/protocol/threads.ts';
import { fakeEngineRequest } from '../../../support/fake-engine.ts';

const STAGE = stageConfig.parse({ name: 'a', model: {} });
const WIDTH = 64;
const PICTURES = { buffer: new SharedArrayBuffer(2 * WIDTH * WIDTH * 3), frameBytes: WIDTH * WIDTH * 3 };
const CROPS = [10, 20, 30].map((side) => ({ x: 5, y: 5, width: side, height: side, pictureWidth: WIDTH }));
const OPTIONS = { seconds: 0.3, threads: 2 };

describe('crops alone', () => {
  it('cost the CPU of their whole way, which those of a larger picture have more of', async () => {
    const small = await cropsAlone(STAGE, fakeEngineRequest(0), PICTURES, CROPS, OPTIONS);
    expect(small).toBeGreaterThan(0);
    const side = 1000;
    const pictures = { buffer: new SharedArrayBuffer(side * side * 3), frameBytes: side * side * 3 };
    const whole = { x: 0, y: 0, width: side, height: side, pictureWidth: side };
    const { model, ...request } = fakeEngineRequest(0);
    const { resize } = model.spec.input;
    const spec = { ...model.spec, input: { ...model.spec.input, width: side, height: side, resize } };
    const engine = { ...request, model: { ...model, spec } };
    // A million pixels to cut each time, instead of 16.
    expect(await cropsAlone(STAGE, engine, pictures, [whole], OPTIONS)).toBeGreaterThan(10 * small);
  });

  it('of a model that takes longer than the measurement are waited for', async () => {
    const ms = await cropsAlone(STAGE, fakeEngineRequest(600), PICTURES, CROPS, OPTIONS);
    expect(ms).toBeGreaterThan(0);
    expect(ms).toBeLessThan(Number.POSITIVE_INFINITY);
  });

  it('of a model that cannot be loaded are refused with its reason', async () => {
    const engine = { ...fakeEngineRequest(0), engine: 'onnx' as const, provider: 'cpu' };
    await expect(cropsAlone(STAGE, engine, PICTURES, CROPS, OPTIONS)).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
    });
  });

  it('that fail end the measurement with the reason', async () => {
    const { model, ...request } = fakeEngineRequest(0);
    // Nothing says how a crop is fitted into it.
    const { resize, ...input } = model.spec.input;
    const engine = { ...request, model: { ...model, spec: { ...model.spec, input } } } as EngineRequest;
    await expect(cropsAlone(STAGE, engine, PICTURES, CROPS, OPTIONS)).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
  });
});
