import { readFileSync } from 'node:fs';
import { readProcessUsage } from './process-usage.ts';

/** CPU milliseconds by stage. */
export interface CpuUse {
  /** ffmpeg children. */
  readonly decode: number;
  /** Lane threads and the thread pool that they use: reading pipes, sharp. */
  readonly preprocess: number;
  /** Inference threads, and the engine's process if it has one. */
  readonly infer: number;
  readonly main: number;
  readonly total: number;
}

export interface ThreadIds {
  readonly main: number;
  readonly inference: readonly number[];
  /** Processes of engines. */
  readonly engines: readonly number[];
  /** Running ffmpeg children. The kernel adds up all ended children, which are counted as decode. */
  readonly children: readonly number[];
}

/** Reads the CPU time used by each stage since the process began; null on systems without /proc. */
export function readCpuUse({ main, inference, engines, children }: ThreadIds): CpuUse | null {
  try {
    const own = process.cpuUsage();
    const process_ = (own.user + own.system) / 1000;
    const mainMs = threadMs(main);
    const threadsMs = inference.reduce((sum, tid) => sum + threadMs(tid), 0);
    const enginesMs = processesMs(engines);
    const ended = readProcessUsage(process.pid);
    if (ended === null) return null;
    const decode = ended.endedChildrenMs + processesMs(children);
    return {
      decode,
      preprocess: process_ - mainMs - threadsMs,
      infer: threadsMs + enginesMs,
      main: mainMs,
      total: process_ + enginesMs + decode,
    };
  } catch {
    return null;
  }
}

export function subtractCpuUse(after: CpuUse, before: CpuUse): CpuUse {
  return {
    decode: after.decode - before.decode,
    preprocess: after.preprocess - before.preprocess,
    infer: after.infer - before.infer,
    main: after.main - before.main,
    total: after.total - before.total,
  };
}

/** CPU milliseconds of threads of this process, and of the engines' processes, since they began; null on systems without /proc. */
export function cpuMsOf(
  threads: readonly { readonly tid: number | null; readonly enginePid: number | null }[],
): number | null {
  try {
    const own = threads.reduce((sum, { tid }) => sum + (tid === null ? 0 : threadMs(tid)), 0);
    return own + processesMs(threads.flatMap(({ enginePid }) => enginePid ?? []));
  } catch {
    return null;
  }
}

function processesMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (readProcessUsage(pid)?.cpuMs ?? 0), 0);
}

/** On-CPU time of one of our threads, in nanoseconds in the file. */
function threadMs(tid: number): number {
  return Number(readFileSync(`/proc/self/task/${tid}/schedstat`, 'latin1').split(' ')[0]) / 1e6;
}
