import { isAbsolute, join } from 'node:path';
import { writeWholeFile } from '../../base/disk/replace-file.ts';
import type { CocoAnnotations, CocoCategory, CocoImage, CocoResult } from './coco-dataset.ts';
import type { IouType } from './coco-rules.ts';
import { annotationShape, iouTypeIn, resultShape, shapeFields } from './coco-shapes.ts';
import { invalid, JsonEntry, readJson } from './json-entry.ts';

/**
 * Reads images, categories and objects from a COCO annotations file (`instances_*.json`, `person_keypoints_*.json`).
 *
 * @param iouType - what results will be matched by, which decides what is read of an object beside its box; default: nothing.
 * @throws DATASET_INVALID with the file, the entry, the expected and the received value: for an unreadable file, a missing
 *   or malformed field, a duplicate id, or an annotation of an unlisted image.
 */
export async function readAnnotations(path: string, iouType: IouType = 'bbox'): Promise<CocoAnnotations> {
  const root = new JsonEntry(path, '', await readJson(path, 'annotations'));
  const images = root.list('images').map((value, i) => readImage(new JsonEntry(path, `images[${i}]`, value), iouType));
  const categories = root
    .list('categories')
    .map((value, i) => readCategory(new JsonEntry(path, `categories[${i}]`, value)));
  const imageOfId = byId(path, 'images', images);
  byId(path, 'categories', categories);

  const seen = new Set<number>();
  const annotations = root.list('annotations').map((value, i) => {
    const entry = new JsonEntry(path, `annotations[${i}]`, value);
    const id = entry.integer('id');
    if (seen.has(id)) throw invalid(path, `${entry.place}.id`, 'an id that no other annotation has', id);
    seen.add(id);
    const imageId = entry.integer('image_id');
    const image = imageOfId.get(imageId);
    if (image === undefined)
      throw invalid(path, `${entry.place}.image_id`, 'the id of an image in the list of images', imageId);
    return { imageId, categoryId: entry.integer('category_id'), ...annotationShape(entry, iouType, image) };
  });
  return { path, iouType, images, categories, annotations };
}

/**
 * Reads a COCO results file: `[{"image_id", "category_id", "bbox": [x, y, w, h], "score"}]`, in the order of the file
 * (which decides between equal scores). Image ids are checked later, by `scoreDetections`.
 *
 * @param iouType - what they will be matched by: each has `segmentation` for `segm`, `keypoints` for `keypoints`, and so on.
 * @throws DATASET_INVALID with the file, the entry, the expected and the received value.
 */
export async function readResults(path: string, iouType: IouType = 'bbox'): Promise<CocoResult[]> {
  return (await readTypedResults(path, iouType)).results;
}

/** As `readResults`; without a type, the first entry says it: a result with a mask is of a model that segments. */
export async function readTypedResults(
  path: string,
  given?: IouType,
): Promise<{ readonly iouType: IouType; readonly results: CocoResult[] }> {
  const root = await readJson(path, 'results');
  if (!Array.isArray(root)) throw invalid(path, '', 'a list of results', root);
  const entries = root.map((value: unknown, i) => new JsonEntry(path, `[${i}]`, value));
  const iouType = given ?? iouTypeIn(entries[0]);
  const hasBoxes = entries[0]?.has('bbox') ?? false;
  const results = entries.map((entry) => ({
    imageId: entry.integer('image_id'),
    categoryId: entry.integer('category_id'),
    ...resultShape(entry, iouType, hasBoxes),
    score: entry.number('score'),
  }));
  return { iouType, results };
}

/** Writes a COCO results file, which `readResults` reads back without loss. @throws the system's error */
export function writeResults(path: string, results: readonly CocoResult[], iouType: IouType = 'bbox'): Promise<void> {
  const entries = results.map((result) => {
    const { imageId, categoryId, score } = result;
    return JSON.stringify({ image_id: imageId, category_id: categoryId, ...shapeFields(result, iouType), score });
  });
  return writeWholeFile(path, `[\n${entries.join(',\n')}\n]\n`);
}

/**
 * Returns the paths of the pictures of a data set in a folder, in the order of its images.
 *
 * @throws DATASET_INVALID if a name leads out of the folder.
 */
export function picturePaths({ path, images }: Pick<CocoAnnotations, 'path' | 'images'>, folder: string): string[] {
  return images.map(({ fileName }, i) => {
    const leadsOut =
      isAbsolute(fileName) || /^[\\/]|^[A-Za-z]:/.test(fileName) || fileName.split(/[\\/]/).includes('..');
    if (leadsOut || fileName === '' || fileName.includes('\0'))
      throw invalid(path, `images[${i}].file_name`, 'a path inside the folder of the images', fileName);
    return join(folder, fileName);
  });
}

function readImage(entry: JsonEntry, iouType: IouType): CocoImage {
  const tags = entry.optionalTexts('tags');
  return {
    id: entry.integer('id'),
    fileName: entry.text('file_name'),
    ...(iouType === 'segm' ? { size: [entry.integer('height'), entry.integer('width')] as const } : {}),
    ...(tags === undefined ? {} : { tags }),
  };
}

function readCategory(entry: JsonEntry): CocoCategory {
  return { id: entry.integer('id'), name: entry.text('name') };
}

/** @throws DATASET_INVALID if an id is there twice */
function byId<T extends { readonly id: number }>(path: string, list: string, entries: readonly T[]): Map<number, T> {
  const known = new Map<number, T>();
  for (const [i, entry] of entries.entries()) {
    if (known.has(entry.id))
      throw invalid(path, `${list}[${i}].id`, `an id that no other of the ${list} has`, entry.id);
    known.set(entry.id, entry);
  }
  return known;
}
