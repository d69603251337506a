/** A dimension that is a multiple of the batch, whose size is only known at run time: `{ batches: 8 }` is 8 n. */
export interface BatchMultiple {
  readonly batches: number;
}

/** Size of one axis. */
export type Dim = number | BatchMultiple;

/** The batch itself. */
export const BATCH: Dim = { batches: 1 };

export function isFree(dim: Dim): dim is BatchMultiple {
  return typeof dim === 'object';
}

export function sameDim(a: Dim, b: Dim): boolean {
  return isFree(a) ? isFree(b) && a.batches === b.batches : a === b;
}

/** As TensorFlow writes a size: -1 is one that is not known. */
export function sizeOf(dim: Dim): number {
  return isFree(dim) ? -1 : dim;
}

/** Null where both know the batch: no network multiplies it by itself. */
export function multiplyDims(a: Dim, b: Dim): Dim | null {
  if (!isFree(a)) return isFree(b) ? { batches: a * b.batches } : a * b;
  return isFree(b) ? null : { batches: a.batches * b };
}

/** Whole number of times that `b` goes into `a`; null where it does not, or the answer would depend on the batch. */
export function divideDims(a: Dim, b: Dim): Dim | null {
  const [factor, divisor] = [isFree(a) ? a.batches : a, isFree(b) ? b.batches : b];
  if ((isFree(b) && !isFree(a)) || divisor === 0 || factor % divisor !== 0) return null;
  return isFree(a) && !isFree(b) ? { batches: factor / divisor } : factor / divisor;
}

/** Product of sizes; null where more than one of them knows the batch. */
export function productOf(dims: readonly Dim[]): Dim | null {
  return dims.reduce<Dim | null>((product, dim) => (product === null ? null : multiplyDims(product, dim)), 1);
}

/** Shape of an element-wise operation over two shapes: axes are matched from the last one, and a 1 stretches. */
export function broadcastDims(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [x, y] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    return x === 1 ? y : x;
  });
}
