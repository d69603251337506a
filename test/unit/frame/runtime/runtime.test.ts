import { describe, expect, it } from 'vitest';
import { ResultSinks } from '../../../../src/after/sinks/result-sinks.ts';
import { Runtime } from '../../../../src/frame/runtime/runtime.ts';
import { loadManifest, modelSpec } from '../../../../src/network/store/manifests.ts';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { programAs } from '../../../support/confinement.ts';

describe('a runtime', () => {
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
