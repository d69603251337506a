import fc from 'fast-check';

type Path = readonly (string | number)[];

/** Paths of all values inside a JSON document, the document itself included. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, child]) =>
    pathsOf(child, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return [path, ...inner];
}

function replaced(value: unknown, [key, ...rest]: Path, change: { readonly to: unknown } | 'removed'): unknown {
  if (key === undefined) return change === 'removed' ? null : change.to;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>;
  if (rest.length === 0 && change === 'removed') delete copy[key];
  else copy[key] = replaced(copy[key], rest, change);
  return copy;
}

/** Values that are near enough to a right one to be taken for it by a careless check. */
const NASTY: readonly unknown[] = [
  null,
  '',
  '1',
  -1,
  0.5,
  9e15,
  1e308,
  [],
  {},
  [null],
  { length: 1e9 },
  'x'.repeat(20_000),
  { toString: 1, valueOf: 1 },
];

/** A right document of which one value, at any depth, is removed or replaced by something else. */
export function mutationsOf(document: unknown): fc.Arbitrary<unknown> {
  const value = fc.oneof(fc.constantFrom(...NASTY), fc.jsonValue());
  const change = fc.oneof(
    fc.constant('removed' as const),
    value.map((to) => ({ to })),
  );
  return fc.tuple(fc.constantFrom(...pathsOf(document)), change).map(([path, how]) => replaced(document, path, how));
}
