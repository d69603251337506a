import { describe, expect, it } from 'vitest';
import { predictRate, type StageCosts } from '../../../../src/lab/measure/bottlenecks.ts';

const IDLE = { servers: 1, serviceMs: 0, cpuMs: 0 };

function costs(changes: Partial<StageCosts>): StageCosts {
  return { decode: IDLE, preprocess: IDLE, infer: IDLE, main: IDLE, ...changes };
}

describe('the predicted rate', () => {
  it('is that of the slowest stage while the cores are not all busy', () => {
    // One inference thread of 40 ms: 25 a second, although four cores would allow 91.
    const stages = costs({
      infer: { servers: 1, serviceMs: 40, cpuMs: 40 },
      decode: { servers: 1, serviceMs: 4, cpuMs: 4 },
    });
    expect(predictRate(stages, 4)).toBeCloseTo(25, 9);
  });

  it('is that of all stages together on the cores that they share', () => {
    const stages = costs({
      infer: { servers: 2, serviceMs: 16, cpuMs: 16 },
      decode: { servers: 4, serviceMs: 4, cpuMs: 4 },
    });
    expect(predictRate(stages, 2)).toBeCloseTo(100, 9);
  });

  it('counts the time on a device without taking it from the cores', () => {
    const stages = costs({
      infer: { servers: 1, serviceMs: 10, cpuMs: 1 },
      decode: { servers: 4, serviceMs: 5, cpuMs: 5 },
    });
    expect(predictRate(stages, 1)).toBeCloseTo(100, 9);
  });

  it('agrees with a simulated pipeline of three stages', () => {
    // Frame by frame: a stage begins when a server of it is free and the stage before has ended. Cores are plenty.
    const servers = [1, 3, 1];
    const service = [4, 30, 7];
    const freeAt = servers.map((n) => new Array<number>(n).fill(0));
    let last = 0;
    const frames = 5_000;
    for (let frame = 0; frame < frames; frame++) {
      let ready = 0;
      for (const [stage, free] of freeAt.entries()) {
        const server = free.indexOf(Math.min(...free));
        free[server] = Math.max(free[server]!, ready) + service[stage]!;
        ready = free[server]!;
      }
      last = Math.max(last, ready);
    }
    const stages = costs({
      decode: { servers: 1, serviceMs: 4, cpuMs: 4 },
      infer: { servers: 3, serviceMs: 30, cpuMs: 30 },
      main: { servers: 1, serviceMs: 7, cpuMs: 7 },
    });
    expect(predictRate(stages, 64)).toBeCloseTo((frames * 1000) / last, 0);
  });
});
