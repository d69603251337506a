import { describe, expect, it } from 'vitest';
import { ResultSinks } from '../../../../src/after/sinks/result-sinks.ts';
import { openRuntime } from '../../../../src/frame/runtime/open-runtime.ts';
import { Runtime } from '../../../../src/frame/runtime/runtime.ts';
import { loadManifest, modelSpec } from '../../../../src/network/store/manifests.ts';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { programAs } from '../../../support/confinement.ts';

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
    [
      { engine: 'openvino', provider: 'cuda' },
      /model\.provider: engine openvino supports cpu, gpu, npu, auto, received cuda/,
    ],
    [
      { engine: 'onnx', provider: 'npu' },
      /model\.provider: engine onnx supports cpu, cuda, .*, received npu, a device of engine openvino/,
    ],
  ])('refuses %j before anything is started', async (model, message) => {
    await expect(open(model)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('leaves the sinks open if an engine cannot be loaded, for the next engine', async () => {
    let closed = 0;
    const sinks = new ResultSinks([]);
    sinks.close = () => {
      closed += 1;
      return Promise.resolve([]);
    };
    const config = parsePipeline(JSON.stringify({ name: 'odd', description: 'An engine that is not there.' }), 'test');
    const spec = modelSpec(await loadManifest('centernet'));
    const starting = Runtime.start({
      ...config,
      sinks,
      ffmpeg: { ...programAs('ffmpeg'), version: '6.0', foundBy: 'PATH' },
      lanes: 1,
      inferenceThreads: 1,
      engine: {
        engine: 'onnx',
        provider: 'cpu',
        model: { spec, format: 'onnx', path: '/nowhere.onnx', precision: 'f32', batch: 'free', hash: '' },
        maxBatch: 1,
        batchSizes: null,
        intraThreads: 1,
        fake: config.model.fake,
      },
    });
    await expect(starting).rejects.toThrow(/nowhere\.onnx/);
    expect(closed).toBe(0);
  });
});
