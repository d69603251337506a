import { describe, expect, it } from 'vitest';
import { OthersCpu } from '../../../../src/serve/host/others-cpu.ts';

describe('what others take of the CPU', () => {
  /** A second of two cores: ticks of 10 ms that were busy and stolen, and CPU time of the host. */
  const seconds = (...each: { busy: number; stolen?: number; ownMs: number | null }[]): (number | undefined)[] => {
    let [busy, idle, stolen, ownMs]: [number, number, number, number | null] = [0, 0, 0, 0];
    const others = new OthersCpu(
      () => ownMs,
      (path) => (path === '/proc/stat' ? `cpu  ${busy} 0 0 ${idle} 0 0 0 ${stolen} 0 0\n` : null),
    );
    others.take();
    return each.map((second) => {
      busy += second.busy;
      stolen += second.stolen ?? 0;
      idle += 200 - second.busy - (second.stolen ?? 0);
      ownMs = second.ownMs === null ? null : (ownMs ?? 0) + second.ownMs;
      return others.take();
    });
  };

  it('is what neither the host and its children use nor is idle, and what the hypervisor takes', () => {
    expect(seconds({ busy: 150, stolen: 10, ownMs: 500 })).toEqual([expect.closeTo(0.55, 9)]);
  });

  it('is nothing if a version of the host burns the CPU itself', () => {
    expect(seconds({ busy: 200, ownMs: 2000 })).toEqual([0]);
  });

  it('counts for the second that follows as well: frames have piled up', () => {
    const calm = { busy: 50, ownMs: 500 };
    expect(seconds(calm, { busy: 150, ownMs: 500 }, calm, calm)).toEqual([0, 0.5, 0.5, 0]);
  });

  it('is unknown without the CPU time of the host', () => {
    expect(seconds({ busy: 150, ownMs: null })).toEqual([undefined]);
  });
});
