import type { Detection } from '../base/core/detection.ts';
import type { CompiledModel, ModelSpec } from '../base/core/model.ts';
import type { Placement } from '../base/geometry/placement.ts';
import type { InferenceEngine } from '../frame/infer/inference-engine.ts';
import { preprocessImage } from '../frame/preprocess/sharp-preprocessor.ts';
import { AGREEMENT_SHARE, leastScoreOf } from '../lab/optimize/gate/collect-results.ts';
import type { GateVerdict } from '../lab/optimize/gate/gate-verdict.ts';
import { type Ground, judge } from '../lab/optimize/gate/judge.ts';
import { relativeLoss } from '../network/compile/quantise/output-gauge.ts';
import type { Outputs } from '../network/compile/quantise/run-graph.ts';
import { softLoss } from '../network/evaluate/agreement.ts';
import type { CocoAnnotations } from '../network/evaluate/coco-dataset.ts';
import { picturePaths } from '../network/evaluate/coco-files.ts';
import { DECIDING_FIGURE, type DecidingFigure } from '../network/evaluate/coco-rules.ts';
import type { RecordedFrame, RecordedResults } from '../network/evaluate/recorded-results.ts';
import { subsetOf } from '../network/evaluate/split-dataset.ts';
import {
  detectIn,
  detectionsIn,
  type FittedPicture,
  type TrialEngine,
  withCandidate,
  withEngine,
} from './candidate-runner.ts';

/** Weaker detections are numerous and say little about a network. */
const LEAST_SCORE = 0.05;
const MOST_LABELLED = 200;
const UNMOVED: Placement = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };
/** Pictures are independent, so each is a block of its own. */
const PICTURE_US = 1e6;

interface JudgedPicture extends FittedPicture {
  readonly frame: Uint8Array;
}

/** What a quantised file is judged on against its float form. */
export interface QuantiseEvidence {
  readonly measure: DecidingFigure | 'F1 against float';
  readonly pictures: readonly JudgedPicture[];
  readonly ground: Ground;
  /** As it runs for this judgement. */
  readonly model: CompiledModel;
  /** Weaker boxes are left out. */
  readonly leastScore: number;
}

/** Labelled pictures, at most 200. @throws DATASET_INVALID */
export async function labelledEvidence(
  model: CompiledModel,
  annotations: CocoAnnotations,
  folder: string,
): Promise<QuantiseEvidence> {
  const labelled = subsetOf(annotations, [...annotations.images.keys()].slice(0, MOST_LABELLED));
  const spec: ModelSpec = { ...model.spec, classesPerBox: 'all' };
  const pictures: JudgedPicture[] = [];
  for (const path of picturePaths(labelled, folder)) {
    const frame = new Uint8Array(spec.input.width * spec.input.height * 3);
    const { placement, width, height } = await preprocessImage(path, spec, frame);
    pictures.push({ frame, placement, width, height });
  }
  const ground = { kind: 'labels', annotations: labelled } as const;
  const measure = DECIDING_FIGURE[annotations.iouType ?? 'bbox'];
  return { measure, pictures, ground, model: { ...model, spec }, leastScore: leastScoreOf(spec) };
}

/** Pictures without labels: the objects must be those that the float file finds. */
export function unlabelledEvidence(model: CompiledModel, frames: readonly Uint8Array[]): QuantiseEvidence {
  const { width, height } = model.spec.input;
  const demands = { agreement: true, tracks: false, counts: false };
  return {
    measure: 'F1 against float',
    ground: { kind: 'video', demands },
    model,
    pictures: frames.map((frame) => ({ frame, placement: UNMOVED, width, height })),
    leastScore: model.spec.scoreThreshold * AGREEMENT_SHARE,
  };
}

/** Runs the float file on the evidence. @returns a function by which the gate of `optimize` judges a quantised form of it. */
export async function openGate(
  { pictures, ground, model, leastScore }: QuantiseEvidence,
  on: TrialEngine,
  maxLoss: number,
): Promise<(bytes: Uint8Array) => Promise<GateVerdict>> {
  const { classes, scoreThreshold } = model.spec;
  const run = async (engine: InferenceEngine): Promise<RecordedResults> => {
    const frames: RecordedFrame[] = [];
    for (const [i, picture] of pictures.entries()) {
      const { width, height } = picture;
      const detections = await detectIn(engine, picture, model, leastScore);
      frames.push({ frame: i, ptsUs: i * PICTURE_US, width, height, detections });
    }
    return { classes, scoreThreshold, frames };
  };
  const float = await withEngine(model, on, 'f32', run);
  return async (bytes) => judge(float, await withCandidate(bytes, model, on, run), ground, { maxLoss });
}

/**
 * The loss by which layers are chosen: the worst of those that the gate judges. Where a class is lost, or nothing can be said, it is
 * that of everything.
 */
export function searchedLoss({ objections, worstLoss }: GateVerdict): number {
  return objections.length > 0 || Number.isNaN(worstLoss) ? 1 : worstLoss;
}

/**
 * Compares raw outputs by their detections, or, if there are none (as with an untrained network), number by number.
 */
export function outputLossOf(spec: ModelSpec): (expected: Outputs, received: Outputs) => number {
  const { width, height } = spec.input;
  const input = { placement: UNMOVED, width, height };
  const detections = (outputs: Outputs): Detection[] => detectionsIn(outputs, 1, spec, LEAST_SCORE, input);
  return (expected, received) => {
    const [wanted, found] = [detections(expected), detections(received)];
    return wanted.length === 0 && found.length === 0 ? relativeLoss(expected, received) : softLoss(wanted, found);
  };
}
