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
  const shared = sharedArea(ax, ay, aw, ah, bx, by, bw, bh);
  return shared === 0 ? 0 : shared / (aw * ah + bw * bh - shared);
}

/** Returns the area that two boxes share, given as x, y, width, height; 0 if they do not overlap. */
export function sharedArea(
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
  return height <= 0 ? 0 : width * height;
}
