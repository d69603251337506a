import { basename } from 'node:path';
import type { Precision } from '../core/model.ts';
import { readModel } from '../disk/given-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { checkPicture } from './check-picture.ts';
import type { CompileSource } from './compile-source.ts';
import { addFront } from './front.ts';
import type { Graph } from './graph.ts';
import { removeUnused } from './graph-index.ts';
import { isBatchFreed, type NetworkInput } from './network-input.ts';
import { ExternalData } from './onnx/external-data.ts';
import { importOnnx } from './onnx/import-onnx.ts';
import { freeBatch } from './passes/free-batch.ts';
import { gateClasses } from './passes/gate-classes.ts';
import { keepNames } from './passes/keep-names.ts';
import { optimise } from './passes/optimise.ts';
import { renameOutputs } from './passes/rename-outputs.ts';
import { replaceFocus } from './passes/replace-focus.ts';
import { resizeGrids } from './passes/resize-grids.ts';
import { roundHalfOutputs } from './passes/round-half-outputs.ts';
import { toHalf } from './passes/to-half.ts';
import { widenHalf } from './passes/widen-half.ts';
import { importTfjs } from './tfjs/import-tfjs.ts';
import type { SizePx } from './tfjs/lowering.ts';
import { readTfjs } from './tfjs/read-tfjs.ts';

/** The target that a graph is built for. */
export interface BuildTarget {
  readonly engine: 'onnx' | 'openvino' | 'tensorflow';
  readonly size: SizePx;
  readonly batch: 'free' | number;
  readonly precision: Precision;
  /** Leave out class scores of cells that cannot become a box (see `gateClasses`). */
  readonly isGated: boolean;
}

/**
 * Imports a network, optimises it for an engine and adds the front (preprocessing). The input of the graph is `frames`, its
 * outputs have the names that the decode function uses, and its operators are ONNX operators for all engines.
 *
 * Throws COMPILE_UNSUPPORTED and MODEL_INVALID, naming the model.
 */
export async function buildGraph(source: CompileSource, target: BuildTarget): Promise<Graph> {
  try {
    return await build(source, target);
  } catch (error) {
    if (!(error instanceof SightlineError)) throw error;
    const details = { ...error.details, model: source.spec.name };
    throw new SightlineError(error.code, `model ${source.spec.name}: ${error.message}`, details, { cause: error });
  }
}

async function build(source: CompileSource, { engine, size, batch, precision, isGated }: BuildTarget): Promise<Graph> {
  const published = { width: source.input.width, height: source.input.height };
  const [modelPath, ...dataPaths] = source.weightPaths as [string, ...string[]];
  let graph: Graph;
  let input: NetworkInput = { ...source.input, ...size };
  if (source.format === 'tfjs') {
    const output = Object.values(source.outputs)[0]!;
    const ranking = engine === 'tensorflow' ? 'by-cell' : 'by-class';
    graph = importTfjs(await readTfjs(modelPath, dataPaths), size, published, output, ranking);
    input = { ...input, tensor: graph.inputs[0]!.name, layout: 'nchw' };
  } else {
    const named = keepNames(importOnnx(await readModel(modelPath), basename(modelPath), new ExternalData(modelPath)));
    graph = roundHalfOutputs(named, widenHalf(named));
    const hasFixedGrids = source.spec.family === 'gfl' && source.input.anySize !== true;
    const taken = hasFixedGrids ? source.input : input;
    checkPicture(graph, taken, source.input.anySize ?? source.spec.family === 'yolox');
    if (hasFixedGrids) graph = resizeGrids(graph, source.input, size);
    if (isBatchFreed(source.spec.family)) graph = freeBatch(replaceFocus(graph, input.tensor));
  }
  const layout = engine === 'onnx' ? 'interleaved' : 'planes';
  const fronted = addFront(optimise(graph, engine), input, batch === 'free' ? 'n' : batch, layout);
  const complete = removeUnused(renameOutputs(fronted, source.outputs, batch));
  const gated = isGated ? gateClasses(complete, size) : complete;
  return precision === 'f16' ? toHalf(gated) : gated;
}
