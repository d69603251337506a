/** @import { Detection } from './lib/client/index.js' */

import { poseOf } from './lib/client/index.js';

const MASK_OPACITY = 0.35;
const POINT = '#ffffff';

/**
 * Draws what a detection has besides its box: the pixels of its mask and its key points.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Detection} detection
 * @param {number} scale CSS pixels per source pixel
 * @param {{ color: string, lineWidth: number }} style
 */
export function drawShape(context, { mask, keypoints }, scale, { color, lineWidth }) {
  context.fillStyle = color;
  context.strokeStyle = color;
  if (mask !== undefined) {
    context.globalAlpha = MASK_OPACITY;
    context.fill(pathOfMask(mask, scale));
    context.globalAlpha = 1;
  }
  if (keypoints === undefined) return;
  const { points, lines } = poseOf(keypoints);
  const limbs = new Path2D();
  for (const [[fromX, fromY], [toX, toY]] of lines) {
    limbs.moveTo(fromX * scale, fromY * scale);
    limbs.lineTo(toX * scale, toY * scale);
  }
  context.lineWidth = lineWidth;
  context.stroke(limbs);
  for (const [x, y] of points) {
    for (const [radius, fill] of /** @type {const} */ ([
      [lineWidth * 1.6, color],
      [lineWidth * 0.9, POINT],
    ])) {
      context.beginPath();
      context.arc(x * scale, y * scale, radius, 0, 2 * Math.PI);
      context.fillStyle = fill;
      context.fill();
    }
  }
}

/**
 * A rectangle for each stretch of each column.
 *
 * @param {NonNullable<Detection['mask']>} mask
 * @param {number} scale
 */
function pathOfMask({ size: [height], counts }, scale) {
  const path = new Path2D();
  let at = 0;
  for (const [i, count] of countsOf(counts).entries()) {
    const end = at + count;
    while (i % 2 === 1 && at < end) {
      const column = Math.floor(at / height);
      const next = Math.min(end, (column + 1) * height);
      path.rect(column * scale, (at - column * height) * scale, scale, (next - at) * scale);
      at = next;
    }
    at = end;
  }
  return path;
}

/**
 * Reads COCO's compressed run lengths: five bits to a character from 48 on, a sixth if more follow; from the fourth on, the difference
 * from the last but one.
 *
 * @param {string} text
 */
function countsOf(text) {
  /** @type {number[]} */
  const counts = [];
  let value = 0;
  let bits = 0;
  for (const character of text) {
    const digit = character.charCodeAt(0) - 48;
    value |= (digit & 31) << bits;
    bits += 5;
    if ((digit & 32) !== 0) continue;
    if ((digit & 16) !== 0 && bits < 32) value |= -1 << bits;
    counts.push(counts.length > 2 ? value + /** @type {number} */ (counts.at(-2)) : value);
    value = 0;
    bits = 0;
  }
  return counts;
}
