import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS, interference } from '../../../src/measure/interference.ts';
import { machineUse, parseNetDev, readMachineCounters } from '../../../src/measure/machine-counters.ts';
import { QUIET } from '../../support/trial-figures.ts';

/** Files of a machine with two cores; numbers are ticks of 10 ms. */
function files(stat: string, more: Readonly<Record<string, string>> = {}) {
  const all: Readonly<Record<string, string>> = { '/proc/stat': stat, ...more };
  return (path: string): string | null => all[path] ?? null;
}

const BEFORE = 'cpu  1000 100 200 5000 50 10 20 30 400 0\ncpu0 500 50 100 2500 25 5 10 15 200 0\n';
/** In one second, 200 ticks of two cores: user 90, nice 20, system 30, idle 40, waiting 5, interrupts 2 + 3, stolen 10. */
const AFTER = 'cpu  1090 120 230 5040 55 12 23 40 470 0\ncpu0 500 50 100 2500 25 5 10 15 200 0\n';

function useBetween(before: string, after: string, ownMs: number | null) {
  return machineUse(readMachineCounters(files(before)), readMachineCounters(files(after)), ownMs, 1000);
}

describe('the use of the machine', () => {
  it('splits the CPU into own, others, and stolen time', () => {
    // Busy: 1,450 ms of 2,000, of which 1,200 are ours. Guest time is part of user time and not counted twice.
    const use = useBetween(BEFORE, AFTER, 1200);
    expect(use.ownRatio).toBeCloseTo(0.6, 12);
    expect(use.otherRatio).toBeCloseTo(0.125, 12);
    expect(use.stealRatio).toBeCloseTo(0.05, 12);
  });

  it('own time beyond what the kernel has counted yet is no negative load of others', () => {
    expect(useBetween(BEFORE, AFTER, 1500).otherRatio).toBe(0);
  });

  it('is unknown where /proc does not exist, and then nothing is discarded', () => {
    const nothing = readMachineCounters(() => null);
    const use = machineUse(nothing, nothing, null, 1000);
    expect(Object.values(use).every((value) => value === null)).toBe(true);
    expect(interference(use, DEFAULT_LIMITS)).toBeNull();
  });

  it('finds throttling in cgroups of both versions', () => {
    const v2 = (us: number) => ({
      '/proc/self/cgroup': '0::/app.slice/job\n',
      '/sys/fs/cgroup/app.slice/job/cpu.stat': `usage_usec 1\nnr_throttled 3\nthrottled_usec ${us}\n`,
    });
    const v1 = (ns: number) => ({
      '/proc/self/cgroup': '3:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n',
      '/sys/fs/cgroup/cpu/docker/abc/cpu.stat': `nr_periods 5\nthrottled_time ${ns}\n`,
    });
    for (const [before, after] of [
      [v2(1_000_000), v2(1_250_000)],
      [v1(1e9), v1(1.25e9)],
    ] as const) {
      const use = machineUse(
        readMachineCounters(files(BEFORE, before)),
        readMachineCounters(files(AFTER, after)),
        1200,
        1000,
      );
      expect(use.throttledRatio).toBeCloseTo(0.25, 9);
    }
  });

  it('a container that sees its own cgroup at the root is found, too', () => {
    const counters = readMachineCounters(
      files(BEFORE, { '/proc/self/cgroup': '0::/../x\n', '/sys/fs/cgroup/cpu.stat': 'throttled_usec 5000\n' }),
    );
    expect(counters.throttledMs).toBe(5);
  });

  it('counts the bytes of all interfaces but the loopback', () => {
    const text = [
      'Inter-|   Receive                                                |  Transmit',
      ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs',
      '    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0',
      '  eth0: 1000 2 0 0 0 0 0 0 50 3 0 0 0 0 0 0',
      'wlan0:20 2 0 0 0 0 0 0 7 3 0 0 0 0 0 0',
    ].join('\n');
    expect(parseNetDev(text)).toEqual({ inBytes: 1020, outBytes: 57 });
  });
});

describe('a window is discarded', () => {
  it('if other processes, the hypervisor or a CPU limit took the CPU, with figures', () => {
    expect(interference({ ...QUIET, otherRatio: 0.31 }, DEFAULT_LIMITS)).toBe('other processes used 31 % of the CPU');
    expect(interference({ ...QUIET, stealRatio: 0.04 }, DEFAULT_LIMITS)).toBe('the hypervisor took 4 % of the CPU');
    expect(interference({ ...QUIET, throttledRatio: 0.2 }, DEFAULT_LIMITS)).toContain('held Sightline back 20 %');
  });

  it('not for its own load, however high', () => {
    expect(interference({ ...QUIET, ownRatio: 1 }, DEFAULT_LIMITS)).toBeNull();
  });
});
