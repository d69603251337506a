import { requireIntact } from '../../base/disk/artefact-hash.ts';
import type { EngineName } from '../../settings/config/engines.ts';
import type { EngineRequest } from '../../wire/protocol/threads.ts';
import { fake } from './fake-engine.ts';
import type { EngineKind, InferenceEngine } from './inference-engine.ts';
import { onnx } from './onnx-engine.ts';
import { openvino } from './openvino-engine.ts';
import { tensorflow } from './tensorflow-engine.ts';
import { wasm } from './wasm-engine.ts';

const KINDS: Readonly<Record<EngineName, EngineKind>> = { onnx, openvino, tensorflow, wasm, fake };

/** Returns the code of an engine. */
export function kindOf(engine: EngineName): EngineKind {
  return KINDS[engine];
}

/**
 * Loads and warms up the requested engine, once its files have the hashes that they had when they were made.
 *
 * @throws ENGINE_UNAVAILABLE; never falls back to another engine. MODEL_INTEGRITY
 */
export async function loadEngine(request: EngineRequest): Promise<InferenceEngine> {
  await requireIntact(request.model.files ?? []);
  return kindOf(request.engine).load(request);
}
