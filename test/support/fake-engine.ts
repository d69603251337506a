import type { ModelSpec } from '../../src/base/core/model.ts';
import type { EngineRequest } from '../../src/wire/protocol/threads.ts';

/** Pixels of each side of what the detector takes: small, where only the way of a frame matters. */
export const SIDE = 4;

/** A detector of one class, as far as runners and threads look at it. */
export const TINY_SPEC = {
  name: 'test',
  family: 'yolox',
  input: { width: SIDE, height: SIDE, resize: { mode: 'stretch' } },
  classes: ['a'],
  nmsIou: null,
  scoreThreshold: 0.3,
  maxDetections: 1,
  classesPerBox: 'best',
} as unknown as ModelSpec;

/** A thread of the fake engine that takes frames one by one, `callMs` for each, and finds nothing. */
export function fakeEngineRequest(callMs: number): EngineRequest {
  return {
    engine: 'fake',
    provider: 'none',
    maxBatch: 1,
    batchSizes: [1],
    intraThreads: 1,
    model: { spec: TINY_SPEC, format: 'onnx', path: '', precision: 'f32', batch: 'free', hash: '' },
    fake: { callMs, frameMs: 0, rows: [] },
  } as unknown as EngineRequest;
}
