import { describe, expect, it } from 'vitest';
import { check } from '../../../../src/settings/config/check.ts';
import { ENGINE_NAMES, factsOf } from '../../../../src/settings/config/engines.ts';
import { modelConfig } from '../../../../src/settings/config/model-config.ts';

describe('the settings of a model', () => {
  const refusal = (model: object): string => {
    try {
      check(modelConfig, model, 'model');
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };

  it.each([
    [{ engine: 'tensorflow', threads: 2 }, /model: threads: expected 1, .*CUDA_VISIBLE_DEVICES.* received 2/],
    [{ engine: 'tensorflow', provider: 'webgpu' }, /provider: expected cpu, cuda with engine tensorflow .*onnx/],
    [{ engine: 'openvino', provider: 'cuda' }, /provider: expected cpu, gpu, npu, auto with engine openvino/],
    [{ engine: 'onnx', provider: 'npu' }, /provider: expected cpu, cuda, .* \(engine with it: openvino\)/],
    [{ engine: 'wasm', precision: 'f16' }, /precision: expected auto, f32 with engine wasm/],
    [{ engine: 'onnx', precision: 'bf16' }, /precision: expected auto, f32, f16, int8 with engine onnx/],
  ])('%j is refused before a model is loaded', (model, message) => {
    expect(refusal(model)).toMatch(message);
  });

  it('may be all that the facts of an engine name, and anything while the engine is chosen', () => {
    for (const engine of ENGINE_NAMES) {
      const { providers, precisions, network, threads } = factsOf(engine);
      for (const provider of providers ?? ['cpu', 'cuda']) expect(refusal({ engine, provider })).toBe('');
      for (const precision of network === null ? ['bf16'] : precisions) expect(refusal({ engine, precision })).toBe('');
      expect(refusal({ engine, threads: threads === 'one' ? 1 : 8 })).toBe('');
    }
    expect(refusal({ provider: 'npu', precision: 'bf16', threads: 9 })).toBe('');
  });
});
