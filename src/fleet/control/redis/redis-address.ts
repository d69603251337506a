import type { RedisOptions } from 'ioredis';
import { redact } from '../../../base/core/redact.ts';
import { readAuthorities } from '../../../base/disk/read-authorities.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';

const DEFAULT_PORT = 6379;

/** Address and credentials of Redis. */
export interface RedisAddress {
  /** For messages: without user and password. */
  readonly label: string;
  readonly options: Pick<RedisOptions, 'host' | 'port' | 'db' | 'username' | 'password' | 'tls'>;
}

/**
 * Parses `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`; `rediss://` uses TLS.
 *
 * @param caFile - PEM file of the CAs that the server's certificate is checked against; null for Node's own.
 * @throws CONFIG_INVALID
 */
export function redisAddress(url: string, caFile: string | null): RedisAddress {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const db = Number(parsed?.pathname.slice(1) ?? 0);
  const isRedis = parsed?.protocol === 'redis:' || parsed?.protocol === 'rediss:';
  if (parsed === null || !isRedis || parsed.hostname === '' || !Number.isInteger(db) || db < 0 || parsed.search !== '')
    throw invalid(
      `expected redis:// or rediss://[USER:PASSWORD@]HOST[:PORT][/DB] with @ / ? # of a password percent-encoded, ` +
        `received "${redact(url)}"`,
    );
  const isTls = parsed.protocol === 'rediss:';
  if (caFile !== null && !isTls) throw invalid(`a CA file needs a URL that begins with rediss://, received redis://`);
  const port = parsed.port === '' ? DEFAULT_PORT : Number(parsed.port);
  return {
    label: `${parsed.protocol}//${parsed.hostname}:${port}/${db}`,
    options: {
      // A URL has an IPv6 address in brackets, a socket takes it without.
      host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
      port,
      db,
      ...(parsed.username === '' ? {} : { username: decoded(parsed.username) }),
      ...(parsed.password === '' ? {} : { password: decoded(parsed.password) }),
      ...(isTls ? { tls: caFile === null ? {} : { ca: readAuthorities(caFile, 'Redis URL') } } : {}),
    },
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('a % in the user or password must be written %25');
  }
}

function invalid(complaint: string): SightlineError {
  return new SightlineError('CONFIG_INVALID', `Redis URL: ${complaint}`);
}
