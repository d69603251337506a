import { describe, expect, it } from 'vitest';
import { chooseFinalists, chooseRungs, type Finalist } from '../../../../../src/lab/optimize/search/finals.ts';

const BASE = { fps: 100, meetsTargets: true };

/** Each of another network, unless it is named. */
function finalist(fps: number, chance: number, meetsTargets = true, model = `of ${fps}`): Finalist {
  const configuration = { model, inputSize: '416x416' };
  return { measured: { fps, meetsTargets, configuration } as Finalist['measured'], chance };
}

function rates(finalists: readonly Finalist[]): number[] {
  return finalists.map(({ measured }) => measured.fps);
}

describe('the finalists', () => {
  it('are one that is surely better, alone: each further one makes the verdict stricter', () => {
    expect(rates(chooseFinalists([finalist(200, 1), finalist(150, 1)], BASE, 3))).toEqual([200]);
  });

  it('are a fast and unsure one with a slower and surer one behind it', () => {
    const found = chooseFinalists([finalist(150, 0.9), finalist(300, 0.3), finalist(120, 0.95)], BASE, 3);
    expect(rates(found).slice(0, 2)).toEqual([300, 150]);
  });

  it('are none if nothing is expected to beat what needs no verdict', () => {
    expect(chooseFinalists([], BASE, 3)).toEqual([]);
    expect(chooseFinalists([finalist(100.5, 0.5)], BASE, 3)).toEqual([]);
  });

  it('are of different networks: in another format one passes or fails for the same reason', () => {
    const same = [finalist(300, 0.3, true, 'nano'), finalist(295, 0.3, true, 'nano'), finalist(150, 0.9)];
    expect(rates(chooseFinalists(same, BASE, 3))).toEqual([300, 150]);
  });

  it('have one that skips less behind one that skips more: it can pass where that fails', () => {
    const nano = (fps: number, chance: number, trackBetween: number): Finalist => {
      const { measured } = finalist(fps, chance, true, 'nano');
      return { measured: { ...measured, configuration: { ...measured.configuration, trackBetween } }, chance };
    };
    const found = chooseFinalists(
      [nano(400, 0.7, 5), nano(390, 0.7, 5), nano(300, 0.9, 2), nano(180, 0.9, 1)],
      BASE,
      3,
    );
    expect(rates(found)).toEqual([400, 300]);
  });

  it('are never more than asked for', () => {
    const many = [10, 9, 8, 7, 6].map((rate) => finalist(rate * 100, 0.3));
    expect(chooseFinalists(many, BASE, 3)).toHaveLength(3);
  });

  it('put those that meet the targets first', () => {
    const found = chooseFinalists(
      [finalist(300, 0.5, false), finalist(200, 0.5)],
      { fps: 100, meetsTargets: false },
      3,
    );
    expect(rates(found)[0]).toBe(200);
  });
});

describe('the rungs', () => {
  const OWN = { model: 'own', inputSize: '416x416' };
  const own = (fps: number, chance: number): Finalist => finalist(fps, chance, true, 'own');

  it('always have the own network in a faster format: it is the safest', () => {
    expect(rates(chooseRungs([finalist(1200, 0.95), finalist(1100, 0.95), own(290, 0.99)], OWN, BASE, 3))).toContain(
      290,
    );
    expect(rates(chooseRungs([finalist(1200, 0.95), own(100, 0.99)], OWN, BASE, 3))).toEqual([1200]);
  });

  it('begin with the fastest that passes if people accept it, and have one behind it that needs nobody', () => {
    const open: Finalist = { ...finalist(1200, 0.09), settledChance: 0.9 };
    expect(rates(chooseRungs([open, finalist(600, 0.8), finalist(500, 0.8), own(290, 0.99)], OWN, BASE, 3))).toEqual([
      1200, 600, 290,
    ]);
  });

  it('have the network alone behind one that skips: where skipping fails, each way of it does', () => {
    const nano = (fps: number, skipUnchanged: boolean, trackBetween: number): Finalist => {
      const { measured } = finalist(fps, 0.7, true, 'nano');
      const configuration = { ...measured.configuration, decode: 'all', skipUnchanged, trackBetween };
      return { measured: { ...measured, configuration } as Finalist['measured'], chance: 0.7 };
    };
    const several = [nano(1200, true, 5), nano(1100, false, 5), nano(900, false, 2), nano(600, false, 1)];
    expect(rates(chooseRungs([...several, own(290, 0.99)], OWN, BASE, 3))).toEqual([1200, 600, 290]);
  });

  it('have none that will hardly pass whatever people say', () => {
    const hopeless: Finalist = { ...finalist(320, 0.01), settledChance: 0.1 };
    expect(rates(chooseRungs([hopeless, own(290, 0.99)], OWN, BASE, 3))).toEqual([290]);
  });
});
