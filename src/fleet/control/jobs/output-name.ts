import { createHash } from 'node:crypto';
import { basename } from 'node:path';

/**
 * Returns the file name of an input's result: the input's file name and `.jsonl`. Inputs with the same name, ignoring case,
 * also get part of their path's hash, the same on every host: `clip.mp4` becomes `clip.mp4-3f9a2c71.jsonl`.
 */
export function outputName(inputs: readonly string[], file: number): string {
  const path = inputs[file]!;
  const name = basename(path);
  const folded = name.toLowerCase();
  const isShared = inputs.some((other, i) => i !== file && hasName(other, name.length, folded));
  if (!isShared) return `${name}.jsonl`;
  // A path that is given twice is processed twice.
  const earlier = inputs.slice(0, file).filter((other) => other === path).length;
  return `${distinctName(name, path, earlier)}.jsonl`;
}

/**
 * As `outputName` for all inputs at once, without an extension.
 *
 * @param nameOf - the name of an input's result, if no other input has the same.
 */
export function outputNames(inputs: readonly string[], nameOf: (input: string) => string = basename): string[] {
  const names = inputs.map(nameOf);
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name.toLowerCase(), (counts.get(name.toLowerCase()) ?? 0) + 1);
  const seen = new Map<string, number>();
  return names.map((name, i) => {
    if (counts.get(name.toLowerCase()) === 1) return name;
    const input = inputs[i]!;
    const earlier = seen.get(input) ?? 0;
    seen.set(input, earlier + 1);
    return distinctName(name, input, earlier);
  });
}

function distinctName(name: string, path: string, earlier: number): string {
  const hash = createHash('sha256').update(path).digest('hex').slice(0, 8);
  return `${name}-${hash}${earlier === 0 ? '' : `-${earlier + 1}`}`;
}

/** Called for every other input, so it lower-cases only the end of the path instead of parsing it. */
function hasName(path: string, length: number, folded: string): boolean {
  const end = path.slice(-length);
  if (end.length !== length || end.toLowerCase() !== folded) return false;
  const before = path.at(-length - 1);
  return before === undefined || before === '/' || before === '\\';
}
