import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../../src/base/core/seeded-random.ts';
import { type CameraSettings, SheddingSimulation, type Span } from '../../../../support/shedding-simulation.ts';

/** The controller may take this long to find the rates. */
const SETTLE_S = 5;

/** A detector that infers this many frames a second. */
function engine(fps: number, threads = 1): ConstructorParameters<typeof SheddingSimulation>[0] {
  return { threads, callMs: (inputs) => (inputs * 1000 * threads) / fps };
}

function simulate(fps: number, cameras: readonly CameraSettings[], seed = 1): SheddingSimulation {
  const simulation = new SheddingSimulation(engine(fps), seed);
  for (const [i, camera] of cameras.entries()) simulation.add(`c${i}`, camera);
  return simulation;
}

/** Shares of a rate of which nobody gets more than it offers, and those who could take more get the same. */
function fairShares(offered: readonly number[], rate: number): number[] {
  let [left, open] = [rate, offered.map((_, i) => i)];
  const shares = [...offered];
  for (;;) {
    const level = left / open.length;
    const content = open.filter((i) => offered[i]! <= level);
    if (content.length === 0 || open.length === 0) {
      for (const i of open) shares[i] = level;
      return shares;
    }
    left -= content.reduce((sum, i) => sum + offered[i]!, 0);
    open = open.filter((i) => !content.includes(i));
  }
}

const equal = (count: number, fps: number, more: Partial<CameraSettings> = {}): CameraSettings[] =>
  Array.from({ length: count }, () => ({ fps, ...more }));

describe('LoadShedder, with simulated cameras and a simulated detector', () => {
  it.each(Array.from({ length: 40 }, (_, i) => i + 1))(
    'random cameras and loads: the detector is used, the shares are fair, little is wasted (seed %i)',
    (seed) => {
      const random = seededRandom(seed);
      const offered = Array.from({ length: 1 + Math.floor(random() * 14) }, () => 5 + random() * 45);
      const load = 1.5 + random() * 4;
      const rate = offered.reduce((sum, fps) => sum + fps) / load;
      const threads = 1 + Math.floor(random() * 2);
      const jitter = random() < 0.5 ? 0 : random() / 2;
      const simulation = new SheddingSimulation(engine(rate, threads), seed);
      for (const [i, fps] of offered.entries()) simulation.add(`c${i}`, { fps, jitter });
      simulation.run(SETTLE_S);
      const span = simulation.run(20);
      expect(span.total / rate).toBeGreaterThan(0.97);
      expect(span.starved).toBeLessThan(0.05);
      if (offered.reduce((sum, fps) => sum + fps) - rate < 10) return;
      expect(span.wastedRatio).toBeLessThan(0.2);
      for (const [i, fair] of fairShares(offered, rate).entries())
        expect(Math.abs(span.inferred[`c${i}`]! / fair - 1), `share of c${i}, ${fair}/s`).toBeLessThan(0.12);
    },
  );

  it.each([
    [2, 9, 26.6, 120],
    [4, 18, 26.6, 120],
    [2, 4, 20, 40],
    [4, 1, 25, 6.25],
    [10, 64, 30, 192],
  ])('%i times the load of %i equal cameras: equal shares of all that can be inferred', (load, count, fps, rate) => {
    const simulation = simulate(rate, equal(count, fps, { jitter: 0.1 }));
    simulation.run(SETTLE_S);
    const span = simulation.run(20);
    expect(span.total / rate).toBeGreaterThan(0.97);
    expect(span.shedRatio).toBeGreaterThan(0.7 * (1 - 1 / load));
    for (const share of Object.values(span.inferred)) expect(share / (rate / count)).toBeGreaterThan(0.9);
  });

  it('no frame waits longer than without shedding', () => {
    for (const load of [1.5, 2, 4]) {
      const waits = [false, true].map((hasShedder) => {
        const simulation = new SheddingSimulation(engine((9 * 27) / load), 3, hasShedder);
        for (let i = 0; i < 9; i++) simulation.add(`c${i}`, { fps: 27, jitter: 0.1 });
        simulation.run(SETTLE_S);
        return simulation.run(20).waitMs;
      });
      expect(waits[1]! / waits[0]!, `at ${load} times the load`).toBeLessThan(1.1);
    }
  });

  it.each([
    ['all that comes can be inferred', 100, equal(4, 20)],
    ['it is idle', 100, equal(1, 0.1)],
    ['only files are read', 20, equal(3, 20, { isFile: true })],
    ['so few frames are dropped that it costs nothing', 2, equal(1, 8)],
    ['frames come in bursts and the detector has time', 60, equal(3, 15, { jitter: 0.9 })],
  ])('nothing is shed while %s', (_, rate, cameras) => {
    const span = simulate(rate, cameras).run(20);
    expect([span.shedRatio, span.changes]).toEqual([0, 0]);
  });

  it('a short pause of the detector sheds nothing', () => {
    const simulation = simulate(100, equal(4, 20));
    simulation.run(3);
    simulation.engine = { callMs: () => 400 };
    simulation.run(0.4);
    simulation.engine = engine(100);
    expect(simulation.run(10).changes).toBe(0);
  });

  describe('two seconds after the load has fallen', () => {
    /** Runs an overload, changes something, waits two seconds. @returns one more second. */
    function secondAfter(change: (simulation: SheddingSimulation) => void, seed: number, count = 12): Span {
      const simulation = simulate(90, equal(count, 30), seed);
      simulation.run(8);
      change(simulation);
      simulation.run(2);
      return simulation.run(1);
    }
    const seeds = [1, 2, 3, 4, 5, 6, 7, 8];

    it.each(seeds)('the cameras that are left are inferred whole (seed %i)', (seed) => {
      const span = secondAfter((simulation) => {
        for (let i = 2; i < 12; i++) simulation.remove(`c${i}`);
      }, seed);
      expect(span.total).toBeGreaterThan(0.93 * 60);
      expect(span.shedRatio).toBeLessThan(0.05);
    });

    it.each(seeds)('half of the cameras share the whole detector (seed %i)', (seed) => {
      const span = secondAfter((simulation) => {
        for (let i = 6; i < 12; i++) simulation.remove(`c${i}`);
      }, seed);
      expect(span.total).toBeGreaterThan(0.93 * 90);
    });

    it.each(seeds)('a detector that has become four times as fast infers all (seed %i)', (seed) => {
      const span = secondAfter((simulation) => {
        simulation.engine = engine(400);
      }, seed);
      expect(span.total).toBeGreaterThan(0.93 * 360);
    });
  });

  it('follows a detector that slows down suddenly, and recovers with it', () => {
    const simulation = simulate(120, equal(9, 26));
    simulation.run(8);
    simulation.engine = engine(40);
    simulation.run(SETTLE_S);
    const slow = simulation.run(10);
    expect(slow.total / 40).toBeGreaterThan(0.97);
    expect(slow.wastedRatio).toBeLessThan(0.2);
    simulation.engine = engine(120);
    simulation.run(3);
    expect(simulation.run(10).total / 120).toBeGreaterThan(0.97);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'loses little to a detector whose speed changes all the time, because others use the processor (seed %i)',
    (seed) => {
      const totals = [false, true].map((hasShedder) => {
        const random = seededRandom(seed);
        const simulation = new SheddingSimulation(engine(60), seed, hasShedder);
        for (let i = 0; i < 6; i++) simulation.add(`c${i}`, { fps: 20, jitter: 0.3 });
        let total = 0;
        for (let i = 0; i < 80; i++) {
          simulation.engine = engine(20 + random() * 80);
          total += simulation.run(0.4).total;
        }
        return total;
      });
      expect(totals[1]! / totals[0]!).toBeGreaterThan(0.93);
    },
  );

  it('follows one camera of many that changes its rate, in both directions', () => {
    const simulation = simulate(60, equal(6, 20));
    simulation.run(8);
    const changed = simulation.cameras.get('c0')!;
    for (const [fps, share] of [
      [5, 5],
      [60, 10],
    ] as const) {
      changed.fps = fps;
      simulation.run(SETTLE_S);
      const span = simulation.run(15);
      expect(span.total / 60).toBeGreaterThan(0.97);
      expect(span.inferred.c0! / share, `share at ${fps}/s`).toBeGreaterThan(0.88);
      expect(span.inferred.c0! / share, `share at ${fps}/s`).toBeLessThan(1.12);
    }
  });

  it('gives a camera that is added its share', () => {
    const simulation = simulate(50, equal(4, 25));
    simulation.run(8);
    simulation.add('new', { fps: 25 });
    simulation.run(SETTLE_S);
    const span = simulation.run(15);
    for (const share of Object.values(span.inferred)) expect(Math.abs(share / 10 - 1)).toBeLessThan(0.12);
  });

  it('weights divide what is inferred', () => {
    const simulation = simulate(40, [{ fps: 60, weight: 3 }, { fps: 60 }]);
    simulation.run(SETTLE_S);
    const { inferred } = simulation.run(15);
    expect(Math.abs(inferred.c0! / 30 - 1)).toBeLessThan(0.1);
    expect(Math.abs(inferred.c1! / 10 - 1)).toBeLessThan(0.1);
  });

  it('a stream whose frames have four inputs gets as many inputs as one with single ones', () => {
    const simulation = simulate(40, [{ fps: 20, views: 4 }, { fps: 40 }]);
    simulation.run(SETTLE_S);
    const { inferred } = simulation.run(15);
    expect(Math.abs(inferred.c0! / 5 - 1)).toBeLessThan(0.15);
    expect(Math.abs(inferred.c1! / 20 - 1)).toBeLessThan(0.15);
  });

  it('a higher priority gets all that it needs, the others share the rest equally', () => {
    const simulation = simulate(50, [{ fps: 20, priority: 1 }, ...equal(3, 30)]);
    simulation.run(SETTLE_S);
    const span = simulation.run(15);
    expect(span.inferred.c0).toBeGreaterThan(19);
    expect(span.total / 50).toBeGreaterThan(0.97);
    for (const id of ['c1', 'c2', 'c3']) expect(Math.abs(span.inferred[id]! / 10 - 1)).toBeLessThan(0.15);
  });

  it('a stream whose priority becomes the highest has all that it needs two seconds later, although the detector never waits', () => {
    const simulation = simulate(25, [{ fps: 25 }, { fps: 25, priority: 5 }]);
    simulation.run(SETTLE_S);
    expect(simulation.run(5).inferred.c0).toBeLessThan(5);
    simulation.setPriority('c1', -5);
    simulation.run(2.5);
    expect(simulation.run(5).inferred.c0).toBeGreaterThan(22);
  });

  it('a lower priority that got nothing is back two seconds after the others are gone', () => {
    const simulation = simulate(20, [{ fps: 30, priority: 1 }, { fps: 25 }]);
    simulation.run(10);
    simulation.remove('c0');
    simulation.run(2);
    expect(simulation.run(2).total / 20).toBeGreaterThan(0.9);
  });

  it.each([
    [1, 500, 1],
    [1, 1000, 1],
    [1, 1000, 2],
    [2, 500, 1],
    [3, 700, 1],
  ])(
    'of six equal cameras of %s frames/s at %s ms a call, %s at once, none gets less than half of their mean',
    (fps, callMs, threads) => {
      for (const seed of [1, 2, 3, 4]) {
        const simulation = new SheddingSimulation({ threads, callMs: (inputs) => inputs * callMs }, seed);
        for (let i = 0; i < 6; i++) simulation.add(`c${i}`, { fps });
        simulation.run(SETTLE_S);
        const { inferred, total } = simulation.run(60);
        expect(Math.min(...Object.values(inferred)) / (total / 6), `seed ${seed}`).toBeGreaterThan(0.5);
      }
    },
  );

  it('a file on the same detector keeps its share, and the cameras theirs', () => {
    const simulation = simulate(40, [{ fps: 1, isFile: true }, ...equal(3, 25)]);
    simulation.run(SETTLE_S);
    const span = simulation.run(15);
    for (const share of Object.values(span.inferred)) expect(Math.abs(share / 10 - 1)).toBeLessThan(0.15);
  });

  it('a detector that takes batches gets whole ones', () => {
    const simulation = new SheddingSimulation({ batchSize: 8, callMs: (inputs) => 40 + inputs }, 1);
    for (let i = 0; i < 4; i++) simulation.add(`c${i}`, { fps: 100, queueSize: 4 });
    simulation.run(SETTLE_S);
    // 8 frames in 48 ms.
    expect(simulation.run(15).total / 166.7).toBeGreaterThan(0.95);
  });

  it('does not oscillate: the level of steady cameras stays', () => {
    const simulation = simulate(120, equal(9, 26.6, { jitter: 0.1 }));
    simulation.run(SETTLE_S);
    const ratios: number[] = [];
    for (let i = 0; i < 60; i++) {
      simulation.run(0.5);
      ratios.push(simulation.cameras.get('c4')!.keepRatio);
    }
    expect(Math.max(...ratios) / Math.min(...ratios)).toBeLessThan(1.35);
  });
});
