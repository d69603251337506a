import { type ModelFamily, taskOf } from '../../../base/core/model.ts';
import type { Outline, Port } from './outline.ts';
import { fitTask, type Layout, taskLayout } from './task-layouts.ts';

/** What is known besides the outputs. */
export interface LayoutContext {
  readonly width: number;
  readonly height: number;
  /** Number of classes that the metadata or the user names; null if neither does. */
  readonly namedClasses: number | null;
}

/** Outputs of each family, for messages. */
export const FAMILY_SHAPES: Readonly<Record<ModelFamily, string>> = {
  centernet: '[n, peaks, 6]: x1 y1 x2 y2 in pixels, score, class',
  yolox: '[n, cells, 5 + classes] on the grid of each stride, objectness; BGR 0..255',
  yolov5: '[n, anchors, 5 + classes]: cx cy w h in pixels, objectness; also v6, v7',
  yolov8: '[n, 4 + classes, cells]: cx cy w h in pixels; also v9, 11, 12',
  'yolo-end2end': '[n, rows, 6]: x1 y1 x2 y2 in pixels, score, class; v10, 26, exports with NMS',
  detr: 'logits and boxes, or [n, queries, 4 + classes], or [n, queries, 6]: cx cy w h in 0..1',
  deimv2: 'labels, boxes, scores beside an input orig_target_sizes; D-FINE, DEIM, RT-DETRv2',
  ssd: "detection_boxes, _classes, _scores, num_detections of TensorFlow's detection models",
  gfl: 'for each stride [n, cells, classes] and [n, cells, 4 x bins]; PicoDet, NanoDet',
  rtmdet: 'dets [n, rows, 5]: x1 y1 x2 y2 in pixels, score; labels [n, rows]; exports of MMDeploy',
  'rtmdet-ins': 'the same and masks [n, rows, height, width], 0..1',
  'yolov5-seg': '[n, anchors, 5 + classes + m] and prototypes [n, m, height, width]',
  'yolov8-seg': '[n, 4 + classes + m, cells] and prototypes [n, m, height, width]; also 11, 12',
  'yolov8-pose': '[n, 4 + classes + 3 x points, cells]: x y visibility in pixels; also 11, 12',
  'yolov8-obb': '[n, 4 + classes + 1, cells]: cx cy w h in pixels, angle in radians; also 11, 12',
  rtmpose: 'simcc_x [n, points, columns] and simcc_y [n, points, rows] of one object that fills the picture',
  yunet: 'loc [priors, 14], conf [priors, 2] and iou [priors, 1]: faces with five points; BGR 0..255',
  classifier: '[n, classes] of the whole picture: logits, or probabilities behind a Softmax',
};

/**
 * Recognises the layout of a network's outputs from their names and shapes, and from the exporter's metadata.
 *
 * @returns null if no family fits, or several do.
 */
export function recogniseLayout(outline: Outline, context: LayoutContext): Layout | null {
  const byName = named(outline);
  if (byName !== null) return byName;
  const byTask = taskLayout(outline, context.namedClasses);
  if (byTask !== null) return byTask;
  const [port, ...others] = outline.outputs;
  if (others.length > 0) return gflGrids(outline.outputs, context);
  return port === undefined ? null : single(port, outline, context);
}

/** Fits the outputs of a network to the family that the user specified; null if they do not fit. */
export function fitLayout(family: ModelFamily, outline: Outline, context: LayoutContext): Layout | null {
  const byName = named(outline);
  if (byName?.family === family) return byName;
  const { outputs } = outline;
  if (family === 'detr' && outputs.length === 2) return detrPair(outputs);
  if (family === 'gfl') return gflGrids(outputs, context);
  if (taskOf(family) !== 'boxes') return fitTask(family, outline, context.namedClasses);
  const port = outputs[0];
  const [, rows, columns] = port?.dims ?? [];
  if (outputs.length !== 1 || port?.dims?.length !== 3) return null;
  switch (family) {
    case 'centernet':
    case 'yolo-end2end':
      return columns === 6 ? layout(family, 'detections', port, null) : null;
    case 'yolox':
    case 'yolov5':
      return typeof columns === 'number' && columns > 5 ? layout(family, 'predictions', port, columns - 5) : null;
    case 'yolov8': {
      const channels = channelsOf(rows, columns, context);
      return channels === null || channels < 5 ? null : layout(family, 'predictions', port, channels - 4);
    }
    case 'detr': {
      if (columns === 6 && context.namedClasses !== 2) return layout(family, 'detections', port, null);
      return typeof columns === 'number' && columns > 4 ? layout(family, 'predictions', port, columns - 4) : null;
    }
    default:
      return null;
  }
}

/** Recognises layouts whose exporters use specific output names. */
function named({ inputs, outputs }: Outline): Layout | null {
  const find = (name: string) => outputs.find((port) => plainName(port.name) === name);
  const [boxes, labels, scores] = [find('boxes'), find('labels'), find('scores')];
  if (boxes && labels && scores && inputs.length === 2) {
    const names = { boxes: boxes.name, labels: labels.name, scores: scores.name };
    return { family: 'deimv2', outputs: names, classCount: null };
  }
  const ssd = ['detection_boxes', 'detection_classes', 'detection_scores', 'num_detections'].map(find);
  if (ssd.every((port) => port !== undefined)) {
    const [boxNames, classes, scoreNames, count] = ssd.map(({ name }) => name) as [string, string, string, string];
    return { family: 'ssd', outputs: { boxes: boxNames, classes, scores: scoreNames, count }, classCount: null };
  }
  const [dets, masks] = [find('dets'), find('masks')];
  if (dets?.dims?.[2] === 5 && labels?.dims?.length === 2 && outputs.length === (masks ? 3 : 2)) {
    const names = { boxes: dets.name, labels: labels.name };
    if (masks === undefined) return { family: 'rtmdet', outputs: names, classCount: null };
    return { family: 'rtmdet-ins', outputs: { ...names, prototypes: masks.name }, classCount: null };
  }
  const [loc, conf, iou] = [find('loc'), find('conf'), find('iou')];
  if (loc?.dims?.at(-1) === 14 && conf !== undefined && iou !== undefined) {
    const names = { predictions: loc.name, scores: conf.name, ious: iou.name };
    return { family: 'yunet', outputs: names, classCount: 1, keypoints: 5 };
  }
  const [logits, detrBoxes] = [find('logits') ?? labels, find('pred_boxes') ?? find('dets')];
  return logits && detrBoxes ? detrPair([logits, detrBoxes]) : null;
}

/** Two outputs with one row per query: one has the four numbers of the box, the other the classes. */
function detrPair(outputs: readonly Port[]): Layout | null {
  const boxes = outputs.find(({ dims }) => dims?.length === 3 && dims[2] === 4);
  const logits = outputs.find((port) => port !== boxes && port.dims?.length === 3);
  const classes = logits?.dims?.[2];
  if (boxes === undefined || logits === undefined) return null;
  const names = { boxes: boxes.name, logits: logits.name };
  return { family: 'detr', outputs: names, classCount: typeof classes === 'number' ? classes : null };
}

const GFL_STRIDES_PX = [8, 16, 32, 64, 128] as const;

/** Two outputs for each stride's grid: class scores, and binned distances of four sides. */
function gflGrids(outputs: readonly Port[], { width, height, namedClasses }: LayoutContext): Layout | null {
  const names: Record<string, string> = {};
  const counts = new Set<number>();
  for (const stride of GFL_STRIDES_PX) {
    const cells = Math.ceil(width / stride) * Math.ceil(height / stride);
    const grid = outputs.filter(({ dims }) => dims?.length === 3 && dims[1] === cells && typeof dims[2] === 'number');
    if (grid.length === 0) continue;
    const distances = grid.filter((port) => isDistances(port, namedClasses));
    const scores = grid.filter((port) => !distances.includes(port));
    if (grid.length !== 2 || distances.length !== 1) return null;
    counts.add(Number(scores[0]!.dims![2]));
    names[`scores-${stride}`] = scores[0]!.name;
    names[`distances-${stride}`] = distances[0]!.name;
  }
  const isWhole = counts.size === 1 && Object.keys(names).length === outputs.length && outputs.length > 2;
  return isWhole ? { family: 'gfl', outputs: names, classCount: [...counts][0]! } : null;
}

/** Known networks have 8 bins or more per side. If the columns could also be classes, the name decides. */
function isDistances({ name, dims }: Port, namedClasses: number | null): boolean {
  const columns = Number(dims![2]);
  if (columns % 4 !== 0 || columns < 32 || columns === namedClasses) return false;
  return columns <= 68 ? !/cls|class|score|conf/i.test(name) : /dis|reg|box|bbox/i.test(name);
}

/** One output [n, rows, columns]. */
function single(port: Port, outline: Outline, context: LayoutContext): Layout | null {
  const [, rows, columns] = port.dims ?? [];
  if (port.dims?.length !== 3) return null;
  const { namedClasses: classes } = context;
  // With free axes and no class names the layout is unknown until the network has run (see `measureOutputs`).
  if (typeof rows === 'string' && typeof columns !== 'string' && classes === null) return null;
  if (columns === 6) return sixColumns(port, outline, context);
  const isPlanar = typeof rows === 'number' && (typeof columns === 'string' || (columns ?? 0) > rows);
  if (isPlanar) return fits(rows, classes) ? layout('yolov8', 'predictions', port, rows - 4) : null;
  if (typeof columns !== 'number') return null;
  const cells = typeof rows === 'number' ? rowsOf(rows, context) : null;
  const isWithObjectness = classes === null ? cells !== null : columns === 5 + classes;
  if (isWithObjectness) return columns > 5 ? withObjectness(port, columns - 5, cells, outline) : null;
  if (columns <= 4 || !fits(columns, classes)) return null;
  return layout(cells === 'cells' ? 'yolov8' : 'detr', 'predictions', port, columns - 4);
}

/** [n, rows, 6] is ambiguous: end-to-end YOLO, RT-DETR that selects the best boxes, or one class with an objectness. */
function sixColumns(port: Port, { metadata }: Outline, context: LayoutContext): Layout | null {
  const rows = port.dims?.[1];
  const { namedClasses: classes } = context;
  const isRtDetr = metadata.get('head') === 'RTDETRDecoder' || /rt-?detr/i.test(metadata.get('description') ?? '');
  if (isRtDetr) {
    const isPicked = metadata.has('head') || classes !== 2;
    return isPicked ? layout('detr', 'detections', port, null) : layout('detr', 'predictions', port, 2);
  }
  const cells = typeof rows === 'number' ? rowsOf(rows, context) : null;
  if (cells === null) return layout('yolo-end2end', 'detections', port, null);
  if (cells === 'anchors' && (classes ?? 1) === 1) return layout('yolov5', 'predictions', port, 1);
  return cells === 'cells' && classes === 2 ? layout('yolov8', 'predictions', port, 2) : null;
}

/** Three anchors per cell are YOLOv5; one is YOLOX, if the graph ends as in its authors' export. */
function withObjectness(
  port: Port,
  classCount: number,
  cells: 'cells' | 'anchors' | null,
  { lastOperators, metadata }: Outline,
): Layout | null {
  if (cells === 'anchors' || metadata.has('stride')) return layout('yolov5', 'predictions', port, classCount);
  const isRaw = lastOperators[0] === 'Transpose' && lastOperators[1] === 'Concat';
  return cells === 'cells' && isRaw ? layout('yolox', 'predictions', port, classCount) : null;
}

const STRIDES_PX = [
  [8, 16, 32],
  [16, 32],
  [8, 16, 32, 64],
  [4, 8, 16, 32],
] as const;

/** Returns whether there is a row for each cell of the grids, or for each of three anchors per cell; null if neither. */
function rowsOf(rows: number, { width, height }: LayoutContext): 'cells' | 'anchors' | null {
  for (const strides of STRIDES_PX) {
    const cells = strides.reduce((sum, stride) => sum + Math.ceil(width / stride) * Math.ceil(height / stride), 0);
    if (rows === cells) return 'cells';
    if (rows === 3 * cells) return 'anchors';
  }
  return null;
}

function channelsOf(rows: number | string | undefined, columns: number | string | undefined, context: LayoutContext) {
  const sizes = [rows, columns].filter((size) => typeof size === 'number');
  const { namedClasses } = context;
  if (namedClasses !== null && sizes.includes(4 + namedClasses)) return 4 + namedClasses;
  return sizes.length === 0 ? null : Math.min(...sizes);
}

/** Returns whether there are four channels for the box and one for each class. */
function fits(channels: number, classes: number | null): boolean {
  return classes === null ? channels > 4 : channels === 4 + classes;
}

function layout(family: ModelFamily, role: string, port: Port, classCount: number | null): Layout {
  return { family, outputs: { [role]: port.name }, classCount };
}

/** Removes the output number that TensorFlow appends to a name. */
function plainName(name: string): string {
  return name.toLowerCase().replace(/:\d+$/, '');
}
