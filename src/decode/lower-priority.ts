import { setPriority } from 'node:os';

/** On the scale from -20 to 19: live streams' processes, at 0, get about nine times the share of a contended core. */
const BULK_NICENESS = 10;

/**
 * Lets other processes go before this one. Called right after the start, before it has threads: a later thread inherits the
 * priority, an earlier one would keep its own. That it cannot be done, or that the process is gone, is no error.
 *
 * It counts where the system shares cores out among processes, as in containers and services. Where Linux shares them out
 * among sessions first (autogroups, on desktops), it does not, since each ffmpeg leads a session of its own. The session's
 * own priority is left alone: lowered too, decoders starved beside inference, and a bulk job had 7 % fewer frames for nobody's gain.
 */
export function lowerPriority(pid: number): void {
  try {
    setPriority(pid, BULK_NICENESS);
  } catch {
    // It runs at the usual priority then: slower for others, but right.
  }
}
