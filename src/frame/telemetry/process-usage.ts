import { readFileSync } from 'node:fs';

/** Kernel ticks a second; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

export interface ProcessUsage {
  /** User and system time since the process started. */
  readonly cpuMs: number;
  /** The same of its children that have ended and been waited for. */
  readonly endedChildrenMs: number;
  readonly rssBytes: number;
}

/** Reads a process's CPU time and memory from /proc; null if /proc or the process does not exist. */
export function readProcessUsage(pid: number): ProcessUsage | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may contain spaces and parentheses, so parse after the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return {
      cpuMs: ticksToMs(fields[11], fields[12]),
      endedChildrenMs: ticksToMs(fields[13], fields[14]),
      rssBytes: Number(fields[21]) * PAGE_BYTES,
    };
  } catch {
    return null;
  }
}

function ticksToMs(user: string | undefined, system: string | undefined): number {
  return ((Number(user) + Number(system)) * 1000) / TICKS_PER_SECOND;
}
