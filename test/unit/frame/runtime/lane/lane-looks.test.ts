import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { PtsUs } from '../../../../../src/base/core/units.ts';
import { LOOK_COMMAND } from '../../../../../src/frame/decode/look-filters.ts';
import { LaneLooks } from '../../../../../src/frame/runtime/lane/lane-looks.ts';
import type { LanePictures } from '../../../../../src/frame/runtime/lane/lane-pictures.ts';

const BYTES = 12;
const header = (ptsUs: number) => ({ ptsUs: ptsUs as PtsUs, width: 2, height: 2 });

let nowMs = 0;
beforeEach(() => {
  nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs - performance.timeOrigin);
});
afterEach(() => vi.restoreAllMocks());

function rig(lookEveryMs: number | null) {
  const pictures = { lookEveryMs, lastMs: Number.NEGATIVE_INFINITY };
  const seen: [ptsUs: number, bytes: number[]][] = [];
  const looks = new LaneLooks(BYTES, pictures as LanePictures, (pixels, { ptsUs }) => seen.push([ptsUs, [...pixels]]));
  /** Seconds at which a look is asked for, while frames are left out all the time and a tick is 100 ms. */
  const asked = (seconds: number, onTick: () => void = () => undefined): number[] => {
    const times: number[] = [];
    for (let tick = 0; tick < seconds * 10; tick++, nowMs += 100) {
      looks.onPassed();
      onTick();
      if (looks.command() === LOOK_COMMAND) times.push(nowMs / 1000);
    }
    return times;
  };
  return { looks, pictures, seen, asked };
}

it('a look is asked for as often as one is wanted, and a bit earlier, since ffmpeg reads commands late', () => {
  expect(rig(1000).asked(2.8)).toEqual([0, 0.9, 1.8, 2.7]);
});

it('none is asked for while other pictures come often enough', () => {
  const { pictures, asked } = rig(1000);
  const onTick = (): void => {
    if (nowMs % 400 === 0) pictures.lastMs = nowMs;
  };
  expect(asked(10, onTick)).toEqual([]);
});

it('none is asked for while nobody wants one', () => {
  expect(rig(null).asked(10)).toEqual([]);
});

it('none is asked for while no frame is left out: the next one becomes a picture anyway', () => {
  const { looks } = rig(500);
  nowMs = 60_000;
  expect(looks.command()).toBeNull();
});

it('headers and pictures are paired in order, however the bytes are cut', () => {
  const { looks, seen } = rig(500);
  const bytes = Uint8Array.from({ length: 3 * BYTES }, (_, i) => i);
  looks.onHeader(header(1));
  looks.onBytes(bytes.subarray(0, 5));
  looks.onBytes(bytes.subarray(5, 31));
  looks.onHeader(header(2));
  looks.onHeader(header(3));
  looks.onBytes(bytes.subarray(31));
  expect(seen).toEqual([1, 2, 3].map((n, i) => [n, [...bytes.subarray(i * BYTES, (i + 1) * BYTES)]]));
});

it('what an ended ffmpeg has not completed is discarded', () => {
  const { looks, seen } = rig(500);
  looks.onHeader(header(1));
  looks.onBytes(new Uint8Array(5));
  looks.startOver();
  looks.onHeader(header(2));
  looks.onBytes(new Uint8Array(BYTES).fill(9));
  expect(seen).toEqual([[2, Array(BYTES).fill(9)]]);
});
