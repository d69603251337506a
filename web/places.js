/**
 * Zones and lines on the picture.
 *
 * @typedef {readonly [number, number]} Point - 0 to 1 of the picture.
 * @typedef {{id: string, inside: number, polygon?: readonly Point[]}} Zone
 * @typedef {{id: string, leftToRight: number, rightToLeft: number, from?: Point, to?: Point}} Line
 * @typedef {{zones: readonly Zone[], lines: readonly Line[]}} Places
 */
const ZONE = 'rgb(255 213 79)';
const ZONE_FILL = 'rgb(255 213 79 / 12%)';
const LINE = 'rgb(255 255 255)';
/** Under every stroke, so that it shows on bright pictures too. */
const CASING = 'rgb(7 9 12 / 60%)';
const LABEL_TEXT = '#0b0f14';
const ARROW_PX = 9;

/**
 * Draws the shapes, and then their names and counts.
 *
 * @param {CanvasRenderingContext2D} context - one unit is one CSS pixel of the picture.
 * @param {Places} places
 * @param {{width: number, height: number}} size - of the picture, in CSS pixels.
 * @param {import('./labels.js').Labels | null} labels null: shapes only
 * @param {boolean} isSmall - draws thinner, with shorter counts.
 */
export function drawPlaces(context, { zones, lines }, { width, height }, labels, isSmall) {
  const widthPx = isSmall ? 1.5 : 2;
  /** @param {Point} point */
  const onPicture = ([x, y]) => ({ x: x * width, y: y * height });
  const areas = zones.flatMap(({ polygon, ...zone }) =>
    polygon === undefined ? [] : [{ ...zone, corners: polygon.map(onPicture) }],
  );
  const edges = lines.flatMap(({ from, to, ...line }) =>
    from === undefined || to === undefined ? [] : [{ ...line, ends: [onPicture(from), onPicture(to)] }],
  );
  for (const { corners } of areas) {
    const path = pathOf(corners);
    path.closePath();
    context.fillStyle = ZONE_FILL;
    context.fill(path);
    strokeCased(context, path, ZONE, widthPx);
  }
  for (const { ends } of edges) {
    strokeCased(context, pathOf(ends), LINE, 1.5 * widthPx);
    strokeCased(context, arrowOf(ends[0], ends[1]), LINE, widthPx);
  }
  if (labels === null) return;
  for (const { id, inside, corners } of areas) {
    const byTop = corners.toSorted((a, b) => a.y - b.y || a.x - b.x);
    const spots = byTop.flatMap(({ x, y }) => [
      { x, y },
      { x, y: y - labels.height },
    ]);
    labels.draw(`${id}: ${inside}`, spots, { fill: ZONE, text: LABEL_TEXT });
  }
  for (const { id, leftToRight, rightToLeft, ends } of edges) {
    const [from, to] = ends;
    const at = [0.5, 0.25, 0.75, 0, 1].map((part) => ({
      x: from.x + (to.x - from.x) * part + ARROW_PX,
      y: from.y + (to.y - from.y) * part + ARROW_PX,
    }));
    const text = isSmall ? `${id}: ${leftToRight}/${rightToLeft}` : `${id}: ${leftToRight} right, ${rightToLeft} left`;
    labels.draw(text, at, { fill: LINE, text: LABEL_TEXT });
  }
}

/** @param {readonly import('./labels.js').Spot[]} points */
function pathOf(points) {
  const path = new Path2D();
  for (const { x, y } of points) path.lineTo(x, y);
  return path;
}

/**
 * The arrow that points to the right of a line, looking along it from its first end to its second one.
 *
 * @param {import('./labels.js').Spot} from @param {import('./labels.js').Spot} to
 */
function arrowOf(from, to) {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const [along, across] = [
    { x: (to.x - from.x) / length, y: (to.y - from.y) / length },
    { x: -(to.y - from.y) / length, y: (to.x - from.x) / length },
  ];
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  /** @param {number} forward @param {number} sideways */
  const point = (forward, sideways) => ({
    x: middle.x + across.x * forward + along.x * sideways,
    y: middle.y + across.y * forward + along.y * sideways,
  });
  const path = pathOf([middle, point(ARROW_PX, 0)]);
  path.addPath(pathOf([point(ARROW_PX / 2, -ARROW_PX / 2), point(ARROW_PX, 0), point(ARROW_PX / 2, ARROW_PX / 2)]));
  return path;
}

/** @param {CanvasRenderingContext2D} context @param {Path2D} path @param {string} color @param {number} widthPx */
export function strokeCased(context, path, color, widthPx) {
  context.lineJoin = 'round';
  context.lineCap = 'round';
  context.strokeStyle = CASING;
  context.lineWidth = widthPx + 2;
  context.stroke(path);
  context.strokeStyle = color;
  context.lineWidth = widthPx;
  context.stroke(path);
}
