import { isAbsolute, join } from 'node:path';
import { writeWholeFile } from '../disk/replace-file.ts';
import type { CocoAnnotation, CocoAnnotations, CocoCategory, CocoImage, CocoResult } from './coco-dataset.ts';
import { invalid, JsonEntry, readJson } from './json-entry.ts';

/**
 * Reads images, categories and boxes from a COCO annotations file (`instances_*.json`). Outlines are ignored.
 *
 * @throws DATASET_INVALID with the file, the entry, the expected and the received value: for an unreadable file, a missing
 *   or malformed field, a duplicate id, or an annotation of an unlisted image.
 */
export async function readAnnotations(path: string): Promise<CocoAnnotations> {
  const root = new JsonEntry(path, '', await readJson(path, 'annotations'));
  const images = root.list('images').map((value, i) => readImage(new JsonEntry(path, `images[${i}]`, value)));
  const categories = root
    .list('categories')
    .map((value, i) => readCategory(new JsonEntry(path, `categories[${i}]`, value)));
  const imageIds = uniqueIds(path, 'images', images);
  uniqueIds(path, 'categories', categories);

  const seen = new Set<number>();
  const annotations = root.list('annotations').map((value, i) => {
    const entry = new JsonEntry(path, `annotations[${i}]`, value);
    const id = entry.integer('id');
    if (seen.has(id)) throw invalid(path, `${entry.place}.id`, 'an id that no other annotation has', id);
    seen.add(id);
    const annotation = readAnnotation(entry);
    if (!imageIds.has(annotation.imageId)) {
      throw invalid(path, `${entry.place}.image_id`, 'the id of an image in the list of images', annotation.imageId);
    }
    return annotation;
  });
  return { path, images, categories, annotations };
}

/**
 * Reads a COCO results file: `[{"image_id", "category_id", "bbox": [x, y, w, h], "score"}]`, in the order of the file
 * (which decides between equal scores). Image ids are checked later, by `scoreDetections`.
 *
 * @throws DATASET_INVALID with the file, the entry, the expected and the received value.
 */
export async function readResults(path: string): Promise<CocoResult[]> {
  const root = await readJson(path, 'results');
  if (!Array.isArray(root)) throw invalid(path, '', 'a list of results', root);
  return root.map((value: unknown, i) => {
    const entry = new JsonEntry(path, `[${i}]`, value);
    return {
      imageId: entry.integer('image_id'),
      categoryId: entry.integer('category_id'),
      box: entry.box('bbox'),
      score: entry.number('score'),
    };
  });
}

/** Writes a COCO results file, which `readResults` reads back without loss. @throws the system's error */
export function writeResults(path: string, results: readonly CocoResult[]): Promise<void> {
  const entries = results.map(({ imageId, categoryId, box, score }) =>
    JSON.stringify({ image_id: imageId, category_id: categoryId, bbox: box, score }),
  );
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

function readImage(entry: JsonEntry): CocoImage {
  const tags = entry.optionalTexts('tags');
  return { id: entry.integer('id'), fileName: entry.text('file_name'), ...(tags === undefined ? {} : { tags }) };
}

function readCategory(entry: JsonEntry): CocoCategory {
  return { id: entry.integer('id'), name: entry.text('name') };
}

function readAnnotation(entry: JsonEntry): CocoAnnotation {
  return {
    imageId: entry.integer('image_id'),
    categoryId: entry.integer('category_id'),
    box: entry.box('bbox'),
    areaPx: entry.number('area'),
    isCrowd: entry.flag('iscrowd'),
  };
}

function uniqueIds(path: string, list: string, entries: readonly { readonly id: number }[]): Set<number> {
  const ids = new Set<number>();
  for (const [i, entry] of entries.entries()) {
    if (ids.has(entry.id)) throw invalid(path, `${list}[${i}].id`, `an id that no other of the ${list} has`, entry.id);
    ids.add(entry.id);
  }
  return ids;
}
