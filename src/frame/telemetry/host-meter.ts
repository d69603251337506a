import { availableParallelism, cpus, totalmem } from 'node:os';
import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { BusyStage, HostReport } from '../../wire/protocol/report.ts';
import { readProcessUsage } from './process-usage.ts';

type HostUsage = Omit<HostReport, 'device' | 'batch' | 'overload' | 'lowered' | 'sinks'>;

/** Interval at which the event loop's delay is sampled. At 10 ms, sampling caused a sixth of the wake-ups under load. */
const DELAY_TICK_MS = 20;

/**
 * Measures the host once a second: CPU and memory of the process and its ffmpeg children, the event loop, and the share
 * of its capacity that each stage used. decode and preprocess can use every core, infer its threads, main one core.
 */
export class HostMeter {
  readonly #startedMs: number;
  readonly #loopDelay = monitorEventLoopDelay({ resolution: DELAY_TICK_MS });
  readonly #childCpuMs = new Map<number, number>();
  #loop: EventLoopUtilization = performance.eventLoopUtilization();
  #cpu = process.cpuUsage();
  #machine = machineTimes();
  #lastMs: number;
  #preprocessMs = 0;
  #inferMs = 0;
  #inferThreads = 1;

  constructor(nowMs: number) {
    this.#startedMs = nowMs;
    this.#lastMs = nowMs;
    this.#loopDelay.enable();
  }

  addPreprocessMs(ms: number): void {
    this.#preprocessMs += ms;
  }

  addInferMs(ms: number): void {
    this.#inferMs += ms;
  }

  set inferThreads(threads: number) {
    this.#inferThreads = Math.max(1, threads);
  }

  /** @param childPids - the running ffmpeg children. */
  sample(nowMs: number, childPids: Iterable<number>): HostUsage {
    const elapsedMs = Math.max(1, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    const cores = availableParallelism();
    const cpu = process.cpuUsage(this.#cpu);
    this.#cpu = process.cpuUsage();
    const children = this.#sampleChildren(childPids);
    const cpuCores = ((cpu.user + cpu.system) / 1000 + children.cpuMs) / elapsedMs;
    const machine = this.#machine;
    this.#machine = machineTimes();
    const totalMs = this.#machine.totalMs - machine.totalMs;
    const busyCores = totalMs <= 0 ? 0 : (1 - (this.#machine.idleMs - machine.idleMs) / totalMs) * machine.cores;
    const loop = performance.eventLoopUtilization(this.#loop);
    this.#loop = performance.eventLoopUtilization();
    const busyRatio: Record<BusyStage, number> = {
      decode: clamp(children.cpuMs / elapsedMs / cores),
      preprocess: clamp(this.#preprocessMs / elapsedMs / cores),
      infer: clamp(this.#inferMs / elapsedMs / this.#inferThreads),
      main: clamp(loop.utilization),
    };
    this.#preprocessMs = 0;
    this.#inferMs = 0;
    const usage: HostUsage = {
      uptimeS: (nowMs - this.#startedMs) / 1000,
      cores,
      cpuCores,
      // With fewer cores than the machine has, what others use is not taken from these.
      ...(machine.cores === cores ? { othersCores: Math.max(0, busyCores - cpuCores) } : {}),
      rssBytes: process.memoryUsage.rss(),
      childRssBytes: children.rssBytes,
      memoryTotalBytes: totalmem(),
      eventLoop: {
        p99DelayMs: Math.max(0, this.#loopDelay.percentile(99) / 1e6 - DELAY_TICK_MS),
        utilizationRatio: loop.utilization,
      },
      busyRatio,
      bottleneck: (Object.keys(busyRatio) as BusyStage[]).reduce((a, b) => (busyRatio[b] > busyRatio[a] ? b : a)),
    };
    this.#loopDelay.reset();
    return usage;
  }

  #sampleChildren(pids: Iterable<number>): { cpuMs: number; rssBytes: number } {
    let cpuMs = 0;
    let rssBytes = 0;
    const alive = new Set<number>();
    for (const pid of pids) {
      const usage = readProcessUsage(pid);
      if (usage === null) continue;
      alive.add(pid);
      rssBytes += usage.rssBytes;
      cpuMs += Math.max(0, usage.cpuMs - (this.#childCpuMs.get(pid) ?? 0));
      this.#childCpuMs.set(pid, usage.cpuMs);
    }
    for (const pid of this.#childCpuMs.keys()) if (!alive.has(pid)) this.#childCpuMs.delete(pid);
    return { cpuMs, rssBytes };
  }

  close(): void {
    this.#loopDelay.disable();
  }
}

/** CPU time of the whole machine since its start. */
function machineTimes(): { readonly cores: number; readonly totalMs: number; readonly idleMs: number } {
  const times = cpus().map((cpu) => cpu.times);
  const sum = (of: (each: (typeof times)[number]) => number): number =>
    times.reduce((total, each) => total + of(each), 0);
  return {
    cores: times.length,
    totalMs: sum(({ user, nice, sys, idle, irq }) => user + nice + sys + idle + irq),
    idleMs: sum(({ idle }) => idle),
  };
}

function clamp(ratio: number): number {
  return Math.min(1, Math.max(0, ratio));
}
