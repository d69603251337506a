import { requireIntact } from '../disk/artefact-hash.ts';
import type { EngineRequest } from '../protocol/threads.ts';
import { FakeEngine } from './fake-engine.ts';
import type { InferenceEngine } from './inference-engine.ts';

/**
 * Loads and warms up the requested engine, once its files have the hashes that they had when they were made.
 *
 * @throws ENGINE_UNAVAILABLE; never falls back to another engine. MODEL_INTEGRITY
 */
export async function loadEngine(request: EngineRequest): Promise<InferenceEngine> {
  await requireIntact(request.model.files ?? []);
  switch (request.engine) {
    case 'tensorflow':
      return (await import('./tensorflow-engine.ts')).TensorflowEngine.load(request);
    case 'openvino':
      return (await import('./openvino-engine.ts')).OpenvinoEngine.load(request);
    case 'onnx':
      return (await import('./onnx-engine.ts')).OnnxEngine.load(request);
    case 'wasm':
      return (await import('./wasm-engine.ts')).WasmEngine.load(request);
    case 'fake':
      return new FakeEngine(request);
  }
}
