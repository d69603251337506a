import { basename, resolve } from 'node:path';
import { isReader, type ResizeRule, taskOf } from '../../../base/core/model.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import {
  type DetectorHints,
  type InferredDetector,
  inferDetector,
} from '../../../network/compile/inspect/infer-detector.ts';
import { type InferredReader, inferReader } from '../../../network/compile/inspect/infer-reader.ts';
import { type Outline, readOutline } from '../../../network/compile/inspect/outline.ts';
import { rankedClassCountOfFile } from '../../../network/compile/inspect/ranked-classes.ts';
import { admitModelFile, type ModelRoots } from '../../../network/store/admit-model.ts';
import { COCO, cocoClasses, readLabels } from '../../../network/store/class-names.ts';
import { sha256OfFile } from '../../../network/store/file-hash.ts';
import type { Manifest } from '../../../network/store/manifests.ts';
import { findProvided, provideOnnxRuntime } from '../../../network/store/packages/provide-package.ts';
import { type DetectorRequest, modelName } from './detector-request.ts';

/** Assumed if a file does not contain its number of classes: COCO has 80. */
const DEFAULT_CLASS_COUNT = 80;
/** The classes of a whole picture that are reported: the best five, if their score says anything. */
const MOST_CLASSES = 5;
const LEAST_CLASS_SCORE = 0.01;
/** SSD networks of TensorFlow have one output per COCO category id; the ids go up to 90. */
const DEFAULT_SSD_CLASS_COUNT = 90;

/** Reads the list of class names that settings name; null if they name none, or a built-in one. */
async function listedClasses(labels: string | undefined, modelRoots: ModelRoots | undefined): Promise<string[] | null> {
  if (labels === undefined || labels === COCO) return null;
  if (modelRoots === undefined) return readLabels(labels);
  const { path, within } = await admitModelFile(labels, 'labels', modelRoots);
  return readLabels(path, within);
}

/**
 * Infers the manifest of an ONNX file from its graph, its metadata and the settings of the request.
 *
 * Throws as `loadDetector` does.
 */
export async function inferManifest(path: string, request: DetectorRequest): Promise<Manifest> {
  const { settings = {}, inputSize, modelRoots } = request;
  const outline = await readOutline(path);
  const { labels, family, colours, range, resize } = settings;
  const listed = await listedClasses(labels, modelRoots);
  const hints = { colours, white: range, resize, inputSize, classCount: listed?.length };
  const inferred =
    family === undefined || isReader(family)
      ? (inferReader(outline, { ...hints, family }) ?? (await detectorOf(outline, hints, request)))
      : await detectorOf(outline, { ...hints, family }, request);
  const classes = listed ?? (await classesOf(inferred, labels, path));
  if (inferred.classCount !== null && classes.length !== inferred.classCount) {
    const source = labels === undefined ? 'its metadata names' : `--labels ${labels} has`;
    throw new SightlineError(
      labels === undefined ? 'MODEL_INVALID' : 'COMMAND_INVALID',
      `${path}: expected ${inferred.classCount} class names, as many as its outputs have classes; ${source} ${classes.length}`,
    );
  }
  const { family: found, input, outputs, batch, nmsIou, keypoints } = inferred;
  const isWhole = taskOf(found) === 'classes';
  // The hash is pinned, so that another file with this name in a search folder is not used instead.
  const file = { name: basename(path), sha256: await sha256OfFile(path), sources: [`file:${resolve(path)}`] };
  return {
    name: modelName(path),
    path: resolve(path),
    family: found,
    ...(taskOf(found) === 'boxes' ? {} : { task: taskOf(found) }),
    ...(keypoints === undefined ? {} : { keypoints }),
    description: `${basename(path)}, layout ${found}, ${classes.length} classes.`,
    licence: licenceOf(outline.metadata.get('license')),
    reported: null,
    format: 'onnx',
    files: [file],
    input: {
      ...input,
      range: [...input.range],
      mean: [...(input.mean ?? [0, 0, 0])],
      deviation: [...(input.deviation ?? [1, 1, 1])],
      resize: fullRule(input.resize),
    },
    outputs: { ...outputs },
    batch,
    classes,
    nmsIou,
    scoreThreshold: isWhole ? LEAST_CLASS_SCORE : 0.3,
    maxDetections: isWhole ? MOST_CLASSES : 100,
    classesPerBox: 'best',
  };
}

async function detectorOf(outline: Outline, hints: DetectorHints, request: DetectorRequest): Promise<InferredDetector> {
  return withRankedClasses(await inferOrMeasure(outline, hints, request), outline.path);
}

/** If the declared shapes are not sufficient, the network is run once to get the real ones. */
async function inferOrMeasure(
  outline: Outline,
  hints: DetectorHints,
  { cacheDir, onNotice, signal }: DetectorRequest,
): Promise<InferredDetector> {
  // Loads ONNX Runtime, which most detectors do not need on this thread.
  const measure = async (): Promise<Outline | null> => {
    if (onNotice !== undefined) await provideOnnxRuntime({ cacheDir, onNotice, signal });
    else if (findProvided('onnxruntime-node', cacheDir) === null) return null;
    const { measureOutputs } = await import('../../../network/compile/inspect/measure-outputs.ts');
    return measureOutputs(outline, hints.inputSize);
  };
  try {
    const inferred = inferDetector(outline, hints);
    if (inferred.classCount !== null || inferred.classNames !== null || !('logits' in inferred.outputs))
      return inferred;
    const measured = await measure();
    return measured === null ? inferred : inferDetector(measured, hints);
  } catch (error) {
    const isAmbiguous = error instanceof SightlineError && error.code === 'MODEL_AMBIGUOUS';
    const measured = isAmbiguous ? await measure() : null;
    if (measured === null) throw error;
    return inferDetector(measured, hints);
  }
}

/** Finds the number of classes inside the graph if neither shapes nor class names give it. */
async function withRankedClasses(inferred: InferredDetector, path: string): Promise<InferredDetector> {
  const { classCount, classNames, outputs } = inferred;
  const output = outputs.labels ?? outputs.detections;
  if (classCount !== null || classNames !== null || output === undefined) return inferred;
  return { ...inferred, classCount: await rankedClassCountOfFile(path, output) };
}

/**
 * Class names if the user lists none: those of the metadata, else COCO's if their number matches, else `class0` and so
 * on.
 */
async function classesOf(
  { classNames, classCount, family }: InferredDetector | InferredReader,
  labels: string | undefined,
  path: string,
): Promise<readonly string[]> {
  if (classNames !== null && labels === undefined) return classNames;
  const count = classCount ?? (family === 'ssd' ? DEFAULT_SSD_CLASS_COUNT : DEFAULT_CLASS_COUNT);
  const coco = classCount === null && labels === undefined ? null : await cocoClasses(count);
  if (coco === null && labels === COCO) {
    throw new SightlineError(
      'COMMAND_INVALID',
      `${path}: --labels coco: COCO has 80 classes, and its outputs have ${count}; give a file with one class per line`,
    );
  }
  return coco ?? Array.from({ length: count }, (_, index) => `class${index}`);
}

/** Ultralytics writes `AGPL-3.0 License (https://ultralytics.com/license)`. */
function licenceOf(text: string | undefined): Manifest['licence'] {
  const [, name, url] = /^(.{1,60}?)(?: License)? \((https:\/\/[^\s)]+)\)$/.exec(text ?? '') ?? [];
  return name === undefined || url === undefined ? null : { name, url };
}

function fullRule(rule: ResizeRule): Manifest['input']['resize'] {
  const kernel = rule.kernel ?? 'antialiased-linear';
  if (rule.mode !== 'letterbox') return { ...rule, kernel };
  return { ...rule, kernel, rounding: rule.rounding ?? 'round' };
}
