import { basename, resolve } from 'node:path';
import { type DetectorHints, type InferredDetector, inferDetector } from '../compile/inspect/infer-detector.ts';
import { readOutline } from '../compile/inspect/outline.ts';
import { rankedClassCountOfFile } from '../compile/inspect/ranked-classes.ts';
import { type ModelConfig, parseInputSize } from '../config/model.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { COCO, cocoClasses, readLabels } from '../store/class-names.ts';
import { sha256OfFile } from '../store/file-hash.ts';
import { loadManifest, type Manifest, userModelFolder } from '../store/manifests.ts';
import type { Environment } from './environment.ts';

/** What a configuration or a command line says of an ONNX file beside what stands in it. */
export type FileSettings = Pick<ModelConfig, 'family' | 'labels' | 'colours' | 'range' | 'resize'>;

/** The settings of a configuration that are about an ONNX file. */
export function fileSettings({ family, labels, colours, range, resize }: FileSettings): FileSettings {
  return { family, labels, colours, range, resize };
}

export interface DetectorPlaces {
  /** Folders of SIGHTLINE_MODEL_PATH. */
  readonly searchPath: readonly string[];
  readonly cacheDir: string;
}

export interface DetectorRequest extends DetectorPlaces {
  readonly settings?: FileSettings | undefined;
  /** Input size in pixels, for an ONNX file whose axes are free. */
  readonly inputSize?: { readonly width: number; readonly height: number } | undefined;
}

/** COCO's classes, for a file that does not say how many it has; TensorFlow numbers them by COCO's ids. */
const USUAL_CLASS_COUNT = 80;
const USUAL_SSD_CLASS_COUNT = 90;

/** Where manifests are looked for by name, beside the built-in ones. */
export function manifestFolders({ searchPath, cacheDir }: DetectorPlaces): string[] {
  return [...searchPath, userModelFolder(cacheDir)];
}

/** Whether a model is named by the path of an ONNX file, which needs no manifest. */
export function isOnnxFile(nameOrPath: string): boolean {
  return /\.onnx$/i.test(nameOrPath);
}

/**
 * Finds what is known of a detector: reads its manifest, or infers one from an ONNX file.
 *
 * @param nameOrPath - name of a built-in or a user's manifest, path of a manifest, or path of a file that ends in .onnx.
 * Throws MODEL_NOT_FOUND, MODEL_INVALID; for an ONNX file MODEL_UNSUPPORTED, MODEL_AMBIGUOUS and, for a wrong list of labels,
 * COMMAND_INVALID; CONFIG_INVALID where settings for an ONNX file were given for a manifest.
 */
export async function loadDetector(nameOrPath: string, request: DetectorRequest): Promise<Manifest> {
  if (isOnnxFile(nameOrPath)) return inferManifest(nameOrPath, request);
  const given = Object.entries(request.settings ?? {}).filter(([, value]) => value !== undefined);
  if (given.length > 0) {
    const names = given.map(([name]) => name).join(', ');
    throw new SightlineError(
      'CONFIG_INVALID',
      `model ${nameOrPath}: ${names} can be set for an ONNX file only; a manifest says it itself`,
    );
  }
  return loadManifest(nameOrPath, manifestFolders(request));
}

/** Does so for the model of a configuration. */
export function loadConfigured(model: ModelConfig, { modelPath, cacheDir }: Environment): Promise<Manifest> {
  const inputSize = model.inputSize === undefined ? undefined : parseInputSize(model.inputSize);
  return loadDetector(model.name, { searchPath: modelPath, cacheDir, settings: fileSettings(model), inputSize });
}

async function inferManifest(path: string, { settings = {}, inputSize }: DetectorRequest): Promise<Manifest> {
  const outline = await readOutline(path);
  const { labels, family, colours, range, resize } = settings;
  const listed = labels === undefined || labels === COCO ? null : await readLabels(labels);
  const hints: DetectorHints = { family, colours, white: range, resize, inputSize, classCount: listed?.length };
  const inferred = await withRankedClasses(inferDetector(outline, hints), path);
  const classes = listed ?? (await classesOf(inferred, labels, path));
  if (inferred.classCount !== null && classes.length !== inferred.classCount) {
    const source = labels === undefined ? 'its metadata names' : `--labels ${labels} has`;
    throw new SightlineError(
      labels === undefined ? 'MODEL_INVALID' : 'COMMAND_INVALID',
      `${path}: expected ${inferred.classCount} class names, as many as its outputs have classes; ${source} ${classes.length}`,
    );
  }
  const { family: found, input, outputs, batch, nmsIou } = inferred;
  // Pinned, so that another file of this name in a search folder is not taken for it.
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

/** Looks for the number of classes inside the graph where neither the shapes nor names say it. */
async function withRankedClasses(inferred: InferredDetector, path: string): Promise<InferredDetector> {
  const { classCount, classNames, outputs } = inferred;
  const output = outputs.labels ?? outputs.detections;
  if (classCount !== null || classNames !== null || output === undefined) return inferred;
  return { ...inferred, classCount: await rankedClassCountOfFile(path, output) };
}

/** Names where the user lists none: those of the metadata, else COCO's where the number is theirs, else numbers. */
async function classesOf(
  { classNames, classCount, family }: InferredDetector,
  labels: string | undefined,
  path: string,
): Promise<readonly string[]> {
  if (classNames !== null && labels === undefined) return classNames;
  const count = classCount ?? (family === 'ssd' ? USUAL_SSD_CLASS_COUNT : USUAL_CLASS_COUNT);
  const coco = classCount === null && labels === undefined ? null : await cocoClasses(count);
  if (coco === null && labels === COCO) {
    throw new SightlineError(
      'COMMAND_INVALID',
      `${path}: --labels coco: COCO has 80 classes, and its outputs have ${count}; name a file with one class a line`,
    );
  }
  return coco ?? Array.from({ length: count }, (_, index) => `class${index}`);
}

/** A name as manifests have it, from that of the file. */
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
