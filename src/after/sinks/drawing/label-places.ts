import type { Rectangle } from './canvas.ts';

/**
 * Places labels inside the picture with as little overlap as possible. Place the most important label first: it gets the
 * best position.
 */
export class LabelPlaces {
  readonly #picture: { readonly width: number; readonly height: number };
  readonly #taken: Rectangle[] = [];

  constructor(picture: { readonly width: number; readonly height: number }) {
    this.#picture = picture;
  }

  /**
   * Reserves a place for a box's label: above it, inside its top, below it, or inside its bottom. Takes the first that is
   * free, else the one with the least overlap. Always inside the picture, if that is large enough.
   */
  take(box: Rectangle, width: number, height: number): Rectangle {
    const places = [box.y - height, box.y, box.y + box.height, box.y + box.height - height]
      .map((y) => this.#inPicture({ x: box.x, y, width, height }))
      .map((place) => ({ place, overlapPx: this.#overlapPx(place) }));
    const best = places.reduce((a, b) => (b.overlapPx < a.overlapPx ? b : a));
    this.#taken.push(best.place);
    return best.place;
  }

  #inPicture(place: Rectangle): Rectangle {
    const x = Math.max(0, Math.min(place.x, this.#picture.width - place.width));
    const y = Math.max(0, Math.min(place.y, this.#picture.height - place.height));
    return { ...place, x, y };
  }

  #overlapPx(place: Rectangle): number {
    let px = 0;
    for (const other of this.#taken) {
      const across = Math.min(place.x + place.width, other.x + other.width) - Math.max(place.x, other.x);
      const down = Math.min(place.y + place.height, other.y + other.height) - Math.max(place.y, other.y);
      if (across > 0 && down > 0) px += across * down;
    }
    return px;
  }
}
