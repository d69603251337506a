import { setPriority } from 'node:os';

/** Niceness, -20 to 19. Processes at 0, of live streams, get about nine times the share of a contended core. */
const LOW_NICENESS = 10;

/**
 * Lowers a process's priority below that of other processes. Call it right after the start, before the process has threads:
 * later threads inherit the priority, existing ones keep theirs. Failures are ignored, also for a process that has ended.
 *
 * It has no effect if Linux divides the CPU among login sessions first (autogroups, on desktops), since each ffmpeg leads
 * its own session. The session's priority is left alone: with that lowered too, inference starved the decoders, and a bulk
 * job processed 7 % fewer frames without a gain elsewhere.
 */
export function lowerPriority(pid: number): void {
  try {
    setPriority(pid, LOW_NICENESS);
  } catch {
    // The process then runs at normal priority: results are the same, live streams are slower.
  }
}
