import { expect, it } from 'vitest';
import type { MachineCounters } from '../../../../src/frame/telemetry/machine-counters.ts';
import { FreeMachine } from '../../../../src/lab/measure/free-machine.ts';

/** Readings of a machine of which others take a share between each two, the last one for ever. */
function machine(...shares: readonly (number | null)[]) {
  let [busyMs, idleMs, at] = [0, 0, 0];
  const read = (): MachineCounters => {
    // Each look reads before and after.
    const share = shares[Math.min(Math.floor((at - 1) / 2), shares.length - 1)] ?? null;
    if (at % 2 === 1) {
      busyMs += 10_000 * (share ?? 0);
      idleMs += 10_000 * (1 - (share ?? 0));
    }
    at += 1;
    const cpu = shares[0] === null ? null : { busyMs, idleMs, stealMs: 0 };
    return { cpu, throttledMs: null, network: null, memoryAvailableBytes: null, energy: null };
  };
  const said: string[] = [];
  const { signal } = new AbortController();
  const free = new FreeMachine({ signal, note: (text) => said.push(text), read, lookMs: 1 });
  return { free, said, looks: () => Math.ceil(at / 2) };
}

it('goes on at once where nothing else runs, and where the system does not say', async () => {
  for (const share of [0, null]) {
    const { free, said, looks } = machine(share);
    await free.wait();
    expect([said, looks(), free.waitedSeconds]).toEqual([[], 2, 0]);
  }
});

it('waits while others take the CPU, says so once, and counts the time', async () => {
  const { free, said, looks } = machine(0.5, 0.5, 0, 0.4, 0, 0);
  await free.wait();
  // One quiet moment is not enough.
  expect(looks()).toBe(6);
  expect(said).toEqual([
    'waiting until the machine is free: other processes used 50 % of the CPU',
    'the machine is free: going on',
  ]);
  expect(free.waitedSeconds).toBeGreaterThan(0);
});

it('ends when it is stopped', async () => {
  const stop = new AbortController();
  let busyMs = 0;
  const read = (): MachineCounters => {
    busyMs += 10_000;
    const cpu = { busyMs, idleMs: 0, stealMs: 0 };
    return { cpu, throttledMs: null, network: null, memoryAvailableBytes: null, energy: null };
  };
  const free = new FreeMachine({ signal: stop.signal, note: () => stop.abort(), read, lookMs: 5 });
  await expect(free.wait()).rejects.toThrow(/abort/i);
});
