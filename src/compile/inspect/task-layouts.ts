import { SightlineError } from '../../errors/sightline-error.ts';
import { describePort, fault, type Outline, printable } from './outline.ts';

/** Tasks in the exporters' metadata, with their usual names. */
const TASKS: Readonly<Record<string, string>> = {
  segment: 'instance segmentation',
  semantic: 'semantic segmentation',
  pose: 'pose estimation',
  obb: 'detection of oriented boxes',
  classify: 'classification',
  depth: 'depth estimation',
};

/** Mask coefficients that a segmentation YOLO adds to each box. */
const MASK_COEFFICIENTS = 32;

/** Channels of YOLOs for other tasks as their exporters train them, for networks that name no classes. */
const USUAL_CHANNELS: Readonly<Record<number, string>> = {
  20: 'oriented boxes (15 classes and an angle)',
  37: 'masks (1 class, 32 coefficients)',
  39: 'key points (1 class, 17 points of 2 numbers)',
  56: 'key points (1 class, 17 points of 3 numbers)',
  68: 'key points (1 class, 21 points of 3 numbers)',
  116: 'masks (80 classes, 32 coefficients)',
};

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
  const task = USUAL_CHANNELS[channels];
  if (task === undefined) return;
  const classes = channels - 4;
  throw fault(
    'MODEL_AMBIGUOUS',
    outline,
    `its ${channels} channels are a detector of ${classes} classes, or a network for ${task}, which is not supported; its output is ` +
      `${describePort(port)}. If it is a detector, give --labels FILE with the names of its ${classes} classes, or --family yolov8`,
  );
}

/** Numbers in the longest box row, including its picture number. Outputs [n, more than this] are class scores. */
const LONGEST_BOX_ROW = 7;

/**
 * Refuses a network for another task than detection: by the task in its metadata, or by the shapes of its outputs.
 *
 * @throws MODEL_UNSUPPORTED, with the name of the task.
 */
export function refuseOtherTasks(outline: Outline, classCount: number | null): void {
  const task = outline.metadata.get('task');
  const refused =
    task !== undefined && task !== 'detect' ? (TASKS[task] ?? printable(task)) : taskByShape(outline, classCount);
  if (refused === null) return;
  const reason =
    task === undefined
      ? `outputs ${outline.outputs.map(describePort).join('; ')}`
      : `task "${printable(task)}" in its metadata`;
  throw new SightlineError(
    'MODEL_UNSUPPORTED',
    `${outline.path}: expected a detector, received a network for ${refused} (${reason})`,
    { path: outline.path, task: refused },
  );
}

function taskByShape({ outputs }: Outline, classCount: number | null): string | null {
  const ranks = outputs.map(({ dims }) => dims?.length ?? 0);
  if (ranks.length === 2 && ranks.includes(3) && ranks.includes(4)) return TASKS.segment!;
  const [, rows, columns] = outputs[0]?.dims ?? [];
  if (ranks.length === 1 && ranks[0] === 2 && Number(rows) > LONGEST_BOX_ROW) return TASKS.classify!;
  if (ranks.length !== 1 || ranks[0] !== 3 || classCount === null) return null;
  const sizes = [rows, columns].filter((size) => typeof size === 'number');
  const extra = Math.min(...sizes) - 4 - classCount;
  if (extra === MASK_COEFFICIENTS || extra === MASK_COEFFICIENTS + 1) return TASKS.segment!;
  // YOLO's human pose has 17 key points, with two or three numbers each.
  return extra === 17 * 3 || extra === 17 * 2 ? TASKS.pose! : null;
}
