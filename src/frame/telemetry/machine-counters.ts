import { cpuPowerW, type EnergyCounters, type ReadFile, readEnergy, readOrNull } from './energy-counters.ts';

/** Kernel ticks a second; 100 on every Linux that Node runs on. */
const TICK_MS = 10;

/** Counters of the machine since it started. Null where the system does not have one. */
export interface MachineCounters {
  readonly cpu: CpuCounters | null;
  /** Time in which a CPU limit held this process and its children back. */
  readonly throttledMs: number | null;
  readonly network: { readonly inBytes: number; readonly outBytes: number } | null;
  readonly memoryAvailableBytes: number | null;
  /** RAPL domains that may be read: usually by root only. Null if there is none. */
  readonly energy: EnergyCounters | null;
}

/** Use of the machine in a span of time. Null where the system does not report it. */
export interface MachineUse {
  /** Share of the CPU that Sightline used with all its threads and children, 0 to 1. */
  readonly ownRatio: number | null;
  /** Share that other processes used. */
  readonly otherRatio: number | null;
  /** Share that the hypervisor gave to other virtual machines. */
  readonly stealRatio: number | null;
  /** Share of the time in which a CPU limit (cgroup) held the processes back. */
  readonly throttledRatio: number | null;
  readonly networkInBytesPerS: number | null;
  readonly networkOutBytesPerS: number | null;
  readonly memoryAvailableBytes: number | null;
  /** Mean power of the CPU packages and their memory (RAPL), other processes included. */
  readonly cpuPowerW: number | null;
}

/** CPU time of all cores together, in milliseconds. */
interface CpuCounters {
  readonly busyMs: number;
  readonly idleMs: number;
  /** Taken by the hypervisor. */
  readonly stealMs: number;
}

/** Reads the counters; costs 0.1 ms. */
export function readMachineCounters(read: ReadFile = readOrNull): MachineCounters {
  return {
    cpu: parse(read('/proc/stat'), parseProcStat),
    throttledMs: readThrottledMs(read),
    network: parse(read('/proc/net/dev'), parseNetDev),
    memoryAvailableBytes: parse(read('/proc/meminfo'), parseAvailable),
    energy: readEnergy(read),
  };
}

/**
 * Returns how the machine was used between two readings.
 *
 * @param ownMs - CPU time of this process and its children in between; null if it is not known.
 */
export function machineUse(
  before: MachineCounters,
  after: MachineCounters,
  ownMs: number | null,
  elapsedMs: number,
): MachineUse {
  const cpu = before.cpu === null || after.cpu === null ? null : cpuShares(before.cpu, after.cpu, ownMs);
  const seconds = elapsedMs / 1000;
  const throttledMs =
    before.throttledMs === null || after.throttledMs === null ? null : after.throttledMs - before.throttledMs;
  const hasNetwork = before.network !== null && after.network !== null;
  return {
    ownRatio: cpu?.own ?? null,
    otherRatio: cpu?.other ?? null,
    stealRatio: cpu?.steal ?? null,
    throttledRatio: throttledMs === null || elapsedMs <= 0 ? null : clamp(throttledMs / elapsedMs),
    networkInBytesPerS: hasNetwork ? (after.network.inBytes - before.network.inBytes) / seconds : null,
    networkOutBytesPerS: hasNetwork ? (after.network.outBytes - before.network.outBytes) / seconds : null,
    memoryAvailableBytes: after.memoryAvailableBytes,
    cpuPowerW: elapsedMs <= 0 ? null : cpuPowerW(before.energy, after.energy, seconds),
  };
}

/** Means over spans of time, longer ones weigh more; a figure that is missing in one of them is null. */
export function meanMachineUse(
  spans: readonly { readonly use: MachineUse; readonly seconds: number }[],
): MachineUse | null {
  const whole = spans.reduce((sum, { seconds }) => sum + seconds, 0);
  if (spans.length === 0 || whole <= 0) return null;
  const mean = (key: keyof MachineUse): number | null =>
    spans.some(({ use }) => use[key] === null)
      ? null
      : spans.reduce((sum, { use, seconds }) => sum + use[key]! * seconds, 0) / whole;
  const keys = Object.keys(spans[0]!.use) as (keyof MachineUse)[];
  return Object.fromEntries(keys.map((key) => [key, mean(key)])) as unknown as MachineUse;
}

/** The kernel's own total is the measure, so that ticks that it counts late do not look like other processes. */
function cpuShares(before: CpuCounters, after: CpuCounters, ownMs: number | null) {
  const busyMs = after.busyMs - before.busyMs;
  const stealMs = after.stealMs - before.stealMs;
  const totalMs = busyMs + stealMs + after.idleMs - before.idleMs;
  if (totalMs <= 0) return null;
  return {
    own: ownMs === null ? null : clamp(ownMs / totalMs),
    other: ownMs === null ? null : clamp((busyMs - ownMs) / totalMs),
    steal: clamp(stealMs / totalMs),
  };
}

/** `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guest time is part of user time. */
function parseProcStat(text: string): CpuCounters | null {
  const fields = /^cpu +(.+)$/m.exec(text)?.[1]?.trim().split(/ +/).map(Number);
  if (fields === undefined || fields.length < 7 || fields.some(Number.isNaN)) return null;
  const [user, nice, system, idle, ioWait, irq, softIrq, steal = 0] = fields as [...Seven, number?];
  return {
    busyMs: (user + nice + system + irq + softIrq) * TICK_MS,
    idleMs: (idle + ioWait) * TICK_MS,
    stealMs: steal * TICK_MS,
  };
}

type Seven = [number, number, number, number, number, number, number];

/** Finds `cpu.stat` of this process's cgroup, version 2 or 1. In a container both may be mounted at the root. */
function readThrottledMs(read: ReadFile): number | null {
  const groups = read('/proc/self/cgroup') ?? '';
  const v2 = /^0::(\/.*)$/m.exec(groups)?.[1] ?? '/';
  const v1 = /^\d+:(?:[^:]*,)?cpu(?:,[^:]*)?:(\/.*)$/m.exec(groups)?.[1] ?? '/';
  const paths = [
    ...[`/sys/fs/cgroup${v2}/cpu.stat`, `/sys/fs/cgroup/cpu${v1}/cpu.stat`],
    ...[`/sys/fs/cgroup/cpu,cpuacct${v1}/cpu.stat`, '/sys/fs/cgroup/cpu.stat', '/sys/fs/cgroup/cpu/cpu.stat'],
  ];
  for (const path of paths) {
    const ms = parse(read(path.replaceAll('//', '/')), parseThrottled);
    if (ms !== null) return ms;
  }
  return null;
}

/** `throttled_usec` in version 2, `throttled_time` in nanoseconds in version 1; null if the CPU has no limit. */
function parseThrottled(text: string): number | null {
  const us = /^throttled_usec (\d+)$/m.exec(text)?.[1];
  if (us !== undefined) return Number(us) / 1000;
  const ns = /^throttled_time (\d+)$/m.exec(text)?.[1];
  return ns === undefined ? null : Number(ns) / 1e6;
}

/** Sums all interfaces but the loopback. */
export function parseNetDev(text: string): { inBytes: number; outBytes: number } | null {
  let inBytes = 0;
  let outBytes = 0;
  for (const [, name, numbers] of text.matchAll(/^ *([^\s:]+): *(.+)$/gm)) {
    if (name === 'lo') continue;
    const fields = numbers!.trim().split(/ +/).map(Number);
    inBytes += fields[0] ?? 0;
    outBytes += fields[8] ?? 0;
  }
  return { inBytes, outBytes };
}

function parseAvailable(text: string): number | null {
  const kib = /^MemAvailable: +(\d+) kB$/m.exec(text)?.[1];
  return kib === undefined ? null : Number(kib) * 1024;
}

function parse<T>(text: string | null, parser: (text: string) => T | null): T | null {
  return text === null ? null : parser(text);
}

function clamp(ratio: number): number {
  return Math.min(1, Math.max(0, ratio));
}
