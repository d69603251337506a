import { createHash } from 'node:crypto';

/**
 * Returns whether a stream uses the candidate at a share. The place of a stream depends on its name only, so a stream that is
 * in stays in as the share grows, on every host and after every restart.
 *
 * @param share - percentage of the streams, 0 to 100.
 */
export function isMember(stream: string, share: number): boolean {
  return placeOf(stream) < share;
}

/** Returns the streams that use the candidate at a share. */
export function membersOf(streams: readonly string[], share: number): string[] {
  return streams.filter((stream) => isMember(stream, share));
}

/** While a step runs, a stream of the candidate uses the control for one half of each period. */
const PERIOD_MS = 12_000;
/** Where each turn opens the source again, which costs a camera about a second. */
const REOPENING_PERIOD_MS = 60_000;
const CONTROL_SHARE = 0.5;

/**
 * Returns whether it is the control's turn on a stream of the candidate. Both sides take turns on each stream, so that they meet the
 * same minutes of the same cameras. The name decides where periods begin, and a hash which half is the control's: work that comes back
 * every minute must not always meet the same side. All hosts agree, as far as their clocks do.
 *
 * @param nowMs - time of the control plane.
 * @param reopens - each turn opens the source again.
 */
export function isControlTurn(stream: string, nowMs: number, reopens = false): boolean {
  const periods = nowMs / (reopens ? REOPENING_PERIOD_MS : PERIOD_MS) + placeOf(stream) / 100;
  const period = Math.floor(periods);
  return periods - period < CONTROL_SHARE === placeOf(`${stream} ${period}`) < 50;
}

/** Maps a name to [0, 100): the first 48 bits of its sha256, so that similar names are far apart. */
function placeOf(stream: string): number {
  return (createHash('sha256').update(stream).digest().readUIntBE(0, 6) / 2 ** 48) * 100;
}
