import { describe, expect, it } from 'vitest';
import { parsePipeline } from '../../../src/config/load-pipeline.ts';
import { openRuntime } from '../../../src/runtime/open-runtime.ts';
import { ResultSinks } from '../../../src/runtime/result-sinks.ts';

describe('openRuntime', () => {
  const open = (model: object) =>
    openRuntime({
      ...parsePipeline(JSON.stringify({ name: 'odd', description: 'Settings that do not fit.', model }), 'test'),
      sinks: new ResultSinks([]),
      environment: { ffmpegPath: undefined, searchPath: '', modelPath: [], cacheDir: '/nowhere', token: undefined },
      onNotice: () => undefined,
    });

  it.each([
    [{ engine: 'tensorflow', threads: 2 }, /model\.threads: .*received 2.*CUDA_VISIBLE_DEVICES/],
    [{ engine: 'tensorflow', provider: 'webgpu' }, /model\.provider: .*webgpu/],
    [{ engine: 'openvino', provider: 'cuda' }, /model\.provider: engine openvino has no cuda, but cpu, gpu, npu, auto/],
    [{ engine: 'onnx', provider: 'npu' }, /model\.provider: npu is a device of engine openvino/],
  ])('refuses %j before anything is started', async (model, message) => {
    await expect(open(model)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message),
    });
  });
});
