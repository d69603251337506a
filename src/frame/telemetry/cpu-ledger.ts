import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readProcessUsage } from './process-usage.ts';

/** CPU milliseconds by stage. */
export interface CpuUse {
  /** ffmpeg children. */
  readonly decode: number;
  /** Lane threads and the thread pool that they use: reading pipes, sharp. */
  readonly preprocess: number;
  /** Inference threads, threads that their libraries started, and the engine's process if it has one. */
  readonly infer: number;
  readonly main: number;
  readonly total: number;
}

export interface ThreadIds {
  readonly main: number;
  /** Processes of engines. */
  readonly engines: readonly number[];
  /** Running ffmpeg children. The kernel adds up all ended children, which are counted as decode. */
  readonly children: readonly number[];
}

/** Reads the CPU time used by each stage since the process began; null on systems without /proc. */
export function readCpuUse({ main, engines, children }: ThreadIds): CpuUse | null {
  try {
    const own = process.cpuUsage();
    const process_ = (own.user + own.system) / 1000;
    const mainMs = threadMs(main);
    const threadsMs = sumOf(inferenceTasks().map(({ tid }) => threadMs(tid)));
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
    const names = new Set(threads.map(({ tid }) => `${INFERENCE}${tid}`));
    const own = inferenceTasks().filter(({ name }) => names.has(name));
    return (
      sumOf(own.map(({ tid }) => threadMs(tid))) + processesMs(threads.flatMap(({ enginePid }) => enginePid ?? []))
    );
  } catch {
    return null;
  }
}

/** Begins the names of inference threads; their id follows. */
const INFERENCE = 'infer-';

/**
 * Names the calling thread as an inference thread. Threads that it starts inherit the name, and so do theirs: OpenVINO computes on such
 * threads of its own while the caller waits.
 */
export function nameInferenceThread(tid: number | null): void {
  if (tid === null) return;
  try {
    writeFileSync(`/proc/self/task/${tid}/comm`, `${INFERENCE}${tid}`);
  } catch {
    // A /proc that is read-only: its time is counted as preprocessing.
  }
}

/** Inference threads of this process, and what they started. */
function inferenceTasks(): { readonly tid: number; readonly name: string }[] {
  return readdirSync('/proc/self/task')
    .map((tid) => ({ tid: Number(tid), name: taskName(tid) }))
    .filter(({ name }) => name.startsWith(INFERENCE));
}

function taskName(tid: string): string {
  try {
    return readFileSync(`/proc/self/task/${tid}/comm`, 'latin1').trim();
  } catch {
    // It has ended.
    return '';
  }
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** CPU milliseconds of processes, without their children. */
export function processesMs(pids: readonly number[]): number {
  return sumOf(pids.map((pid) => readProcessUsage(pid)?.cpuMs ?? 0));
}

/** On-CPU time of one of our threads, in nanoseconds in the file. */
function threadMs(tid: number): number {
  return Number(readFileSync(`/proc/self/task/${tid}/schedstat`, 'latin1').split(' ')[0]) / 1e6;
}
