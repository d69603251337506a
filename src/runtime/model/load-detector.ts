import { basename, resolve } from 'node:path';
import { type DetectorHints, type InferredDetector, inferDetector } from '../../compile/inspect/infer-detector.ts';
import { type Outline, readOutline } from '../../compile/inspect/outline.ts';
import { rankedClassCountOfFile } from '../../compile/inspect/ranked-classes.ts';
import type { Environment } from '../../config/environment.ts';
import { type ModelConfig, parseInputSize } from '../../config/model-config.ts';
import { realPaths } from '../../disk/real-path.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { admitModelFile, isModelPath, isOnnxFile, type ModelRoots } from '../../store/admit-model.ts';
import { COCO, cocoClasses, readLabels } from '../../store/class-names.ts';
import { sha256OfFile } from '../../store/file-hash.ts';
import {
  loadManifest,
  localSources,
  type Manifest,
  readForeignManifest,
  userModelFolder,
} from '../../store/manifests.ts';
import { findProvided, provideOnnxRuntime } from '../../store/packages/provide-package.ts';

/** Settings for an ONNX file, from a configuration or a command line, that add to the information in the file. */
export type FileSettings = Pick<ModelConfig, 'family' | 'labels' | 'colours' | 'range' | 'resize'>;

/** Picks the settings that apply to an ONNX file. */
export function fileSettings({ family, labels, colours, range, resize }: FileSettings): FileSettings {
  return { family, labels, colours, range, resize };
}

export interface DetectorPlaces {
  /** Folders of SIGHTLINE_MODEL_PATH. */
  readonly searchPath: readonly string[];
  readonly cacheDir: string;
  /** The only files that may be named by path; absent for a user of this machine, who may name any. */
  readonly modelRoots?: ModelRoots | undefined;
}

export interface DetectorRequest extends DetectorPlaces {
  readonly settings?: FileSettings | undefined;
  /** Input size in pixels, for an ONNX file whose axes are free. */
  readonly inputSize?: { readonly width: number; readonly height: number } | undefined;
  /** Receives a sentence about a download of ONNX Runtime; if absent, it is not fetched. */
  readonly onNotice?: ((text: string) => void) | undefined;
}

/** Assumed if a file does not contain its number of classes: COCO has 80. */
const DEFAULT_CLASS_COUNT = 80;
/** SSD networks of TensorFlow have one output per COCO category id; the ids go up to 90. */
const DEFAULT_SSD_CLASS_COUNT = 90;

/** Folders that are searched for manifests by name, besides the built-in ones. */
export function manifestFolders({ searchPath, cacheDir }: DetectorPlaces): string[] {
  return [...searchPath, userModelFolder(cacheDir)];
}

/**
 * Reads the manifest of a detector, or infers one from an ONNX file.
 *
 * @param nameOrPath - name of a built-in or user manifest, path of a manifest, or path of a file that ends in .onnx.
 * Throws MODEL_NOT_FOUND, MODEL_INVALID; for an ONNX file MODEL_UNSUPPORTED, MODEL_AMBIGUOUS and, for a wrong list of
 * labels, COMMAND_INVALID; CONFIG_INVALID if settings for an ONNX file were given with a manifest; MODEL_FORBIDDEN if
 * `modelRoots` do not admit a path.
 */
export async function loadDetector(nameOrPath: string, request: DetectorRequest): Promise<Manifest> {
  const { modelRoots } = request;
  const admitted =
    modelRoots !== undefined && isModelPath(nameOrPath) ? await admitModelFile(nameOrPath, 'model', modelRoots) : null;
  if (isOnnxFile(nameOrPath)) return inferManifest(admitted?.path ?? nameOrPath, request);
  const given = Object.entries(request.settings ?? {}).filter(([, value]) => value !== undefined);
  if (given.length > 0) {
    const names = given.map(([name]) => name).join(', ');
    throw new SightlineError(
      'CONFIG_INVALID',
      `model ${nameOrPath}: ${names} can be set for an ONNX file only; a manifest defines its own`,
    );
  }
  if (admitted === null || modelRoots === undefined) return loadManifest(nameOrPath, manifestFolders(request));
  const manifest = await readForeignManifest(admitted);
  // What the pipeline file of this host names may have its weights anywhere.
  if ((await realPaths(modelRoots.files)).includes(admitted.path)) return manifest;
  for (const path of manifest.files.flatMap((file) => localSources(manifest, file)))
    await admitModelFile(path, `a file of model ${manifest.name}`, modelRoots).catch((error: unknown) => {
      // The weights may come from a search folder or another source.
      if (!(error instanceof SightlineError) || error.code !== 'MODEL_NOT_FOUND') throw error;
    });
  return manifest;
}

/** Calls `loadDetector` for the model of a configuration. */
export function loadConfigured(
  model: ModelConfig,
  { modelPath, cacheDir }: Environment,
  modelRoots?: ModelRoots,
  onNotice?: (text: string) => void,
): Promise<Manifest> {
  const inputSize = model.inputSize === undefined ? undefined : parseInputSize(model.inputSize);
  const settings = fileSettings(model);
  return loadDetector(model.name, { searchPath: modelPath, cacheDir, settings, inputSize, modelRoots, onNotice });
}

/** Reads the list of class names that settings name; null if they name none, or a built-in one. */
async function listedClasses(labels: string | undefined, modelRoots: ModelRoots | undefined): Promise<string[] | null> {
  if (labels === undefined || labels === COCO) return null;
  if (modelRoots === undefined) return readLabels(labels);
  const { path, within } = await admitModelFile(labels, 'labels', modelRoots);
  return readLabels(path, within);
}

async function inferManifest(path: string, request: DetectorRequest): Promise<Manifest> {
  const { settings = {}, inputSize, modelRoots } = request;
  const outline = await readOutline(path);
  const { labels, family, colours, range, resize } = settings;
  const listed = await listedClasses(labels, modelRoots);
  const hints: DetectorHints = { family, colours, white: range, resize, inputSize, classCount: listed?.length };
  const inferred = await withRankedClasses(await inferOrMeasure(outline, hints, request), path);
  const classes = listed ?? (await classesOf(inferred, labels, path));
  if (inferred.classCount !== null && classes.length !== inferred.classCount) {
    const source = labels === undefined ? 'its metadata names' : `--labels ${labels} has`;
    throw new SightlineError(
      labels === undefined ? 'MODEL_INVALID' : 'COMMAND_INVALID',
      `${path}: expected ${inferred.classCount} class names, as many as its outputs have classes; ${source} ${classes.length}`,
    );
  }
  const { family: found, input, outputs, batch, nmsIou } = inferred;
  // The hash is pinned, so that another file with this name in a search folder is not used instead.
  const file = { name: basename(path), sha256: await sha256OfFile(path), sources: [`file:${resolve(path)}`] };
  return {
    name: modelName(path),
    path: resolve(path),
    family: found,
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
    scoreThreshold: 0.3,
    maxDetections: 100,
    classesPerBox: 'best',
  };
}

/** If the declared shapes are not sufficient, the network is run once to get the real ones. */
async function inferOrMeasure(
  outline: Outline,
  hints: DetectorHints,
  { cacheDir, onNotice }: DetectorRequest,
): Promise<InferredDetector> {
  // Loads ONNX Runtime, which most detectors do not need on this thread.
  const measure = async (): Promise<Outline | null> => {
    if (onNotice !== undefined) await provideOnnxRuntime({ cacheDir, onNotice });
    else if (findProvided('onnxruntime-node', cacheDir) === null) return null;
    const { measureOutputs } = await import('../../compile/inspect/measure-outputs.ts');
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
  { classNames, classCount, family }: InferredDetector,
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

/** Derives a valid model name from a file name. */
export function modelName(path: string): string {
  const plain = basename(path)
    .replace(/\.[^.]*$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^[^a-z0-9]+|[-.]+$/g, '')
    .slice(0, 64);
  return plain === '' ? 'model' : plain;
}

/** Ultralytics writes `AGPL-3.0 License (https://ultralytics.com/license)`. */
function licenceOf(text: string | undefined): Manifest['licence'] {
  const [, name, url] = /^(.{1,60}?)(?: License)? \((https:\/\/[^\s)]+)\)$/.exec(text ?? '') ?? [];
  return name === undefined || url === undefined ? null : { name, url };
}

function fullRule(rule: InferredDetector['input']['resize']): Manifest['input']['resize'] {
  const kernel = rule.kernel ?? 'antialiased-linear';
  if (rule.mode === 'stretch') return { mode: 'stretch', kernel };
  return { ...rule, kernel, rounding: rule.rounding ?? 'round' };
}
