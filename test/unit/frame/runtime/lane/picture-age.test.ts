import { describe, expect, it } from 'vitest';
import { PictureAge } from '../../../../../src/frame/runtime/lane/picture-age.ts';

/** Sends frames of 25 a second for so many seconds, each late by `delayMs` of its media time in seconds. */
function send(
  age: PictureAge,
  seconds: number,
  {
    fromS = 0,
    delayMs = () => 0,
    stampOf = (mediaMs) => mediaMs,
    cameraOf = () => null,
  }: {
    readonly fromS?: number;
    readonly delayMs?: (mediaS: number) => number;
    readonly stampOf?: (mediaMs: number) => number;
    readonly cameraOf?: (mediaMs: number) => number | null;
  } = {},
): { readonly endMs: number; readonly mostMs: number } {
  let [endMs, mostMs] = [0, 0];
  for (let mediaMs = fromS * 1000; mediaMs < (fromS + seconds) * 1000; mediaMs += 40) {
    endMs = 1e6 + mediaMs + delayMs(mediaMs / 1000);
    age.onFrame({ nowMs: endMs, mediaMs: stampOf(mediaMs), cameraMs: cameraOf(mediaMs) });
    mostMs = Math.max(mostMs, age.behindMs(endMs));
  }
  return { endMs, mostMs };
}

describe('the age of pictures', () => {
  it('is nothing for a camera that sends in time, with jitter, and whose clock runs otherwise than ours', () => {
    expect(send(new PictureAge(), 600).mostMs).toBe(0);
    expect(send(new PictureAge(), 600, { delayMs: (s) => 300 * Math.sin(s * 7) ** 2 }).mostMs).toBeLessThan(1000);
    expect(send(new PictureAge(), 3600, { delayMs: (s) => s * 0.1 }).mostMs).toBeLessThan(1000);
  });

  it('is what a server has kept back, soon after it goes on at the usual rate', () => {
    const age = new PictureAge();
    const { endMs } = send(age, 120, { delayMs: (s) => (s < 60 ? 50 : 95_050) });
    expect(age.behindMs(endMs)).toBeGreaterThan(85_000);
    expect(age.behindMs(endMs)).toBeLessThan(96_000);
    const soon = new PictureAge();
    expect(soon.behindMs(send(soon, 76, { delayMs: (s) => (s < 60 ? 50 : 95_050) }).endMs)).toBeGreaterThan(85_000);
  });

  it('stays for as long as the pictures stay late, also by a few seconds', () => {
    for (const delay of [6_000, 9_000, 95_000]) {
      const age = new PictureAge();
      const { endMs } = send(age, 1800, { delayMs: (s) => (s < 200 ? 0 : delay) });
      expect(age.lateMs(endMs)).toBeGreaterThan(0.8 * delay);
    }
  });

  it('stays what it is behind a camera whose time stamps do not fit its rate', () => {
    const age = new PictureAge();
    const { endMs } = send(age, 900, { delayMs: (s) => s * 40 + (s < 300 ? 0 : 20_000) });
    expect(age.lateMs(endMs)).toBeGreaterThan(17_000);
    expect(age.lateMs(endMs)).toBeLessThan(23_000);
  });

  it('is not known at once after this process, or the source, stood still for as long as it looks back', () => {
    const age = new PictureAge();
    send(age, 60);
    // All that was kept back comes at once, then pictures come in time.
    const kept = (s: number): number => Math.max(0, 80_000 - s * 1000);
    const { mostMs } = send(age, 60, { fromS: 60, delayMs: kept });
    expect(mostMs).toBeLessThan(5_000);
  });

  it('grows where pictures come slower than they are taken', () => {
    const age = new PictureAge();
    const { endMs } = send(age, 120, { delayMs: (s) => s * 400 });
    expect(age.behindMs(endMs)).toBeGreaterThan(10_000);
  });

  it('is gone once the source has caught up', () => {
    const age = new PictureAge();
    const { endMs } = send(age, 120, { delayMs: (s) => (s < 30 ? 0 : Math.max(0, 20_000 - (s - 30) * 900)) });
    expect(age.behindMs(endMs)).toBeLessThan(1000);
  });

  it('is none of segments that come in bursts, nor of a camera that was away with its time stamps', () => {
    expect(send(new PictureAge(), 300, { delayMs: (s) => (8 - (s % 8)) * 900 }).mostMs).toBeLessThan(2000);
    // It goes on where it is now: what was taken meanwhile is lost, not late.
    const age = new PictureAge();
    send(age, 60);
    expect(send(age, 60, { fromS: 155 }).mostMs).toBe(0);
  });

  it('is none of time stamps that fit the rate badly', () => {
    expect(send(new PictureAge(), 3600, { stampOf: (ms) => ms * 0.96 }).mostMs).toBeLessThan(2000);
    expect(send(new PictureAge(), 3600, { stampOf: (ms) => ms * 1.04 }).mostMs).toBeLessThan(2000);
  });

  it('is none of time stamps or of a clock that are set', () => {
    for (const step of [-30_000, 30_000]) {
      const set = (ms: number): number => (ms < 60_000 ? ms : ms + step);
      expect(send(new PictureAge(), 120, { stampOf: set }).mostMs).toBeLessThan(1000);
      expect(send(new PictureAge(), 120, { cameraOf: (ms) => 5e6 + set(ms) }).mostMs).toBeLessThan(1000);
    }
  });

  it('goes on over connections by the camera\u2019s clock, and begins anew without it', () => {
    for (const hasClock of [true, false]) {
      const age = new PictureAge();
      const cameraOf = (ms: number): number | null => (hasClock ? 5e6 + ms : null);
      send(age, 60, { cameraOf });
      age.onConnection();
      const { endMs } = send(age, 60, { fromS: 70, delayMs: () => 20_000, cameraOf });
      if (hasClock) expect(age.behindMs(endMs)).toBeGreaterThan(19_000);
      else expect(age.behindMs(endMs)).toBe(0);
      age.accept(endMs);
      expect(age.behindMs(endMs)).toBe(0);
      // What is accepted stays late.
      if (hasClock) expect(age.lateMs(endMs)).toBeGreaterThan(19_000);
      else expect(age.lateMs(endMs)).toBe(0);
    }
  });

  it('counts again what was accepted, caught up and lost', () => {
    const age = new PictureAge();
    const late = (s: number) => (s < 60 ? 0 : s < 120 ? 20_000 : s < 180 ? 0 : 20_000);
    age.accept(send(age, 120, { delayMs: late }).endMs);
    expect(age.behindMs(send(age, 60, { fromS: 120, delayMs: late }).endMs)).toBeLessThan(1000);
    expect(age.behindMs(send(age, 60, { fromS: 180, delayMs: late }).endMs)).toBeGreaterThan(15_000);
  });

  it('is not known before enough has come', () => {
    const age = new PictureAge();
    expect(age.lateMs(send(age, 10).endMs)).toBeNull();
    expect(age.lateMs(send(age, 10, { fromS: 10 }).endMs)).toBe(0);
  });
});
