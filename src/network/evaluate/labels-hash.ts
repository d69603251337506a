import { createHash } from 'node:crypto';
import type { CocoAnnotations } from './coco-dataset.ts';

/** Places are rounded to this part of a pixel, so that two writers of the same labels agree. */
const STEPS_PER_PX = 100;

/**
 * Hashes which pictures are labelled and with what, hex: two figures are comparable only where this is equal. Names of pictures and of
 * classes, boxes and crowds count; ids, the order, and everything else in the file do not.
 */
export function labelsHash({ images, categories, annotations }: CocoAnnotations): string {
  const classOf = new Map(categories.map(({ id, name }) => [id, name]));
  const objects = new Map<number, string[]>();
  for (const { imageId, categoryId, box, isCrowd } of annotations) {
    const places = box.map((px) => Math.round(px * STEPS_PER_PX));
    const text = JSON.stringify([classOf.get(categoryId), places, isCrowd]);
    objects.set(imageId, [...(objects.get(imageId) ?? []), text]);
  }
  const pictures = images.map(({ id, fileName }) => JSON.stringify([fileName, (objects.get(id) ?? []).sort()]));
  return createHash('sha256').update(pictures.sort().join('\n')).digest('hex');
}
