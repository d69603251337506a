import { SightlineError } from '../../../base/errors/sightline-error.ts';

const MIN_VERSION = [6, 2] as const;

/**
 * Checks a server's `INFO`. Valkey reports the Redis version that it is compatible with.
 *
 * @throws CONTROL_UNSUITABLE if it is too old or may evict keys: after the eviction of a lease two hosts could hold it.
 */
export function checkSuitability(info: string, label: string): void {
  const version = field(info, 'redis_version');
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number);
  if (version === null || major < MIN_VERSION[0] || (major === MIN_VERSION[0] && minor < MIN_VERSION[1]))
    throw unsuitable(
      label,
      `expected Redis ${MIN_VERSION.join('.')} or later, or Valkey, received version ${version ?? 'unknown'}; install a newer one`,
    );
  const policy = field(info, 'maxmemory_policy');
  if (policy !== 'noeviction')
    throw unsuitable(
      label,
      `expected maxmemory-policy noeviction, received ${policy ?? 'nothing'}; run "redis-cli CONFIG SET maxmemory-policy ` +
        'noeviction" and write it to redis.conf (of a managed Redis: its parameter group)',
    );
}

/** Returns advice on a server that is suitable but can lose data; null if there is none. */
export function adviceFor(info: string, label: string): string | null {
  if (field(info, 'aof_enabled') !== '0') return null;
  return (
    `${label}: Redis keeps no append-only file, so streams and jobs that were added since its last snapshot are lost when ` +
    'it crashes; "redis-cli CONFIG SET appendonly yes" keeps them'
  );
}

function field(info: string, name: string): string | null {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? null;
}

function unsuitable(label: string, complaint: string): SightlineError {
  return new SightlineError('CONTROL_UNSUITABLE', `${label}: ${complaint}`, { address: label });
}
