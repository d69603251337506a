import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { LimitsConfig } from '../../settings/config/limits.ts';

const MIB = 2 ** 20;
/** Another model takes about as much memory as the one that runs, several times its file; less than this is asking for trouble. */
const LEAST_MODEL_BYTES = 512 * MIB;

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

/** @throws ENGINE_UNAVAILABLE if this process, by the limits of its group too, has too little memory to load another model. */
export function requireModelMemory(label: string, availableBytes: number = process.availableMemory()): void {
  if (availableBytes >= LEAST_MODEL_BYTES) return;
  throw new SightlineError(
    'ENGINE_UNAVAILABLE',
    `${label}: ${Math.round(availableBytes / MIB)} MiB of memory are free, at least ${LEAST_MODEL_BYTES / MIB} are needed to load another model`,
  );
}
