/** Returns the distance of the point (x, y) from the segment a to b, which may have length 0. */
export function distanceToSegment(x: number, y: number, ax: number, ay: number, bx: number, by: number): number {
  const dx = bx - ax;
  const dy = by - ay;
  const squared = dx * dx + dy * dy;
  const along = squared === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / squared));
  const acrossX = x - ax - along * dx;
  const acrossY = y - ay - along * dy;
  // Math.hypot takes ten times as long.
  return Math.sqrt(acrossX * acrossX + acrossY * acrossY);
}
