import { describe, expect, it } from 'vitest';
import { type CameraPlanOptions, planCameras } from '../../../../src/lab/loadtest/cameras/camera-plan.ts';

const OPTIONS: CameraPlanOptions = {
  count: 16,
  mix: 'mixed',
  seed: 3,
  seconds: 120,
  fps: 20,
  size: null,
  pictures: { kind: 'test' },
};

describe('a plan of cameras', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(planCameras(OPTIONS)).toEqual(planCameras(OPTIONS));
    expect(planCameras({ ...OPTIONS, seed: 4 })).not.toEqual(planCameras(OPTIONS));
  });

  it('keeps the first cameras when more are added', () => {
    expect(planCameras({ ...OPTIONS, count: 30 }).slice(0, 16)).toEqual(planCameras(OPTIONS));
  });

  it('mixes sizes, rates, jitter, bursts, and cameras that leave or freeze', () => {
    const cameras = planCameras(OPTIONS);
    expect(new Set(cameras.map(({ width }) => width))).toEqual(new Set([640, 1280, 320]));
    expect(new Set(cameras.map(({ fps }) => fps))).toEqual(new Set([20, 10, 16]));
    expect(cameras.some(({ jitterMs }) => jitterMs > 0)).toBe(true);
    expect(cameras.filter(({ burst }) => burst !== null)).toHaveLength(2);
    const kinds = new Set(cameras.flatMap(({ events }) => events.map(({ kind }) => kind)));
    expect(kinds).toEqual(new Set(['leave', 'return', 'freeze', 'thaw']));
  });

  it('lets a camera come back within the run, in order of time', () => {
    for (const { events } of planCameras(OPTIONS)) {
      const times = events.map(({ atS }) => atS);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      expect(events.length % 2).toBe(0);
      for (const atS of times) expect(atS).toBeLessThanOrEqual(120);
    }
  });

  it('makes all cameras equal for a search for the break point', () => {
    const [first, ...others] = planCameras({ ...OPTIONS, mix: 'steady' });
    for (const camera of others) expect({ ...camera, id: '', seed: 0 }).toEqual({ ...first, id: '', seed: 0 });
    expect(first).toMatchObject({ fps: 20, jitterMs: 0, burst: null, events: [] });
  });
});
