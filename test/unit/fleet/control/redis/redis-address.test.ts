import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { redisAddress } from '../../../../../src/fleet/control/redis/redis-address.ts';

describe('the address of a Redis', () => {
  it.each([
    ['redis://cache', 'redis://cache:6379/0', { host: 'cache', port: 6379, db: 0 }],
    ['redis://10.0.0.7:7000/3', 'redis://10.0.0.7:7000/3', { host: '10.0.0.7', port: 7000, db: 3 }],
    ['redis://[::1]:7000', 'redis://[::1]:7000/0', { host: '::1', port: 7000, db: 0 }],
    ['redis://:pw@cache', 'redis://cache:6379/0', { host: 'cache', port: 6379, db: 0, password: 'pw' }],
    [
      'redis://ann:a%40b%2Fc%25@cache',
      'redis://cache:6379/0',
      { host: 'cache', port: 6379, db: 0, username: 'ann', password: 'a@b/c%' },
    ],
    ['rediss://cache', 'rediss://cache:6379/0', { host: 'cache', port: 6379, db: 0, tls: {} }],
  ])('%s', (url, label, options) => {
    expect(redisAddress(url, null)).toEqual({ label, options });
  });

  it('uses TLS with the CAs of a file', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'sightline-ca-')), 'ca.pem');
    writeFileSync(path, rootCertificates[0]!);
    expect(redisAddress('rediss://cache', path).options.tls).toEqual({ ca: rootCertificates[0] });
    writeFileSync(path, 'no certificate');
    expect(() => redisAddress('rediss://cache', path)).toThrow(/Redis URL: .*expected certificates in PEM form/);
  });

  it.each([
    ['cache:6379', null],
    ['http://cache', null],
    ['redis://', null],
    ['redis://cache/one', null],
    ['redis://cache/-1', null],
    ['redis://cache?db=3', null],
    ['redis://:50%@cache', null],
    ['redis://cache', '/ca.pem'],
    ['rediss://cache', '/nowhere/ca.pem'],
  ])('%s with CA file %s is refused', (url, caFile) => {
    expect(() => redisAddress(url, caFile)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('never shows the password in an error', () => {
    for (const url of ['redis://ann:hush@cache/one', 'redis://ann:hush/@cache', 'redis://ann:hush%@cache'])
      expect(() => redisAddress(url, null)).toThrow(/^(?!.*hush)/);
  });
});
