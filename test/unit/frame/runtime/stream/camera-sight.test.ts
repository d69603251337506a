import { describe, expect, it } from 'vitest';
import type { StreamSign } from '../../../../../src/base/core/blind-sign.ts';
import type { PtsUs } from '../../../../../src/base/core/units.ts';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { CameraSight } from '../../../../../src/frame/runtime/stream/camera-sight.ts';

const SHAPE = { slots: 1, inputBytes: 4, pictureBytes: 0 };
const at = (sinceMs: number, isDark = false) => ({ isDark, sinceMs, ptsUs: (sinceMs * 10) as PtsUs });

function rig() {
  const signs: StreamSign[] = [];
  const events: (readonly [kind: string, message: string])[] = [];
  const sight = new CameraSight('gate', {
    onSign: (sign) => void signs.push(sign),
    event: (kind, _, message) => void events.push([kind, message]),
  });
  return { sight, signs, events };
}

describe('CameraSight', () => {
  it('reports a sign, its change and its end: to listeners, in the report, as events', () => {
    const { sight, signs, events } = rig();
    sight.onSign({ canTellFrozen: null, sign: 'black', ...at(1000) });
    expect(sight.report(null, 0).sign).toEqual({ name: 'black', sinceMs: 1000 });
    sight.onSign({ canTellFrozen: null, sign: 'frozen', ...at(2000) });
    sight.onSign({ canTellFrozen: null, sign: null, ...at(3000) });
    expect(sight.report(null, 0).sign).toBeNull();
    expect(signs).toEqual([
      { stream: 'gate', sign: 'black', ...at(1000) },
      { stream: 'gate', sign: 'frozen', ...at(2000) },
      { stream: 'gate', sign: null, ...at(3000) },
    ]);
    expect(events).toEqual([
      ['stream-blind', expect.stringMatching(/^gate is blind: its picture is black/)],
      ['stream-blind', expect.stringMatching(/^gate is blind: its picture is frozen/)],
      ['stream-seeing', 'gate sees again: it was frozen'],
    ]);
  });

  it('takes the sign back without an event when the stream is not read any more, once', () => {
    const { sight, signs, events } = rig();
    const ring = SlotRing.create(SHAPE);
    sight.onSign({ canTellFrozen: null, sign: 'moved', ...at(1000) });
    sight.end(ring, 0);
    sight.end(ring, 0);
    expect(sight.report(null, 0).sign).toBeNull();
    expect(signs.map(({ sign }) => sign)).toEqual(['moved', null]);
    expect(events).toHaveLength(1);
  });

  it('tells listeners alone that it is dark: nothing is wrong then', () => {
    const { sight, signs, events } = rig();
    sight.onSign({ canTellFrozen: null, sign: null, ...at(1000, true) });
    sight.onSign({ canTellFrozen: null, sign: null, ...at(2000, true) });
    expect(sight.report(null, 0).sign).toBeNull();
    // A detector for the dark may open the source again, whose lane does not know yet.
    sight.end(SlotRing.create(SHAPE), 0);
    sight.begin(5000);
    sight.onSign({ ...at(3000), sign: null, isDark: null, canTellFrozen: null });
    expect(signs.map(({ isDark }) => isDark)).toEqual([true]);
    sight.end(SlotRing.create(SHAPE), 10_000);
    sight.begin(80_000);
    expect(signs.map(({ isDark }) => isDark)).toEqual([true, false]);
    expect(events).toEqual([]);
  });

  it('knows the age of the last frame, also of a ring that is gone', () => {
    const { sight } = rig();
    const ring = SlotRing.create(SHAPE);
    expect(sight.report(ring, 5000).lastFrameAgeMs).toBeNull();
    ring.noteDecoded(5000);
    expect(sight.report(ring, 6000).lastFrameAgeMs).toBe(1000);
    sight.end(ring, 7000);
    const next = SlotRing.create(SHAPE);
    expect([sight.report(null, 8000).lastFrameAgeMs, sight.report(next, 9000).lastFrameAgeMs]).toEqual([3000, 4000]);
    next.noteDecoded(9500);
    expect(sight.report(next, 9600).lastFrameAgeMs).toBe(100);
  });

  it('says once that pictures come late, how late they are meanwhile, and that they are in time again', () => {
    const { sight, events } = rig();
    sight.onLate(6000);
    sight.onLate(95_000);
    expect(sight.report(null, 0).lateMs).toBe(95_000);
    sight.onLate(null);
    expect(sight.report(null, 0).lateMs).toBeNull();
    expect(events).toEqual([
      ['stream-late', 'the pictures of gate are 6 s late: a server or the network keeps them back'],
      ['stream-in-time', 'the pictures of gate are not late any more'],
    ]);
  });

  it('says whether frozen pictures can be told, without an event, until the stream ends', () => {
    const { sight, signs, events } = rig();
    expect(sight.report(null, 0).canTellFrozen).toBeNull();
    sight.onSign({ sign: null, ...at(1000), canTellFrozen: false });
    expect(sight.report(null, 0).canTellFrozen).toBe(false);
    sight.end(SlotRing.create(SHAPE), 0);
    expect(sight.report(null, 0).canTellFrozen).toBeNull();
    expect({ signs, events }).toEqual({ signs: [], events: [] });
  });
});
