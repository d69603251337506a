import type { LimitsConfig } from '../config/limits.ts';
import { SightlineError } from '../errors/sightline-error.ts';

const MIB = 2 ** 20;

/** @throws LIMIT_REACHED if this host has no room for one more stream. @param availableBytes - of memory, for this process. */
export function requireRoom({ streams, freeMemoryMb }: LimitsConfig, count: number, availableBytes: number): void {
  if (count >= streams)
    throw new SightlineError(
      'LIMIT_REACHED',
      `expected at most ${streams} streams on this host, and ${count} are there; remove one, or raise limits.streams`,
      { streams: count },
    );
  const availableMb = Math.floor(availableBytes / MIB);
  if (availableMb < freeMemoryMb)
    throw new SightlineError(
      'LIMIT_REACHED',
      `expected ${freeMemoryMb} MiB of available memory for another stream, found ${availableMb}; remove streams, or lower limits.freeMemoryMb`,
      { availableMb },
    );
}
