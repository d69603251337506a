import { readFileSync } from 'node:fs';

/** Descriptors that a host needs besides those of streams and connections: libraries, models, sinks, pipes of threads. */
const OWN_DESCRIPTORS = 128;
/** Descriptors of a stream: its pipes, its ffmpeg while it starts, a file of its own. */
const OF_STREAM = 8;

/** Returns how many files this process may have open; null where that cannot be read. */
export function descriptorLimit(limits: () => string = readLimits): number | null {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(limits())?.[1];
    return found === undefined ? null : Number(found);
  } catch {
    return null;
  }
}

/** Share of all descriptors that connections get, however few the streams leave: few hosts have as many streams as they accept. */
const LEAST_SHARE = 1 / 8;

/** Returns the limit of open files with which all these streams and connections have theirs. */
export function descriptorsFor(streams: number, connections: number): number {
  return OWN_DESCRIPTORS + OF_STREAM * streams + connections;
}

/** Returns how many connections are possible with a limit of open files; null if that is unknown. */
export function descriptorsForConnections(
  streams: number,
  limit = descriptorLimit(),
): { readonly connections: number; readonly limit: number } | null {
  if (limit === null) return null;
  return { connections: Math.max(Math.floor(limit * LEAST_SHARE), limit - descriptorsFor(streams, 0)), limit };
}

/** Returns what is wrong with the limit of this process, in one line; null if it suffices for a single stream. */
export function descriptorComplaint(limit = descriptorLimit()): string | null {
  const needed = OWN_DESCRIPTORS + OF_STREAM;
  if (limit === null || limit >= needed) return null;
  return `this process may open ${limit} files, and at least ${needed} are needed: run "ulimit -n 4096" first, or raise LimitNOFILE or --ulimit nofile`;
}

function readLimits(): string {
  return readFileSync('/proc/self/limits', 'utf8');
}
