import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS, interference, isDisturbed } from '../../../../src/frame/telemetry/interference.ts';
import {
  machineUse,
  meanMachineUse,
  parseNetDev,
  readMachineCounters,
} from '../../../../src/frame/telemetry/machine-counters.ts';
import { QUIET } from '../../../support/trial-figures.ts';

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

describe('a time in which others are busy', () => {
  it.each([
    ['a tenth of an idle machine is tolerated', 0.1, 0, false],
    ['more is not', 0.11, 0, true],
    ['as much as usual is', 0.5, 0.5, false],
    ['a tenth of what they usually leave is', 0.55, 0.5, false],
    ['more than that is not', 0.56, 0.5, true],
    ['unknown is no disturbance', undefined, 0, false],
  ])('%s', (_, ratio, usual, expected) => {
    expect(isDisturbed(ratio, usual)).toBe(expected);
  });
});

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

describe('the energy of the CPU', () => {
  const RAPL = '/sys/class/powercap';
  /** A machine with two packages, of which the first has memory of its own; counters in microjoules. */
  function domains(first: number, memory: number, second: number, more: Readonly<Record<string, string>> = {}) {
    const domain = (id: string, name: string, uj: number) => ({
      [`${RAPL}/intel-rapl:${id}/name`]: `${name}\n`,
      [`${RAPL}/intel-rapl:${id}/energy_uj`]: `${uj}\n`,
      [`${RAPL}/intel-rapl:${id}/max_energy_range_uj`]: '262143328850\n',
    });
    return {
      ...domain('0', 'package-0', first),
      ...domain('0:0', 'core', 77),
      ...domain('0:1', 'dram', memory),
      ...domain('1', 'package-1', second),
      ...domain('2', 'psys', 99e9),
      ...more,
    };
  }
  const power = (before: Readonly<Record<string, string>>, after: Readonly<Record<string, string>>) =>
    machineUse(readMachineCounters(files(BEFORE, before)), readMachineCounters(files(AFTER, after)), 1200, 2000)
      .cpuPowerW;

  it('adds up packages and memory; their parts and the platform are not counted twice', () => {
    expect(power(domains(1e6, 5e6, 9e6), domains(61e6, 15e6, 39e6))).toBeCloseTo((60 + 10 + 30) / 2, 9);
  });

  it('goes on where a counter starts from 0 again', () => {
    expect(power(domains(262_143_328_850 - 1e6, 0, 0), domains(3e6, 0, 0))).toBeCloseTo(2, 9);
  });

  it('is absent, not 0, where the system has none, or lets only root read it', () => {
    expect(power({}, {})).toBeNull();
    const forbidden = { [`${RAPL}/intel-rapl:0/name`]: 'package-0\n' };
    expect(power(forbidden, forbidden)).toBeNull();
    // One package that can no longer be read: the other one alone is not the machine.
    const { [`${RAPL}/intel-rapl:1/energy_uj`]: _gone, ...rest } = domains(2e6, 0, 2e6);
    expect(power(domains(1e6, 0, 1e6), rest)).toBeNull();
  });

  it('is read from a folder that looks like the system', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-sysfs-'));
    const write = (uj: number): void => {
      for (const [path, text] of Object.entries(domains(uj, 0, uj))) {
        mkdirSync(join(folder, dirname(path)), { recursive: true });
        writeFileSync(join(folder, path), text);
      }
    };
    const read = (path: string): string | null =>
      existsSync(join(folder, path)) ? readFileSync(join(folder, path), 'utf8') : null;
    try {
      write(0);
      const before = readMachineCounters(read);
      write(25e6);
      expect(machineUse(before, readMachineCounters(read), null, 1000).cpuPowerW).toBeCloseTo(50, 9);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is a mean over time, and null if one span has none', () => {
    const use = (cpuPowerW: number | null) => ({ ...QUIET, cpuPowerW });
    const spans = [
      { use: use(20), seconds: 1 },
      { use: use(60), seconds: 3 },
    ];
    expect(meanMachineUse(spans)!.cpuPowerW).toBeCloseTo(50, 12);
    expect(meanMachineUse([...spans, { use: use(null), seconds: 1 }])!.cpuPowerW).toBeNull();
    expect(meanMachineUse([])).toBeNull();
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
