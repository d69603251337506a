import type { ModelFamily } from '../../../base/core/model.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { describePort, fault, type Outline, type Port, printable } from './outline.ts';
import { parsePythonLiteral } from './python-literal.ts';

/** How the outputs of a network are decoded. */
export interface Layout {
  readonly family: ModelFamily;
  /** Maps the name that the decode function uses to the name in the file. */
  readonly outputs: Readonly<Record<string, string>>;
  /** Number of classes according to the shapes; null if the shapes do not depend on it. */
  readonly classCount: number | null;
  /** Number of key points of an object; only of networks that find poses. */
  readonly keypoints?: number;
}

/** Tasks in the exporters' metadata that no family here has, with their usual names. */
const REFUSED: Readonly<Record<string, string>> = {
  semantic: 'semantic segmentation',
  depth: 'depth estimation',
};

/** Tasks in the exporters' metadata that are recognised. */
const KNOWN = new Set(['detect', 'segment', 'pose', 'obb', 'classify']);

/** Channels of YOLOs for other tasks as their exporters train them, for networks that name no classes. */
const USUAL_CHANNELS: Readonly<Record<number, readonly [what: string, family: ModelFamily]>> = {
  20: ['oriented boxes (15 classes and an angle)', 'yolov8-obb'],
  39: ['key points (1 class, 17 points of 2 numbers)', 'yolov8-pose'],
  56: ['key points (1 class, 17 points of 3 numbers)', 'yolov8-pose'],
};

/** Key points of a person in YOLO's own networks. */
const PERSON_POINTS = 17;

/** Numbers in the longest box row, including its picture number. Outputs [n, more than this] are class scores. */
const LONGEST_BOX_ROW = 7;

/** Classes of ImageNet: no vector of features has this length. */
const IMAGENET_CLASSES = 1000;

/**
 * Asks what a single output [n, channels, cells] without metadata is if its channels are those of a network for another task.
 *
 * @throws MODEL_AMBIGUOUS, with the flags that answer.
 */
export function askIfOtherTask(outline: Outline): void {
  const [port, ...others] = outline.outputs;
  const [, rows, columns] = port?.dims ?? [];
  if (port?.dims?.length !== 3 || others.length > 0) return;
  const channels = Math.min(...[rows, columns].filter((size) => typeof size === 'number'));
  const [what, family] = USUAL_CHANNELS[channels] ?? [];
  if (what === undefined) return;
  const classes = channels - 4;
  throw fault(
    'MODEL_AMBIGUOUS',
    outline,
    `its ${channels} channels are a detector of ${classes} classes, or a network for ${what}; its output is ` +
      `${describePort(port)}. If it is a detector, give --labels FILE with the names of its ${classes} classes, or --family yolov8; ` +
      `else --family ${family}`,
  );
}

/**
 * Refuses a network for a task that no family has, by the task in its metadata.
 *
 * @throws MODEL_UNSUPPORTED, with the name of the task.
 */
export function refuseUnknownTasks(outline: Outline): void {
  const task = outline.metadata.get('task');
  if (task === undefined || KNOWN.has(task)) return;
  const refused = REFUSED[task] ?? printable(task);
  throw new SightlineError(
    'MODEL_UNSUPPORTED',
    `${outline.path}: expected a network for boxes, masks, key points, oriented boxes or classes, received one for ${refused} ` +
      `(task "${printable(task)}" in its metadata)`,
    { path: outline.path, task: refused },
  );
}

/** Recognises networks for more than boxes, or for the picture as a whole; null if it is none, or its shapes are not known. */
export function taskLayout(outline: Outline, namedClasses: number | null): Layout | null {
  const task = outline.metadata.get('task');
  const { outputs } = outline;
  const [port, ...others] = outputs;
  if (port === undefined) return null;
  if (task === 'segment' || (task === undefined && prototypesOf(outputs) !== null)) return maskLayout(outputs);
  if (others.length > 0) return simccLayout(outputs);
  if (task === 'obb') return fitTask('yolov8-obb', outline, namedClasses);
  if (task === 'pose' || (task === undefined && hasPersonPoints(port, namedClasses)))
    return fitTask('yolov8-pose', outline, namedClasses);
  if (task === 'classify' || (task === undefined && port.dims?.length === 2)) return classLayout(outline, namedClasses);
  return null;
}

/** Fits the outputs of a network to a family of this file that the user specified; null if they do not fit. */
export function fitTask(family: ModelFamily, outline: Outline, namedClasses: number | null): Layout | null {
  const { outputs, metadata } = outline;
  const [port] = outputs;
  if (family === 'yolov8-seg' || family === 'yolov5-seg') {
    const layout = maskLayout(outputs);
    return layout?.family === family ? layout : null;
  }
  if (family === 'rtmpose') return simccLayout(outputs);
  if (port === undefined || outputs.length > 1) return null;
  if (family === 'classifier') return port.dims?.length === 2 ? classes(outline, port) : null;
  const channels = channelsOf(port);
  if (channels === null || port.dims?.length !== 3) return null;
  if (family === 'yolov8-obb') return layoutOf(family, port, channels - 5);
  const [points = null, numbers = 3] = shapeOfPoints(metadata.get('kpt_shape'));
  const extra = points === null ? channels - 4 - (namedClasses ?? 1) : points * numbers;
  const keypoints = points ?? (extra === 2 * PERSON_POINTS ? PERSON_POINTS : extra / 3);
  const classCount = channels - 4 - extra;
  return Number.isInteger(keypoints) && keypoints > 0 && classCount > 0
    ? { ...layoutOf(family, port, classCount), keypoints }
    : null;
}

/** Says that every score of a network is 0 because its file gives pixels and scores one scale of 8 bits; null if it does not. */
export function whyNothingIsFound({ lastOperators, outputs }: Outline): string | null {
  if (lastOperators[0] !== 'DequantizeLinear' || outputs[0]?.dims?.length !== 3) return null;
  return (
    'its output is stored in 8 bits with one scale for box sides of hundreds of pixels and for scores up to 1, so that every score ' +
    'is rounded to 0: it cannot find anything. Export it in float; "sightline models compile --precision int8" keeps such an output in float'
  );
}

function layoutOf(family: ModelFamily, port: Port, classCount: number): Layout {
  return { family, outputs: { predictions: port.name }, classCount };
}

/** The smaller of the two axes behind the batch: there are more cells than channels. */
function channelsOf({ dims }: Port): number | null {
  const sizes = (dims ?? []).slice(1).filter((size) => typeof size === 'number');
  return sizes.length === 0 ? null : Math.min(...sizes);
}

function prototypesOf(outputs: readonly Port[]): Port | null {
  const ranks = outputs.map(({ dims }) => dims?.length ?? 0);
  return ranks.length === 2 && ranks.includes(3) ? (outputs[ranks.indexOf(4)] ?? null) : null;
}

/** YOLOv8 has planes of channels, YOLOv5 rows of anchors with an objectness. */
function maskLayout(outputs: readonly Port[]): Layout | null {
  const prototypes = prototypesOf(outputs);
  const port = outputs.find(({ dims }) => dims?.length === 3);
  const coefficients = prototypes?.dims?.[1];
  const [, rows, columns] = port?.dims ?? [];
  if (prototypes === null || port === undefined || typeof coefficients !== 'number') return null;
  const isPlanar = typeof rows === 'number' && (typeof columns === 'string' || Number(columns) > rows);
  const classCount = (isPlanar ? rows - 4 : Number(columns) - 5) - coefficients;
  if (!(classCount > 0)) return null;
  const family = isPlanar ? 'yolov8-seg' : 'yolov5-seg';
  return { family, outputs: { predictions: port.name, prototypes: prototypes.name }, classCount };
}

/** Two outputs with a row for each point, named as the authors' exporters do. */
function simccLayout(outputs: readonly Port[]): Layout | null {
  const find = (axis: 'x' | 'y') => outputs.find(({ name, dims }) => dims?.length === 3 && name === `simcc_${axis}`);
  const [x, y] = [find('x'), find('y')];
  const keypoints = x?.dims?.[1];
  if (x === undefined || y === undefined || typeof keypoints !== 'number' || y.dims?.[1] !== keypoints) return null;
  return { family: 'rtmpose', outputs: { x: x.name, y: y.name }, classCount: 1, keypoints };
}

function hasPersonPoints({ dims }: Port, namedClasses: number | null): boolean {
  const channels = (dims ?? []).slice(1).filter((size) => typeof size === 'number');
  const extra = Math.min(...channels) - 4 - (namedClasses ?? Number.NaN);
  return dims?.length === 3 && (extra === PERSON_POINTS * 3 || extra === PERSON_POINTS * 2);
}

/** Reads `[17, 3]`: the number of points, and of numbers for each. */
function shapeOfPoints(text: string | undefined): number[] {
  try {
    const value = text === undefined ? [] : parsePythonLiteral(text);
    return Array.isArray(value) ? value.map(Number) : [];
  } catch {
    return [];
  }
}

/** @throws MODEL_AMBIGUOUS if the numbers can be the features of an embedding as well. */
function classLayout(outline: Outline, namedClasses: number | null): Layout | null {
  const [port] = outline.outputs;
  const count = port?.dims?.[1];
  if (port === undefined || typeof count !== 'number' || count <= LONGEST_BOX_ROW) return null;
  if (outline.metadata.get('task') === 'classify' || count === namedClasses || count === IMAGENET_CLASSES)
    return classes(outline, port);
  throw fault(
    'MODEL_AMBIGUOUS',
    outline,
    `its ${count} numbers are the scores of ${count} classes for the whole picture, or something else; its output is ` +
      `${describePort(port)}. If they are classes, give --labels FILE with their names, or --family classifier; ` +
      `if a second stage is to read them, model.family of the second stage is ${port.operator === 'Sigmoid' ? 'labels or ' : ''}embedding`,
  );
}

function classes({ lastOperators }: Outline, port: Port): Layout {
  // Of a sigmoid each class has a probability of its own.
  const role = lastOperators[0] === 'Softmax' || port.operator === 'Sigmoid' ? 'probabilities' : 'logits';
  const count = port.dims?.[1];
  return { family: 'classifier', outputs: { [role]: port.name }, classCount: typeof count === 'number' ? count : null };
}
