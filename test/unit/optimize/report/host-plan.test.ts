import { describe, expect, it } from 'vitest';
import { hostLoad, hostsFor, pricePerCamera } from '../../../../src/optimize/report/host-plan.ts';

const CAPACITY = { cameras: 9, cameraFps: 30, p99Ms: 46, target: 'p99<=50ms', measurements: [] };

describe('the plan of hosts', () => {
  it('takes the measured number of cameras and keeps the headroom free', () => {
    expect(hostLoad(CAPACITY, 243, 30, 0.2)).toEqual({ cameras: 9, planned: 7, isMeasured: true });
  });

  it('converts cameras that were measured at another rate by frames per second', () => {
    // 9 cameras of 30 are 270 frames/s, which is 18 cameras of 15.
    expect(hostLoad(CAPACITY, 243, 15, 0)).toEqual({ cameras: 18, planned: 18, isMeasured: true });
  });

  it('predicts from the rate where no number of cameras was measured, and says so', () => {
    expect(hostLoad(null, 243, 30, 0.25)).toEqual({ cameras: 8, planned: 6, isMeasured: false });
  });

  it('rounds hosts up', () => {
    const load = hostLoad(CAPACITY, 243, 30, 0.2);
    expect([7, 8, 10, 100, 1000].map((cameras) => hostsFor(cameras, load))).toEqual([1, 2, 2, 15, 143]);
  });

  it('has no plan where a host takes no camera', () => {
    const load = hostLoad({ ...CAPACITY, cameras: 0 }, 19, 30, 0.2);
    expect(hostsFor(10, load)).toBeNull();
    expect(pricePerCamera(10, load, { amount: 48, currency: 'EUR' }, true)).toBeNull();
  });

  it('shares the price of all hosts and the spare one among the cameras', () => {
    const load = hostLoad(CAPACITY, 243, 30, 0.2);
    expect(pricePerCamera(100, load, { amount: 50, currency: 'EUR' }, true)).toBe((16 * 50) / 100);
    expect(pricePerCamera(100, load, { amount: 50, currency: 'EUR' }, false)).toBe((15 * 50) / 100);
  });
});
