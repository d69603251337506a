import { afterEach, describe, expect, it } from 'vitest';
import type { OpenvinoDevice } from '../../src/base/core/openvino-facts.ts';
import { readOpenvinoFacts } from '../../src/frame/infer/openvino/facts.ts';
import { OpenvinoEngine } from '../../src/frame/infer/openvino-engine.ts';
import type { EngineRequest } from '../../src/wire/protocol/threads.ts';
import { request, tinyModel } from '../conformance/engine-cases.ts';
import { hasOpenvino, openvinoLibrary } from '../support/openvino.ts';
import { quantisedModel } from '../support/quantised-model.ts';

describe.skipIf(!hasOpenvino)('the precision of the openvino engine (needs it set up)', () => {
  let engine: OpenvinoEngine | undefined;

  afterEach(() => engine?.close());

  async function load(
    model: ReturnType<typeof tinyModel>,
    precision: NonNullable<EngineRequest['precision']>,
  ): Promise<string> {
    engine = await OpenvinoEngine.load(request('openvino', model, { batchSizes: [1], precision }));
    return engine.info.precision;
  }

  function cpu(): OpenvinoDevice {
    return readOpenvinoFacts(openvinoLibrary!).devices.find(({ name }) => name === 'CPU')!;
  }

  /** The network returns the mean of each channel: for a grey picture, its grey level. */
  async function greyOf(grey: number): Promise<number> {
    engine!.inputBuffer(1).fill(grey);
    return (await engine!.infer(1)).get('mean')!.data[0] as number;
  }

  it('auto is bf16 if the CPU supports it, else f32', async () => {
    expect(await load(tinyModel(), 'auto')).toBe(cpu().capabilities.includes('BF16') ? 'bf16' : 'f32');
  });

  it('f32 is always supported, and the device is reported by name', async () => {
    expect(await load(tinyModel(), 'f32')).toBe('f32');
    expect(engine!.info).toMatchObject({ provider: 'cpu', device: cpu().fullName });
    expect(await greyOf(201)).toBeCloseTo(201, 3);
  });

  it.each([
    ['bf16', 'BF16'],
    ['f16', 'FP16'],
  ] as const)('%s is computed where the CPU has it, and refused elsewhere', async (precision, capability) => {
    if (cpu().capabilities.includes(capability)) expect(await load(tinyModel(), precision)).toBe(precision);
    else await expect(load(tinyModel(), precision)).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
  });

  it('an engine that shares the models of another computes on its own, also when the other has closed', async () => {
    const first = await OpenvinoEngine.load(request('openvino', tinyModel(), { callers: 2, batchSizes: [1, 2] }));
    const users = new Int32Array(first.share!.users);
    engine = await OpenvinoEngine.load(
      request('openvino', tinyModel(), { callers: 2, batchSizes: [1, 2], share: first.share }),
    );
    expect(users[0]).toBe(2);
    first.inputBuffer(1).fill(17);
    expect(await greyOf(201)).toBeCloseTo(201, 0);
    expect((await first.infer(1)).get('mean')!.data[0]).toBeCloseTo(17, 0);
    await first.close();
    expect(users[0]).toBe(1);
    expect(await greyOf(99)).toBeCloseTo(99, 0);
    await engine.close();
    await engine.close();
    expect(users[0]).toBe(0);
  });

  it('an engine whose offer to share comes too late loads the model itself', async () => {
    const gone = await OpenvinoEngine.load(request('openvino', tinyModel(), { batchSizes: [1] }));
    await gone.close();
    engine = await OpenvinoEngine.load(request('openvino', tinyModel(), { batchSizes: [1], share: gone.share }));
    expect(await greyOf(201)).toBeCloseTo(201, 0);
    expect(new Int32Array(gone.share!.users)[0]).toBe(0);
    expect(new Int32Array(engine.share!.users)[0]).toBe(1);
  });

  it('a quantised file is computed and reported in int8', async () => {
    expect(await load(quantisedModel(), 'auto')).toBe('int8');
    expect(await greyOf(201)).toBeCloseTo(201, 0);
  });

  it.each(['f32', 'bf16', 'f16'] as const)('a quantised file in %s is refused', async (precision) => {
    await expect(load(quantisedModel(), precision)).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringContaining('is quantised and computed in int8'),
    });
  });
});
