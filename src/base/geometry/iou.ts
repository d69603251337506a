/** Returns the intersection over union of two boxes given as x, y, width, height; 0 if they do not overlap. */
export function iouXywh(
  ax: number,
  ay: number,
  aw: number,
  ah: number,
  bx: number,
  by: number,
  bw: number,
  bh: number,
): number {
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  if (width <= 0) return 0;
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  if (height <= 0) return 0;
  const intersection = width * height;
  return intersection / (aw * ah + bw * bh - intersection);
}
