import { expect, it } from 'vitest';
import type { SlotMeta } from '../../../../src/base/flow/slot-ring.ts';
import { SlotRing } from '../../../../src/base/flow/slot-ring.ts';
import { slotPicture } from '../../../../src/frame/runtime/stream/slot-picture.ts';
import { slotMeta } from '../../../support/slot-meta.ts';

const SPEC = { input: { width: 8, height: 8 } } as never;
const META: SlotMeta = {
  ...slotMeta({ frame: 0, width: 16, height: 8 }),
  placement: { scaleX: 0.5, scaleY: 0.5, offsetX: 0, offsetY: 2 },
};

function frameOf(slots: SlotRing, meta = META) {
  return { ring: { slots }, slot: slots.acquire(), meta };
}

it('shows the part of a letterboxed input that the picture fills', () => {
  const slots = SlotRing.create({ slots: 1, inputBytes: 8 * 8 * 3, pictureBytes: 0 });
  slots.input(0).fill(7);
  const found = slotPicture(frameOf(slots), null, SPEC)!;
  expect(found.part).toEqual({ x: 0, y: 2, width: 8, height: 4 });
  expect(found.bounds).toEqual({ x: 0, y: 0, width: 16, height: 8 });
  slots.input(0).fill(9);
  expect(found.pixels[0], 'a copy').toBe(7);
});

it('takes the full picture where a slot has one', () => {
  const slots = SlotRing.create({ slots: 1, inputBytes: 8 * 8 * 3, pictureBytes: 16 * 8 * 3 });
  const found = slotPicture(frameOf(slots), { width: 16, height: 8 }, SPEC)!;
  expect([found.width, found.height]).toEqual([16, 8]);
});

it('shows the tile in which the object is', () => {
  const slots = SlotRing.create({ slots: 1, inputBytes: 8 * 8 * 3, views: 2, pictureBytes: 0 });
  const placement = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };
  slots.writeView(0, 0, { placement, bounds: { x: 0, y: 0, width: 8, height: 8 } });
  slots.writeView(0, 1, { placement: { ...placement, offsetX: -8 }, bounds: { x: 8, y: 0, width: 8, height: 8 } });
  slots.input(0, 1).fill(5);
  const found = slotPicture(frameOf(slots), null, SPEC, [11, 2, 2, 2])!;
  expect([found.bounds.x, found.pixels[0]]).toEqual([8, 5]);
  expect(found.part).toEqual({ x: 0, y: 0, width: 8, height: 8 });
});

it('is none for a frame without an input', () => {
  const slots = SlotRing.create({ slots: 1, inputBytes: 8 * 8 * 3, pictureBytes: 0 });
  expect(slotPicture(frameOf(slots, { ...META, change: 'without-input' }), null, SPEC)).toBeNull();
});
