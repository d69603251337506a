import type { ModelFamily, ResizeKernel } from '../../../base/core/model.ts';
import type { PerChannel } from '../network-input.ts';
import { fault, type Outline } from './outline.ts';

/** Resize rules as named on the command line. */
export type ResizeName = 'stretch' | 'letterbox' | 'letterbox-top-left' | 'crop';

/** How a family preprocesses a picture. */
export interface Preparation {
  readonly colours: 'rgb' | 'bgr';
  /** Value of white before mean and deviation. */
  readonly white: 1 | 255;
  readonly mean?: PerChannel;
  readonly deviation?: PerChannel;
  readonly resize: ResizeName;
  /** Training with Pillow or torchvision resizes with antialiasing, training with OpenCV without. */
  readonly kernel: ResizeKernel;
}

const IMAGENET = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] } as const;

const YOLO: Preparation = { colours: 'rgb', white: 1, resize: 'letterbox', kernel: 'linear' };
const BY_PILLOW: Preparation = { colours: 'rgb', white: 1, resize: 'stretch', kernel: 'antialiased-linear' };
const BY_OPENCV: Preparation = { colours: 'rgb', white: 1, resize: 'stretch', kernel: 'linear' };

const RTMPOSE: Preparation = {
  colours: 'rgb',
  white: 255,
  resize: 'letterbox',
  kernel: 'linear',
  mean: [123.675, 116.28, 103.53],
  deviation: [58.395, 57.12, 57.375],
};
const PICODET: Preparation = { ...BY_OPENCV, ...IMAGENET, kernel: 'cubic' };
const NANODET: Preparation = {
  colours: 'bgr',
  white: 255,
  resize: 'stretch',
  kernel: 'linear',
  mean: [103.53, 116.28, 123.675],
  deviation: [57.375, 57.12, 58.395],
};

/**
 * Returns the preprocessing that a family is usually trained with.
 *
 * Throws MODEL_AMBIGUOUS for a generalised focal loss head whose names are neither PicoDet's nor NanoDet's, unless the user
 * specifies the colours, which distinguish them.
 */
export function usualPreparation(
  family: ModelFamily,
  outputs: Readonly<Record<string, string>>,
  outline: Outline,
  colours: 'rgb' | 'bgr' | undefined,
): Preparation {
  switch (family) {
    case 'yolov5':
    case 'yolov8':
    case 'yolo-end2end':
    case 'yolov5-seg':
    case 'yolov8-seg':
    case 'yolov8-pose':
    case 'yolov8-obb':
      return YOLO;
    case 'yolox':
      return { colours: 'bgr', white: 255, resize: 'letterbox-top-left', kernel: 'linear' };
    case 'yunet':
      return { colours: 'bgr', white: 255, resize: 'letterbox', kernel: 'linear' };
    case 'centernet':
    case 'ssd':
      return { ...BY_OPENCV, white: 255 };
    case 'deimv2':
      return BY_PILLOW;
    case 'detr':
      if (!('logits' in outputs) || outline.metadata.has('task')) return BY_OPENCV;
      // Output names of the rfdetr package.
      return /^dets(:\d+)?$/.test(outputs.boxes ?? '') ? { ...BY_PILLOW, ...IMAGENET } : BY_PILLOW;
    case 'rtmdet':
    case 'rtmdet-ins':
      return { ...NANODET, resize: 'letterbox-top-left' };
    case 'rtmpose':
      return RTMPOSE;
    case 'classifier':
      // Ultralytics scales to 0..1 alone; others normalise as torchvision does.
      return { ...BY_PILLOW, ...(outline.metadata.has('task') ? {} : IMAGENET), resize: 'crop' };
    case 'gfl':
      return gflPreparation(outputs, outline, colours);
  }
}

function gflPreparation(
  outputs: Readonly<Record<string, string>>,
  outline: Outline,
  colours: 'rgb' | 'bgr' | undefined,
): Preparation {
  const names = Object.values(outputs);
  if (colours === 'rgb') return PICODET;
  if (colours === 'bgr' || names.some((name) => /^(cls|dis)_pred/.test(name))) return NANODET;
  // Names of PaddlePaddle exports.
  if (outline.inputs[0]?.name === 'image' || names.some((name) => /^save_infer_model|\.tmp_\d+$/.test(name)))
    return PICODET;
  throw fault(
    'MODEL_AMBIGUOUS',
    outline,
    `the preprocessing of its pictures cannot be inferred. Give --color rgb (as PicoDet: 0..1, the mean and deviation ` +
      'of ImageNet) or --color bgr (as NanoDet: 0..255, its mean and deviation). For other settings write a manifest',
  );
}
