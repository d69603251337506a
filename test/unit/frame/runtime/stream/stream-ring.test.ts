import { expect, it } from 'vitest';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import type { LaneClient } from '../../../../../src/frame/runtime/lane/lane-client.ts';
import { StreamRing } from '../../../../../src/frame/runtime/stream/stream-ring.ts';
import type { LaneTuning } from '../../../../../src/wire/protocol/threads.ts';

/** A ring of four slots, all handed over, whose lane waits for one. */
function fullRing(refillAt: number) {
  const told: number[] = [];
  const lane = { slotFree: (ringId: number) => void told.push(ringId) } as unknown as LaneClient;
  const ring = new StreamRing({ slots: 4, inputBytes: 12, pictureBytes: 0 }, lane, refillAt, () => undefined);
  const laneSide = SlotRing.attach(ring.handle.buffer, ring.handle.shape);
  for (let slot = laneSide.acquire(); slot !== -1; slot = laneSide.acquire()) {
    laneSide.hand(slot);
    ring.onEntered();
  }
  laneSide.setWaiting(true);
  const release = (slot: number): number => {
    ring.slots.release(slot);
    ring.onReleased();
    return told.length;
  };
  return { laneSide, release };
}

it('a waiting lane is woken once, when few enough frames are in flight', () => {
  const { release } = fullRing(2);
  expect([0, 1, 2, 3].map(release)).toEqual([0, 1, 1, 1]);
});

it('a lane that waits for any slot is woken by the first release', () => {
  const { release } = fullRing(4);
  expect([0, 1].map(release)).toEqual([1, 1]);
});

it('a lane that starts to wait with few frames in flight is woken by the next release', () => {
  const { release, laneSide } = fullRing(2);
  [0, 1].map(release);
  // The lane itself holds the other slots, which it is filling.
  laneSide.acquire();
  laneSide.acquire();
  laneSide.setWaiting(true);
  expect(release(2)).toBe(2);
});

it('shows no preview that a lane took before it had the masks of now', () => {
  const tuned: number[] = [];
  const lane = { tune: (ringId: number) => void tuned.push(ringId) } as unknown as LaneClient;
  const ring = new StreamRing({ slots: 1, inputBytes: 12, pictureBytes: 0 }, lane, 1, () => undefined);
  const tuning = { every: 1, masks: [] } as unknown as LaneTuning;
  const masked = { ...tuning, masks: [{ id: 'm' }] } as unknown as LaneTuning;
  const shown = (): boolean[] => [0, 1, 2, 3].map((tunings) => ring.mayShow({ tunings }));
  ring.tune(tuning, { ...tuning, every: 2 });
  expect(shown()).toEqual([true, true, true, true]);
  ring.tune(tuning, masked);
  expect(shown()).toEqual([false, false, true, true]);
  ring.tune(masked, { ...masked });
  ring.tune(masked, { ...masked, every: 3 });
  expect([shown(), tuned.length]).toEqual([[false, false, true, true], 3]);
});
