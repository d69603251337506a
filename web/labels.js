/**
 * @typedef {{x: number, y: number}} Spot - top left corner of a label, in CSS pixels of the picture.
 * @typedef {{x: number, y: number, width: number, height: number}} Rectangle
 */

/** Draws labels on one picture. Labels never overlap: what was drawn first keeps its place. */
export class Labels {
  #context;
  #bounds;
  #padPx;
  /** @type {Rectangle[]} */
  #taken = [];
  height;

  /**
   * @param {CanvasRenderingContext2D} context - one unit is one CSS pixel of the picture.
   * @param {Rectangle} bounds - where labels may be.
   * @param {boolean} isSmall
   */
  constructor(context, bounds, isSmall) {
    const [fontPx, padPx] = isSmall ? [9, 3] : [12, 5];
    this.#context = context;
    this.#bounds = bounds;
    this.#padPx = padPx;
    this.height = fontPx + padPx + 1;
    context.font = `600 ${fontPx}px system-ui, sans-serif`;
    context.textBaseline = 'middle';
  }

  /**
   * Draws a label at the first of these spots where it overlaps no other one, moved into the bounds; leaves it out if there is none.
   *
   * @param {string} text
   * @param {readonly Spot[]} spots
   * @param {{fill: string, text: string}} colors
   */
  draw(text, spots, colors) {
    const width = this.#context.measureText(text).width + 2 * this.#padPx;
    const place = spots.map((spot) => this.#inside(spot, width)).find((each) => this.#isFree(each));
    if (place === undefined) return;
    this.#taken.push(place);
    const context = this.#context;
    context.fillStyle = colors.fill;
    context.beginPath();
    context.roundRect(place.x, place.y, width, this.height, 2);
    context.fill();
    context.fillStyle = colors.text;
    context.fillText(text, place.x + this.#padPx, place.y + this.height / 2 + 0.5);
  }

  /** @param {Spot} spot @param {number} width @returns {Rectangle} */
  #inside({ x, y }, width) {
    const { x: left, y: top, width: room, height } = this.#bounds;
    return {
      x: Math.max(left, Math.min(x, left + room - width)),
      y: Math.max(top, Math.min(y, top + height - this.height)),
      width,
      height: this.height,
    };
  }

  /** @param {Rectangle} place */
  #isFree(place) {
    return !this.#taken.some((other) => overlaps(place, other));
  }
}

/** @param {Rectangle} a @param {Rectangle} b */
function overlaps(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
