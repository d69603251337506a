import { type Fit, fitInto, type Placement } from './placement.ts';

/**
 * A rectangle of the picture that becomes one input of the model. Edges are ratios of the picture, 0 to 1, multiples of
 * a millionth.
 */
export interface View {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** A rectangle in pixels. */
export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The part of a stream's settings that decides which views it has. */
export interface ViewSettings {
  readonly region?: 'zones' | Rect | undefined;
  readonly tiles?: TileSettings | undefined;
  readonly zones?: readonly { readonly polygon: readonly (readonly [number, number])[] }[] | undefined;
}

interface TileSettings {
  readonly columns: number;
  readonly rows: number;
  /** Share of a tile that the next one shows as well, 0 to 0.5. */
  readonly overlap: number;
  /** The picture or region as a whole is one more view. */
  readonly whole: boolean;
}

/** Most tiles of a stream; with `whole` it has one more view. */
export const MOST_TILES = 16;
/** Smallest width and height of a region, as a ratio of the picture. */
export const SMALLEST_REGION = 0.01;
/** What `region: zones` adds on each side of the zones, as a ratio of the picture. */
const ZONE_MARGIN = 0.05;
/** The picture as a whole. */
export const PICTURE: View = { left: 0, top: 0, right: 1, bottom: 1 };

/**
 * Returns the views of a stream: its region, or the tiles of it row by row, then the region as a whole.
 *
 * @returns null if the picture as a whole is the only view.
 */
export function viewsOf({ region, tiles, zones = [] }: ViewSettings): readonly View[] | null {
  const area = region === undefined ? PICTURE : region === 'zones' ? aroundZones(zones) : viewOf(region);
  const views = tiles === undefined || tiles.columns * tiles.rows === 1 ? [area] : tilesOf(area, tiles);
  return views.length === 1 && isWhole(views[0]!) ? null : views;
}

/** Number of model inputs that one frame of a stream becomes. */
export function viewCount(settings: ViewSettings): number {
  return viewsOf(settings)?.length ?? 1;
}

/** True if a view shows the picture as a whole. */
export function isWhole({ left, top, right, bottom }: View): boolean {
  return left === 0 && top === 0 && right === 1 && bottom === 1;
}

function viewOf({ x, y, width, height }: Rect): View {
  return { left: ratio(x), top: ratio(y), right: ratio(x + width), bottom: ratio(y + height) };
}

/** Within 0 to 1, and with few enough digits that ffmpeg reads the same number. */
function ratio(value: number): number {
  return Number(Math.min(1, Math.max(0, value)).toFixed(6));
}

function aroundZones(zones: NonNullable<ViewSettings['zones']>): View {
  const corners = zones.flatMap(({ polygon }) => polygon);
  const xs = corners.map(([x]) => x);
  const ys = corners.map(([, y]) => y);
  return {
    left: ratio(Math.min(...xs) - ZONE_MARGIN),
    top: ratio(Math.min(...ys) - ZONE_MARGIN),
    right: ratio(Math.max(...xs) + ZONE_MARGIN),
    bottom: ratio(Math.max(...ys) + ZONE_MARGIN),
  };
}

function tilesOf(area: View, { columns, rows, overlap, whole }: TileSettings): View[] {
  const across = spans(area.left, area.right, columns, overlap);
  const down = spans(area.top, area.bottom, rows, overlap);
  const tiles = down.flatMap(([top, bottom]) => across.map(([left, right]) => ({ left, top, right, bottom })));
  return whole ? [...tiles, area] : tiles;
}

/** Divides a stretch into equal parts, each of which shares `overlap` of its length with the next. */
function spans(from: number, to: number, count: number, overlap: number): [from: number, to: number][] {
  const length = (to - from) / (count - (count - 1) * overlap);
  return Array.from({ length: count }, (_, i) => {
    const start = from + i * length * (1 - overlap);
    return [ratio(start), i === count - 1 ? to : ratio(start + length)];
  });
}

/** Ratios are multiples of a millionth, so an edge can miss a whole pixel by this share of it. */
const EDGE_SLACK = 1e-6;

/**
 * Returns the pixels of a view: the smallest rectangle around it that begins at even pixels, because video stores
 * colour for every second one, and ends at even pixels or at the edge of the picture. `cropFilter` gives ffmpeg the
 * same arithmetic.
 */
export function viewPixels({ left, top, right, bottom }: View, size: { width: number; height: number }): Rect {
  const [x, width] = pixelSpan(left, right, size.width);
  const [y, height] = pixelSpan(top, bottom, size.height);
  return { x, y, width, height };
}

function pixelSpan(from: number, to: number, size: number): [at: number, length: number] {
  const at = 2 * Math.floor((size * from) / 2 + EDGE_SLACK);
  const end = to === 1 ? size : Math.min(size, 2 * Math.ceil((size * to) / 2 - EDGE_SLACK));
  return [at, end - at];
}

/** Returns ffmpeg's filter that cuts a view out of a picture, whatever size the picture has. */
export function cropFilter({ left, top, right, bottom }: View): string {
  const [x, width] = cropSpan(left, right, 'iw');
  const [y, height] = cropSpan(top, bottom, 'ih');
  return `crop=w=${width}:h=${height}:x=${x}:y=${y}:exact=1`;
}

function cropSpan(from: number, to: number, size: 'iw' | 'ih'): [at: string, length: string] {
  const slack = EDGE_SLACK.toFixed(6);
  const at = `2*floor(${size}*${from.toFixed(6)}/2+${slack})`;
  const end = to === 1 ? size : `min(${size}\\,2*ceil(${size}*${to.toFixed(6)}/2-${slack}))`;
  return [at, `${end}-${at}`];
}

/** How a view lies in its model input, and which part of the picture it shows. */
export interface ViewPlacement {
  /** From source pixels to pixels of the input. */
  readonly placement: Placement;
  /** In source pixels. */
  readonly bounds: Rect;
}

/**
 * Returns how a view is fitted into a model input.
 *
 * @param stored - size of the picture as stored.
 * @param pixelAspect - width of a stored pixel divided by its height.
 * @param onStored - from source pixels to stored pixels: where pixels are not square, or the picture was scaled before.
 */
export function placeView(
  view: View,
  stored: { readonly width: number; readonly height: number },
  pixelAspect: number,
  onStored: Placement,
  input: Parameters<typeof fitInto>[1] & { readonly resize: Parameters<typeof fitInto>[2] },
): ViewPlacement & { readonly crop: Rect; readonly fit: Fit } {
  const crop = viewPixels(view, stored);
  const shown = { width: Math.round(crop.width * pixelAspect), height: crop.height };
  const fit = fitInto(shown, input, input.resize);
  const [zoomX, zoomY] = [fit.width / crop.width, fit.height / crop.height];
  const placement = {
    scaleX: onStored.scaleX * zoomX,
    scaleY: onStored.scaleY * zoomY,
    offsetX: (onStored.offsetX - crop.x) * zoomX + fit.x,
    offsetY: (onStored.offsetY - crop.y) * zoomY + fit.y,
  };
  const bounds = {
    x: (crop.x - onStored.offsetX) / onStored.scaleX,
    y: (crop.y - onStored.offsetY) / onStored.scaleY,
    width: crop.width / onStored.scaleX,
    height: crop.height / onStored.scaleY,
  };
  return { placement, bounds, crop, fit };
}
