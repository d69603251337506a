import type { CocoAnnotations } from './coco-dataset.ts';
import { invalid } from './json-entry.ts';

/**
 * Maps each class of a model to a category id of an annotations file.
 *
 * By name if every class name is found. Else by position among the sorted ids, if the counts are equal and no name
 * contradicts it (some lists say `motorbike` for `motorcycle`). Else by name, with null for classes that the file does not
 * have.
 *
 * @param classes - the model's labels, in the order of its class index.
 * @returns one category id (or null) for each class.
 * @throws DATASET_INVALID if no class can be mapped.
 */
export function categoryIdsOfClasses(annotations: CocoAnnotations, classes: readonly string[]): (number | null)[] {
  const sorted = annotations.categories.toSorted((a, b) => a.id - b.id);
  const idOfName = new Map(sorted.map((category) => [category.name, category.id]));
  const byName = classes.map((name) => idOfName.get(name) ?? null);
  if (!byName.includes(null)) return byName;

  const byPosition = sorted.map((category) => category.id);
  const contradicts = byName.some((id, i) => id !== null && id !== byPosition[i]);
  if (sorted.length === classes.length && !contradicts) return byPosition;
  if (byName.every((id) => id === null)) {
    const names = sorted.slice(0, 3).map((category) => category.name);
    const expected = `categories that the model has (${classes.slice(0, 3).join(', ')} ...)`;
    throw invalid(annotations.path, 'categories', expected, `${names.join(', ')} ...`);
  }
  return byName;
}
