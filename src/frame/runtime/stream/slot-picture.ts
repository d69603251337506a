import type { Box } from '../../../base/core/detection.ts';
import { inputKey, type ModelSpec } from '../../../base/core/model.ts';
import { viewsFor } from '../../../base/flow/slot-ring.ts';
import type { Rect, ViewPlacement } from '../../../base/geometry/views.ts';
import type { InFlightFrame } from './in-flight-frame.ts';
import type { StreamInput } from './stream-port.ts';

/** Pixels of a slot, copied, and what they show. */
export interface SlotPicture {
  /** u8 `[height, width, 3]`, RGB. */
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** The part of these pixels that shows something. */
  readonly part: Rect;
  /** The same part in pixels of the source. */
  readonly bounds: Rect;
}

/**
 * Copies the picture of a frame from its slot: the full one if it is there, else the input of the model that shows an object, or most of the
 * scene. Costs one copy of at most some megabytes. @param around - the object. @returns null if the slot has no pixels.
 */
export function slotPicture(
  {
    ring: { slots },
    slot,
    meta,
  }: Pick<InFlightFrame, 'slot' | 'meta'> & { readonly ring: Pick<InFlightFrame['ring'], 'slots'> },
  picture: StreamInput['picture'],
  spec: Pick<ModelSpec, 'input'>,
  around?: Box,
): SlotPicture | null {
  const source = { x: 0, y: 0, width: meta.width, height: meta.height };
  if (slots.shape.pictureBytes > 0 && picture?.width === meta.width && picture.height === meta.height)
    return { pixels: slots.picture(slot).slice(), ...picture, part: source, bounds: source };
  const { width, height } = spec.input;
  if (meta.change === 'without-input' || slots.shape.inputBytes < width * height * 3) return null;
  const { from, count } = viewsFor(slots.shape, inputKey(spec));
  const whole = { placement: meta.placement, bounds: source };
  const views = Array.from({ length: count }, (_, i) => ({
    view: from + i,
    ...(slots.shape.views === undefined ? whole : slots.readView(slot, from + i)),
  }));
  const shows = ({ bounds }: ViewPlacement): boolean => around === undefined || isInside(middleOf(around), bounds);
  const areaOf = ({ bounds }: ViewPlacement): number =>
    shows({ bounds } as ViewPlacement) ? bounds.width * bounds.height : 0;
  const shown = views.reduce((best, each) => (areaOf(each) > areaOf(best) ? each : best));
  const part = partOf(shown, width, height);
  if (part.width < 1 || part.height < 1) return null;
  return {
    pixels: slots.input(slot, shown.view).slice(0, width * height * 3),
    width,
    height,
    part,
    bounds: shown.bounds,
  };
}

function middleOf([x, y, width, height]: Box): readonly [number, number] {
  return [x + width / 2, y + height / 2];
}

function isInside([x, y]: readonly [number, number], { x: left, y: top, width, height }: Rect): boolean {
  return x >= left && x <= left + width && y >= top && y <= top + height;
}

/** Where the bounds of a view lie in its input, in whole pixels. */
function partOf({ placement, bounds }: ViewPlacement, width: number, height: number): Rect {
  const { scaleX, scaleY, offsetX, offsetY } = placement;
  const within = (value: number, most: number): number => Math.min(most, Math.max(0, Math.round(value)));
  const [x, y] = [within(bounds.x * scaleX + offsetX, width), within(bounds.y * scaleY + offsetY, height)];
  const right = within((bounds.x + bounds.width) * scaleX + offsetX, width);
  const bottom = within((bounds.y + bounds.height) * scaleY + offsetY, height);
  return { x, y, width: right - x, height: bottom - y };
}
