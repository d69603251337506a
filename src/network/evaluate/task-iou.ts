import { type ModelSpec, type ModelTask, taskOf } from '../../base/core/model.ts';
import type { IouType } from './coco-rules.ts';

/** By what the results of a network can be matched; the first one judges its task. */
export const IOU_TYPES_OF: Readonly<Record<ModelTask, readonly [own: IouType, ...IouType[]]>> = {
  boxes: ['bbox'],
  masks: ['segm', 'bbox'],
  keypoints: ['keypoints', 'bbox'],
  'oriented-boxes': ['oriented-boxes'],
  classes: ['classes'],
};

/** What judges a model. */
export function iouTypeOf({ family }: Pick<ModelSpec, 'family'>): IouType {
  return IOU_TYPES_OF[taskOf(family)][0];
}
