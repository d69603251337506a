import { MODEL_FAMILIES, type ModelFamily, type ResizeKernel, type ResizeRule } from '../../../base/core/model.ts';
import type { NetworkInput, PerChannel } from '../network-input.ts';
import { FAMILY_SHAPES, fitLayout, recogniseLayout } from './layouts.ts';
import { describePort, fault, type Outline, printable } from './outline.ts';
import { type PictureInput, pictureInput } from './picture-input.ts';
import { type PythonValue, parsePythonLiteral } from './python-literal.ts';
import { askIfOtherTask, type Layout, refuseUnknownTasks } from './task-layouts.ts';
import { type ResizeName, usualPreparation } from './usual-preparation.ts';

/** What the user specifies about a file; overrides what is inferred. */
export interface DetectorHints {
  readonly family?: ModelFamily | undefined;
  readonly colours?: 'rgb' | 'bgr' | undefined;
  /** Value of white. */
  readonly white?: 1 | 255 | undefined;
  readonly resize?: ResizeName | undefined;
  /** Number of classes in the user's list; absent if there is no list. */
  readonly classCount?: number | undefined;
  /** Input size for a network with free axes. */
  readonly inputSize?: { readonly width: number; readonly height: number } | undefined;
}

/** The part of a manifest that is inferred from a file. */
export interface InferredDetector {
  readonly family: ModelFamily;
  readonly input: NetworkInput & { readonly resize: ResizeRule };
  readonly outputs: Readonly<Record<string, string>>;
  readonly batch: 'free' | number;
  /** Null if unknown. */
  readonly classCount: number | null;
  /** From the metadata, in the order of the class ids; null if there are none. */
  readonly classNames: readonly string[] | null;
  readonly nmsIou: number | null;
  /** Number of key points of an object, if it finds poses. */
  readonly keypoints?: number;
}

/** More classes than any detector has: a larger number means that the file is damaged. */
const MAX_CLASSES = 65_536;

const PAD_VALUE = 114;

/** IoU for suppression as in the families' own tools; null if the network needs none. */
const NMS_IOU: Readonly<Record<ModelFamily, number | null>> = {
  centernet: null,
  yolox: 0.65,
  yolov5: 0.6,
  yolov8: 0.7,
  'yolo-end2end': null,
  detr: null,
  deimv2: null,
  ssd: null,
  gfl: 0.6,
  rtmdet: null,
  'rtmdet-ins': null,
  'yolov5-seg': 0.6,
  'yolov8-seg': 0.7,
  'yolov8-pose': 0.7,
  'yolov8-obb': 0.7,
  rtmpose: null,
  yunet: 0.3,
  classifier: null,
};

/**
 * Infers the manifest of an ONNX file: family, input, outputs, class names. Colours, range and resize rule are those of the
 * family's usual exporters.
 *
 * Throws MODEL_UNSUPPORTED if the network is for a task that no family has; MODEL_AMBIGUOUS, with the missing flags, if the file lacks
 * information; MODEL_INVALID if the file is inconsistent.
 */
export function inferDetector(outline: Outline, hints: DetectorHints = {}): InferredDetector {
  const classNames = classNamesOf(outline);
  const namedClasses = hints.classCount ?? classNames?.length ?? null;
  refuseUnknownTasks(outline);
  const picture = pictureInput(outline, hints.inputSize);
  const layout = layoutOf(outline, hints, { ...picture, namedClasses });
  const { family, outputs, classCount, keypoints } = layout;
  if (family === 'yolov8' && hints.family === undefined && namedClasses === null && !outline.metadata.has('task'))
    askIfOtherTask(outline);
  if (classCount !== null && classCount > MAX_CLASSES)
    throw fault('MODEL_INVALID', outline, `expected at most ${MAX_CLASSES} classes, received ${classCount}`);
  return {
    family,
    input: networkInput(layout, picture, outline, hints),
    outputs,
    batch: picture.batch,
    classCount,
    classNames: classNames ?? (family === 'yunet' ? ['face'] : null),
    nmsIou: NMS_IOU[family],
    ...(keypoints === undefined ? {} : { keypoints }),
  };
}

function layoutOf(outline: Outline, { family }: DetectorHints, context: Parameters<typeof fitLayout>[2]): Layout {
  // With the wrong number of names no layout fits. Without names it does, so that the mismatch can be reported.
  const layout =
    family === undefined
      ? (recogniseLayout(outline, context) ?? recogniseLayout(outline, { ...context, namedClasses: null }))
      : fitLayout(family, outline, context);
  if (layout !== null) return layout;
  const received = `its outputs are ${outline.outputs.map(describePort).join('; ') || 'none'}`;
  if (family !== undefined)
    throw fault('MODEL_AMBIGUOUS', outline, `--family ${family} expects ${FAMILY_SHAPES[family]}; ${received}`);
  const choices = MODEL_FAMILIES.map((name) => `${name} (${FAMILY_SHAPES[name]})`).join(', ');
  const labels = context.namedClasses === null ? ' and --labels FILE|coco with the names of its classes' : '';
  throw fault(
    'MODEL_AMBIGUOUS',
    outline,
    `the family of its outputs cannot be inferred; ${received}. Give --family with one of ${choices}` +
      `${labels}; and --color rgb|bgr, --range 1|255, --resize stretch|letterbox|letterbox-top-left if the family's ` +
      'defaults are wrong. For other settings write a manifest',
  );
}

function networkInput(
  { family, outputs }: Layout,
  picture: PictureInput,
  outline: Outline,
  hints: DetectorHints,
): InferredDetector['input'] {
  const { tensor, sizeTensor, layout, width, height, anySize, type } = picture;
  const usual = usualPreparation(family, outputs, outline, hints.colours);
  const white = hints.white ?? (type === 'u8' ? 255 : usual.white);
  const isSwapped = hints.colours !== undefined && hints.colours !== usual.colours;
  // The usual values are of red, green and blue, or the other way round.
  const scaled = (values: PerChannel) => {
    const [first, second, third] = values.map((value) => (value / usual.white) * white) as [number, number, number];
    return isSwapped ? ([third, second, first] as const) : ([first, second, third] as const);
  };
  const { mean, deviation } = usual;
  return {
    tensor,
    sizeTensor,
    layout,
    width,
    height,
    // If the file states its size, the family decides.
    ...(anySize ? { anySize } : {}),
    colours: hints.colours ?? usual.colours,
    range: [0, white],
    ...(mean === undefined || type === 'u8' ? {} : { mean: scaled(mean) }),
    ...(deviation === undefined || type === 'u8' ? {} : { deviation: scaled(deviation) }),
    resize: resizeRule(hints.resize ?? usual.resize, usual.kernel, family === 'yolox' ? 'floor' : 'round', outline),
  };
}

/** Networks are tested on the middle of a picture, as torchvision crops it; Ultralytics takes the whole of its shorter side. */
const CROP_SHARE = 224 / 256;

function resizeRule(
  name: ResizeName,
  kernel: ResizeKernel,
  rounding: 'floor' | 'round',
  { metadata }: Outline,
): ResizeRule {
  if (name === 'stretch') return { mode: 'stretch', kernel };
  if (name === 'crop') return { mode: 'crop', share: metadata.has('task') ? 1 : CROP_SHARE, kernel };
  const anchor = name === 'letterbox' ? 'center' : 'top-left';
  return { mode: 'letterbox', anchor, padValue: PAD_VALUE, kernel, rounding };
}

/** Reads `names` of Ultralytics: a Python dictionary by number, or a list. */
function classNamesOf(outline: Outline): string[] | null {
  const text = outline.metadata.get('names');
  if (text === undefined || text.trim() === '') return null;
  let value: PythonValue;
  try {
    value = parsePythonLiteral(text);
  } catch (error) {
    const reason = (error as Error).message;
    throw fault(
      'MODEL_INVALID',
      outline,
      `its metadata has class names that cannot be read (${reason}): ${printable(text)}`,
    );
  }
  const entries = value instanceof Map ? [...value].toSorted(([a], [b]) => Number(a) - Number(b)) : null;
  const names = entries === null ? value : entries.map(([, name]) => name);
  const isGapless = entries === null || entries.every(([key], index) => Number(key) === index);
  if (!Array.isArray(names) || names.length === 0 || !isGapless)
    throw fault(
      'MODEL_INVALID',
      outline,
      `expected class names numbered from 0 in its metadata, received ${printable(text)}`,
    );
  return names.map((name) => printable(String(name)));
}
