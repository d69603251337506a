import { basename } from 'node:path';
import type { CompiledModel, ComputePrecision } from '../base/core/model.ts';
import { readModel } from '../base/disk/given-file.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { keepQuantised } from '../frame/runtime/model/quantised-artefact.ts';
import type { GateVerdict } from '../lab/optimize/gate/gate-verdict.ts';
import { emitOnnx } from '../network/compile/onnx/emit-onnx.ts';
import { ExternalData } from '../network/compile/onnx/external-data.ts';
import { importOnnx } from '../network/compile/onnx/import-onnx.ts';
import { type QuantisedGraph, quantiseGraph } from '../network/compile/quantise/quantise-graph.ts';
import type { CocoAnnotations } from '../network/evaluate/coco-dataset.ts';
import { factsOf, type QuantisedEngine } from '../settings/config/engines.ts';
import { callMs, type TrialEngine, withEngine } from './candidate-runner.ts';
import {
  labelledEvidence,
  openGate,
  outputLossOf,
  type QuantiseEvidence,
  searchedLoss,
  unlabelledEvidence,
} from './quantise-judge.ts';

export interface QuantiseRequest {
  /** In f32, compiled for the engine. */
  readonly model: CompiledModel;
  readonly on: TrialEngine & { readonly engine: QuantisedEngine };
  /** Calibration pictures, u8 [height, width, 3] RGB at the size of the input. */
  readonly frames: readonly Uint8Array[];
  readonly labels: { readonly annotations: CocoAnnotations; readonly images: string } | null;
  readonly maxLoss: number;
  readonly keepFloat: readonly string[];
  readonly onProgress: (text: string) => void;
  /** Ends the work; nothing is written then. */
  readonly stop: AbortSignal;
}

/** Milliseconds of one picture on one thread (of a CPU: CPU time), by precision; null where the engine has none on this machine. */
type Speeds = Readonly<Record<'f32' | 'bf16' | 'int8', number | null>>;

/** What was made, and how. Kept beside the file. `loss` is that of `measure`; those of `trials` are the worst that the gate judges. */
export interface QuantiseReport
  extends Pick<QuantisedGraph, 'loss' | 'layers' | 'trials' | 'equalised' | 'isBiasCorrected'> {
  readonly model: string;
  readonly inputSize: string;
  readonly engine: QuantisedEngine;
  readonly path: string;
  readonly measure: QuantiseEvidence['measure'];
  readonly floatFigure: number;
  readonly int8Figure: number;
  /** Recall and precision at the score threshold; null without labels. */
  readonly published: Pick<NonNullable<GateVerdict['published']>, 'recall' | 'precision'> | null;
  /** Of the gate. `inconclusive`: the estimates are within the allowance, and more pictures would prove it. */
  readonly verdict: GateVerdict['verdict'];
  readonly reason: string;
  readonly maxLoss: number;
  readonly pictures: { readonly calibration: number; readonly judged: number };
  readonly int8Layers: number;
  readonly floatLayers: number;
  readonly callMs: Speeds;
  /** Whether INT8 is faster than every float format that the engine has here. */
  readonly isWorthIt: boolean;
  readonly seconds: number;
}

/** INT8 is worth its loss only if it is faster than float by this ratio; smaller differences are noise of the measurement. */
const WORTH_RATIO = 1.03;

/**
 * Quantises a compiled model for one engine, judges every candidate on that engine, and keeps the result in the cache.
 *
 * Throws QUANTISE_REFUSED if no candidate stays within the allowed loss, ENGINE_UNAVAILABLE, and what `quantiseGraph` throws.
 */
export async function quantiseModel(request: QuantiseRequest): Promise<QuantiseReport> {
  const startedMs = performance.now();
  const { model, on, frames, labels, maxLoss, keepFloat, onProgress, stop } = request;
  const graph = importOnnx(await readModel(model.path), basename(model.path), new ExternalData(model.path));
  const evidence =
    labels === null
      ? unlabelledEvidence(model, frames)
      : await labelledEvidence(model, labels.annotations, labels.images);
  onProgress(`running the float file on ${evidence.pictures.length} pictures`);
  const judge = await openGate(evidence, on, maxLoss);
  const verdicts: GateVerdict[] = [];
  const outputLoss = outputLossOf(model.spec);
  const quantised = await quantiseGraph({
    graph,
    style: factsOf(on.engine).network!.quantisers!,
    frames,
    keepFloat,
    maxLoss,
    outputLoss: (expected, received) => {
      requireRunning(stop);
      return outputLoss(expected, received);
    },
    measure: async (candidate) => {
      requireRunning(stop);
      const verdict = await judge(emitOnnx(candidate));
      verdicts.push(verdict);
      onProgress(verdict.reason);
      return searchedLoss(verdict);
    },
    onProgress,
  });
  const { layers, trials, equalised, isBiasCorrected } = quantised;
  const { reference, candidate, loss, published, verdict, reason } =
    verdicts[trials.findIndex((trial) => trial.loss === quantised.loss)]!;
  const report = {
    model: model.spec.name,
    inputSize: `${model.spec.input.width}x${model.spec.input.height}`,
    engine: on.engine,
    measure: evidence.measure,
    floatFigure: reference,
    int8Figure: candidate,
    loss,
    maxLoss,
    verdict,
    reason,
    published: published === null ? null : { recall: published.recall, precision: published.precision },
    pictures: { calibration: frames.length, judged: evidence.pictures.length },
    int8Layers: layers.filter(({ precision }) => precision === 'int8').length,
    floatLayers: layers.filter(({ precision }) => precision === 'float').length,
    isBiasCorrected,
    equalised,
    trials,
    layers,
  };
  const path = await keepQuantised(model, emitOnnx(quantised.graph), report);
  const speeds = await measureSpeeds(model, path, on);
  const seconds = (performance.now() - startedMs) / 1000;
  const whole = { ...report, path, callMs: speeds, isWorthIt: isWorthIt(speeds), seconds };
  await keepQuantised(model, await readModel(path), whole);
  return whole;
}

/** Asked between two runs: a call of a library cannot be interrupted. */
function requireRunning(stop: AbortSignal): void {
  if (stop.aborted) throw new SightlineError('COMMAND_INVALID', 'stopped before the end; nothing was written');
}

async function measureSpeeds(model: CompiledModel, path: string, on: TrialEngine): Promise<Speeds> {
  const timed = async (file: string, precision: ComputePrecision): Promise<number | null> => {
    const there = { ...model, path: file, files: undefined };
    try {
      return await withEngine(there, on, precision, (engine) => callMs(engine, there));
    } catch (error) {
      if (error instanceof SightlineError && error.code === 'ENGINE_UNAVAILABLE') return null;
      throw error;
    }
  };
  return {
    f32: await timed(model.path, 'f32'),
    bf16: factsOf(on.engine).precisions.includes('bf16') ? await timed(model.path, 'bf16') : null,
    int8: await timed(path, 'int8'),
  };
}

function isWorthIt({ f32, bf16, int8 }: Speeds): boolean {
  const float = Math.min(f32 ?? Number.POSITIVE_INFINITY, bf16 ?? Number.POSITIVE_INFINITY);
  return int8 !== null && float > int8 * WORTH_RATIO;
}
