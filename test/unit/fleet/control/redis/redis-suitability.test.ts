import { describe, expect, it } from 'vitest';
import { checkSuitability } from '../../../../../src/fleet/control/redis/redis-suitability.ts';

/** The fields of a server's INFO that are read. */
const info = (version: string, policy = 'noeviction'): string =>
  `# Server\r\nredis_version:${version}\r\nredis_mode:standalone\r\n\r\n# Memory\r\nmaxmemory_policy:${policy}\r\n`;

describe('a Redis is suitable', () => {
  it.each(['6.2.0', '6.2.14', '7.0.15', '7.2.4', '8.0.1', '10.0.0', '255.255.255'])('as version %s', (version) => {
    expect(() => checkSuitability(info(version), 'redis://cache:6379/0')).not.toThrow();
  });

  it.each(['2.8.24', '5.0.14', '6.0.16', '6.1.9'])('but not as version %s', (version) => {
    expect(() => checkSuitability(info(version), 'redis://cache:6379/0')).toThrow(
      expect.objectContaining({
        code: 'CONTROL_UNSUITABLE',
        message: expect.stringMatching(
          new RegExp(`cache:6379.*expected Redis 6\\.2 or later.*received version ${version}`),
        ),
      }),
    );
  });

  it.each(['allkeys-lru', 'volatile-ttl', 'allkeys-random'])('but not with %s', (policy) => {
    expect(() => checkSuitability(info('7.0.0', policy), 'redis://cache:6379/0')).toThrow(
      expect.objectContaining({ code: 'CONTROL_UNSUITABLE', message: expect.stringContaining(`received ${policy}`) }),
    );
  });

  it('not without these fields', () => {
    expect(() => checkSuitability('', 'redis://cache:6379/0')).toThrow(/version unknown/);
  });
});
