import { setPriority } from 'node:os';

/** On the scale from -20 to 19: live streams' processes, at 0, get about nine times the share of a contended core. */
const BULK_NICENESS = 10;

/**
 * Lowers a process's priority, so that other processes go first. Call it right after the start, before the process has
 * threads: a later thread inherits the priority, an earlier one keeps its own. Failing is no error, and neither is a process
 * that has ended.
 *
 * It has no effect where Linux shares the CPU among login sessions first (autogroups, on desktops), since each ffmpeg leads a
 * session of its own. The priority of that session is left alone: lowered too, decoders starved beside inference, and a bulk
 * job had 7 % fewer frames for nobody's gain.
 */
export function lowerPriority(pid: number): void {
  try {
    setPriority(pid, BULK_NICENESS);
  } catch {
    // It runs at the usual priority then: slower for others, but right.
  }
}
