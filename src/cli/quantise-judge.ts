import { DECODERS } from '../../models/decoders.ts';
import { relativeLoss } from '../compile/quantise/output-gauge.ts';
import type { Outputs } from '../compile/quantise/run-graph.ts';
import type { CompiledModel, ModelSpec } from '../core/model.ts';
import { AgreementMeter, softLoss } from '../evaluate/agreement.ts';
import { scoreDetections } from '../evaluate/average-precision.ts';
import { categoryIdsOfClasses } from '../evaluate/class-categories.ts';
import type { CocoAnnotations, CocoResult } from '../evaluate/coco-dataset.ts';
import { picturePaths } from '../evaluate/coco-files.ts';
import { selectDetections } from '../geometry/nms.ts';
import { rowsToSource } from '../geometry/placement.ts';
import type { InferenceEngine } from '../infer/inference-engine.ts';
import { preprocessImage } from '../preprocess/sharp-preprocessor.ts';
import { detectIn, type TrialEngine, withCandidate, withEngine } from './candidate-runner.ts';

/** Average precision is measured with every class of every box down to this score. */
const AP_SCORE = 0.001;
/** Weaker detections are numerous and say little about a network. */
const LEAST_SCORE = 0.05;
const MOST_LABELLED = 200;

/** Decides how much a quantised file loses. */
export interface QuantiseJudge {
  /** Name of the measure, for reports. */
  readonly measure: 'AP' | 'F1 against float';
  /** Of the float file; 1 for an agreement. */
  readonly floatFigure: number;
  readonly pictures: number;
  /** What a candidate loses of `floatFigure`; negative where it is better. */
  lossOf(bytes: Uint8Array): Promise<number>;
}

/** Compares the average precision of a file with that of its float form, on labelled pictures. */
export async function judgeByLabels(
  model: CompiledModel,
  on: TrialEngine,
  annotations: CocoAnnotations,
  folder: string,
): Promise<QuantiseJudge> {
  const images = annotations.images.slice(0, MOST_LABELLED);
  const ids = new Set(images.map(({ id }) => id));
  const labelled = {
    ...annotations,
    images,
    annotations: annotations.annotations.filter(({ imageId }) => ids.has(imageId)),
  };
  const spec: ModelSpec = { ...model.spec, classesPerBox: 'all' };
  const all = { ...model, spec };
  const categoryIds = categoryIdsOfClasses(labelled, spec.classes);
  const pictures: (Awaited<ReturnType<typeof preprocessImage>> & { imageId: number; frame: Uint8Array })[] = [];
  for (const [i, path] of picturePaths(labelled, folder).entries()) {
    const frame = new Uint8Array(spec.input.width * spec.input.height * 3);
    pictures.push({ imageId: images[i]!.id, frame, ...(await preprocessImage(path, spec, frame)) });
  }
  const averagePrecision = async (engine: InferenceEngine): Promise<number> => {
    const results: CocoResult[] = [];
    for (const { frame, imageId, placement, ...size } of pictures) {
      const rows = await detectIn(engine, frame, all, AP_SCORE);
      const kept = rowsToSource(rows, placement, size);
      for (let at = 0; at < kept * 6; at += 6) {
        const categoryId = categoryIds[rows[at + 5]!];
        const [x, y, width, height] = rows.subarray(at, at + 4) as unknown as [number, number, number, number];
        if (categoryId != null) results.push({ imageId, categoryId, box: [x, y, width, height], score: rows[at + 4]! });
      }
    }
    return results.length === 0 ? 0 : scoreDetections(labelled, results).AP;
  };
  const floatFigure = await withEngine(all, on, 'f32', averagePrecision);
  return {
    measure: 'AP',
    floatFigure,
    pictures: images.length,
    lossOf: async (bytes) => floatFigure - (await withCandidate(bytes, all, on, averagePrecision)),
  };
}

/** Compares the objects that a file finds with those that its float form finds, on pictures without labels. */
export async function judgeByAgreement(
  model: CompiledModel,
  on: TrialEngine,
  frames: readonly Uint8Array[],
): Promise<QuantiseJudge> {
  const threshold = model.spec.scoreThreshold;
  const detectAll = async (engine: InferenceEngine): Promise<Float32Array[]> => {
    const found: Float32Array[] = [];
    for (const frame of frames) found.push(await detectIn(engine, frame, model, threshold / 2));
    return found;
  };
  const expected = await withEngine(model, on, 'f32', detectAll);
  return {
    measure: 'F1 against float',
    floatFigure: 1,
    pictures: frames.length,
    lossOf: async (bytes) => {
      const meter = new AgreementMeter(threshold);
      for (const [at, rows] of (await withCandidate(bytes, model, on, detectAll)).entries())
        meter.add(expected[at]!, rows);
      return 1 - meter.f1;
    },
  };
}

/**
 * Compares raw outputs by their detections, or, if there are none (as with an untrained network), number by number.
 */
export function outputLossOf(spec: ModelSpec): (expected: Outputs, received: Outputs) => number {
  const detections = (outputs: Outputs): Float32Array =>
    selectDetections(DECODERS[spec.family](outputs, 1, spec, LEAST_SCORE)[0]!, spec.nmsIou, spec.maxDetections);
  return (expected, received) => {
    const [wanted, found] = [detections(expected), detections(received)];
    return wanted.length === 0 && found.length === 0 ? relativeLoss(expected, received) : softLoss(wanted, found);
  };
}
