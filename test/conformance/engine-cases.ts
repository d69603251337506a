import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CompiledModel, ModelSpec } from '../../src/base/core/model.ts';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { prepareModel } from '../../src/frame/runtime/model/prepare-model.ts';
import { GraphBuilder } from '../../src/network/compile/graph-builder.ts';
import { emitOnnx } from '../../src/network/compile/onnx/emit-onnx.ts';
import { emitSavedModel } from '../../src/network/compile/tensorflow/emit-saved-model.ts';
import type { EngineName } from '../../src/settings/config/engines.ts';
import type { EngineRequest } from '../../src/wire/protocol/threads.ts';
import { modelPlaces } from '../support/model-places.ts';
import { openvinoLibrary } from '../support/openvino.ts';

export const MAX_BATCH = 4;

const SPEC: ModelSpec = {
  name: 'tiny',
  family: 'yolox',
  input: { width: 12, height: 8, resize: { mode: 'stretch' } },
  classes: ['thing'],
  nmsIou: null,
  scoreThreshold: 0.5,
  maxDetections: 10,
  classesPerBox: 'best',
};

/** Boxes that the fake engine returns for every frame. */
export const FAKE_ROWS = [1, 2, 3, 4, 0.5, 0, 5, 6, 7, 8, 0.25, 1];

export function request(engine: EngineRequest['engine'], model: CompiledModel, more: Partial<EngineRequest> = {}) {
  return {
    engine,
    provider: engine === 'wasm' || engine === 'fake' ? engine : 'cpu',
    openvinoLibrary,
    model,
    maxBatch: MAX_BATCH,
    batchSizes: null,
    intraThreads: 1,
    fake: { callMs: 0, frameMs: 0, rows: FAKE_ROWS },
    ...more,
  } satisfies EngineRequest;
}

export function fakeModel(): CompiledModel {
  return { spec: SPEC, format: 'onnx', path: '', precision: 'f32', batch: 'free', hash: '' };
}

/** A network of three nodes: the mean colour of each picture, `mean` f32 [n, 3]; as ONNX, or as a SavedModel. */
export function tinyModel(format: 'onnx' | 'saved-model' = 'onnx'): CompiledModel {
  const { width, height } = SPEC.input;
  const builder = new GraphBuilder('');
  const real = builder.node('Cast', 'real', ['frames'], { to: 1 });
  const mean = builder.node('ReduceMean', 'means', [real], { axes: [1, 2], keepdims: 0 });
  builder.nodes.push({
    op: 'Identity',
    name: 'out',
    domain: '',
    inputs: [mean],
    outputs: ['mean'],
    attributes: new Map(),
  });
  const graph = builder.finish({
    name: 'tiny',
    opset: 17,
    inputs: [{ name: 'frames', type: 'u8', dims: ['n', height, width, 3] }],
    outputs: [{ name: 'mean', type: 'f32', dims: ['n', 3] }],
  });
  const folder = mkdtempSync(join(tmpdir(), 'sightline-tiny-'));
  const path = format === 'onnx' ? join(folder, 'tiny.onnx') : folder;
  if (format === 'onnx') writeFileSync(path, emitOnnx(graph));
  else writeFileSync(join(folder, 'saved_model.pb'), emitSavedModel(graph));
  return { spec: SPEC, format, path, precision: 'f32', batch: 'free', hash: '' };
}

/** Finds or fetches the default detector; if that fails, prints why and returns null. */
export async function centernet(engine: Exclude<EngineName, 'fake'>): Promise<CompiledModel | null> {
  try {
    return await prepareModel('centernet', {
      engine,
      precision: 'f32',
      searchPath: modelPlaces.modelPath,
      cacheDir: modelPlaces.cacheDir,
      onNotice: (text) => console.info(text),
    });
  } catch (error) {
    if (!(error instanceof SightlineError) || error.code !== 'MODEL_WEIGHTS_MISSING') throw error;
    console.warn(`SKIPPED: engine ${engine} with centernet: ${error.message}`);
    return null;
  }
}
