import type { EngineRequest } from '../protocol/threads.ts';
import { FakeEngine } from './fake-engine.ts';
import type { InferenceEngine } from './inference-engine.ts';

/** Loads and warms up the requested engine. @throws ENGINE_UNAVAILABLE; never falls back to another engine. */
export async function loadEngine(request: EngineRequest): Promise<InferenceEngine> {
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
