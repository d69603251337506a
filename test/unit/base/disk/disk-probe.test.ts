import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskProbe } from '../../../../src/base/disk/disk-probe.ts';

let nowMs: number;
let answers: (() => void)[];
let told: string[];
let probe: DiskProbe;

beforeEach(() => {
  nowMs = 0;
  answers = [];
  told = [];
  probe = new DiskProbe({
    path: '/somewhere',
    // Ticks are made by the test.
    everyMs: 2 ** 30,
    limitMs: 5000,
    now: () => nowMs,
    lookUp: (_, done) => answers.push(done),
    onStalled: () => told.push(`stalled at ${nowMs}`),
    onAnswered: () => told.push(`answered at ${nowMs}`),
  });
});
afterEach(() => probe.close());

function tickUntil(endMs: number): void {
  for (; nowMs < endMs; nowMs += 1000) probe.tick();
}

describe('the probe of the disk', () => {
  it('has one look-up under way, however long it waits', () => {
    tickUntil(3_600_000);
    expect(answers).toHaveLength(1);
  });

  it('reports once that the answer is overdue, and once that it came', () => {
    tickUntil(60_000);
    expect(told).toEqual(['stalled at 5000']);
    expect(probe.stalledMs).toBe(60_000);
    answers[0]!();
    expect(told).toEqual(['stalled at 5000', 'answered at 60000']);
    expect(probe.stalledMs).toBeNull();
    tickUntil(120_000);
    expect(told).toHaveLength(3);
  });

  it('says nothing while answers come within the limit', () => {
    for (let i = 0; i < 100; i += 1) {
      tickUntil(nowMs + 4000);
      answers.at(-1)!();
    }
    expect(told).toEqual([]);
    expect(probe.stalledMs).toBeNull();
    expect(answers).toHaveLength(100);
  });

  it('takes any answer of the system, also that there is no such file', async () => {
    const real = new DiskProbe({
      path: '/nowhere/at/all',
      everyMs: 5,
      limitMs: 60_000,
      onStalled: () => told.push('stalled'),
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(real.stalledMs).toBeNull();
    real.close();
  });
});
