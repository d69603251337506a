/** A dimension that is a multiple of the batch size, which is only known at run time: `{ batches: 8 }` is 8 n. */
export interface BatchMultiple {
  readonly batches: number;
}

/** Size of one axis. */
export type Dim = number | BatchMultiple;

/** The batch dimension. */
export const BATCH: Dim = { batches: 1 };

export function isFree(dim: Dim): dim is BatchMultiple {
  return typeof dim === 'object';
}

export function sameDim(a: Dim, b: Dim): boolean {
  return isFree(a) ? isFree(b) && a.batches === b.batches : a === b;
}

/** Returns a size as TensorFlow writes it: -1 is unknown. */
export function sizeOf(dim: Dim): number {
  return isFree(dim) ? -1 : dim;
}

/** Multiplies sizes; null if both depend on the batch, which no network needs. */
export function multiplyDims(a: Dim, b: Dim): Dim | null {
  if (!isFree(a)) return isFree(b) ? { batches: a * b.batches } : a * b;
  return isFree(b) ? null : { batches: a.batches * b };
}

/** Divides `a` by `b`; null if the result is not an integer or would be divided by the batch. */
export function divideDims(a: Dim, b: Dim): Dim | null {
  const [factor, divisor] = [isFree(a) ? a.batches : a, isFree(b) ? b.batches : b];
  if ((isFree(b) && !isFree(a)) || divisor === 0 || factor % divisor !== 0) return null;
  return isFree(a) && !isFree(b) ? { batches: factor / divisor } : factor / divisor;
}

/** Returns the product of sizes; null if more than one of them depends on the batch. */
export function productOf(dims: readonly Dim[]): Dim | null {
  return dims.reduce<Dim | null>((product, dim) => (product === null ? null : multiplyDims(product, dim)), 1);
}

/** Returns the broadcast shape of two shapes: axes are aligned at the last one, and a size of 1 is repeated. */
export function broadcastDims(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [x, y] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    return x === 1 ? y : x;
  });
}
