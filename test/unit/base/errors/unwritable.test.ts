import { describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';

describe('a folder that cannot be written', () => {
  const failed = (code: string, syscall: string): Error =>
    Object.assign(new Error(`${code}: failed, ${syscall} '/.cache'`), { code, syscall, path: '/.cache' });

  it.each([
    ['EROFS', 'open'],
    ['EROFS', 'mkdtemp'],
    // What Node.js makes of a read-only root.
    ['ENOENT', 'mkdir'],
    ['EACCES', 'mkdir'],
  ])('is no bug, and the message says what to set: %s of %s', (code, syscall) => {
    const error = SightlineError.from(failed(code, syscall), 'INTERNAL_ERROR');
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toMatch(/^\/\.cache: cannot be written: .*SIGHTLINE_CACHE_DIR.*TMPDIR/);
  });

  it.each([
    ['EACCES', 'open'],
    ['ENOENT', 'open'],
    ['EMFILE', 'mkdir'],
  ])('is not what another failure is: %s of %s', (code, syscall) => {
    expect(SightlineError.from(failed(code, syscall), 'INTERNAL_ERROR').code).toBe('INTERNAL_ERROR');
  });
});
