import { describe, expect, it } from 'vitest';
import { LiveGain } from '../../../../../src/fleet/control/rollout/live-gain.ts';

function add(gain: LiveGain, costOf: 'control' | 'candidate', cpuMs: readonly number[], published = 100): void {
  for (const each of cpuMs) gain.add({ costOf, cpuMs: each, published });
}

describe('the gain on live streams', () => {
  it('is the CPU time for a frame of the control, divided by that of the candidate', () => {
    const gain = new LiveGain();
    add(gain, 'control', [1990, 2010, 2000, 1995, 2005, 2000]);
    expect(gain.gain, 'nothing is known of the candidate').toBeUndefined();
    add(gain, 'candidate', [790, 810, 800, 795, 805, 800]);
    const { ratio, low, high, controlMs, candidateMs } = gain.gain!;
    expect(controlMs).toBeCloseTo(20);
    expect(candidateMs).toBeCloseTo(8);
    expect(ratio).toBeCloseTo(2.5);
    expect(low).toBeLessThan(2.5);
    expect(high).toBeGreaterThan(2.5);
    expect(high - low, 'steady samples').toBeLessThan(0.1);
  });

  it('weighs samples by their frames, and is wide where they differ', () => {
    const gain = new LiveGain();
    add(gain, 'control', [3000], 300);
    add(gain, 'control', [500, 1500, 400, 1600], 100);
    add(gain, 'candidate', [1000, 1000, 1000, 1000, 1000]);
    const { ratio, low, high } = gain.gain!;
    expect(ratio).toBeCloseTo(1);
    expect(high / low).toBeGreaterThan(1.5);
  });

  it('is unknown while nothing is published, and goes on from its state after JSON', () => {
    const silent = new LiveGain();
    add(silent, 'control', [10, 10, 10, 10, 10], 0);
    add(silent, 'candidate', [10, 10, 10, 10, 10], 0);
    expect(silent.gain).toBeUndefined();
    const gain = new LiveGain();
    add(gain, 'control', [20, 20, 20, 20, 20]);
    add(gain, 'candidate', [10, 10, 10, 10, 10]);
    const copy = new LiveGain(JSON.parse(JSON.stringify(gain.state)));
    expect(copy.gain).toEqual(gain.gain);
    expect(copy.gain!.ratio).toBeCloseTo(2);
  });
});
