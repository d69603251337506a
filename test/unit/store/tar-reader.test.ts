import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readTarEntry } from '../../../src/store/tar-reader.ts';
import { entry, packTarball } from './tarball.ts';

const bytes = Uint8Array.from({ length: 1300 }, (_, at) => (at * 7) % 251);

describe('the tar reader', () => {
  it('finds a file after others of any length', () => {
    const archive = packTarball({
      'package/a': new Uint8Array(512),
      'package/empty': new Uint8Array(),
      'package/b': bytes,
    });
    expect(readTarEntry(archive, 'package/b')).toEqual(bytes);
    expect(readTarEntry(archive, 'package/empty')).toEqual(new Uint8Array());
  });

  it('returns null for a missing file, and for a folder of that name', () => {
    const folder = gzipSync(Buffer.concat([...entry('package/b', '5', new Uint8Array()), Buffer.alloc(1024)]));
    expect(readTarEntry(packTarball({ 'package/a': bytes }), 'package/b')).toBeNull();
    expect(readTarEntry(folder, 'package/b')).toBeNull();
  });

  it('joins the prefix and the name of a deep path', () => {
    const archive = gzipSync(Buffer.concat([...entry('c.bin', '0', bytes, 'package/a/b'), Buffer.alloc(1024)]));
    expect(readTarEntry(archive, 'package/a/b/c.bin')).toEqual(bytes);
  });

  it('reads a long name from the preceding pax header', () => {
    const long = `package/${'x'.repeat(150)}.bin`;
    const record = `${`000 path=${long}\n`.length} path=${long}\n`;
    const blocks = [...entry('PaxHeader', 'x', Buffer.from(record)), ...entry('cut', '0', bytes)];
    expect(readTarEntry(gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)])), long)).toEqual(bytes);
  });

  it('rejects a truncated archive', () => {
    const whole = Buffer.concat(entry('package/a', '0', bytes));
    expect(() => readTarEntry(gzipSync(whole.subarray(0, 1024)), 'package/a')).toThrow(RangeError);
  });

  it('reads archives of the system tar', ({ skip }) => {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-tar-'));
    mkdirSync(join(folder, 'package'));
    writeFileSync(join(folder, 'package', 'weights.bin'), bytes);
    try {
      execFileSync('tar', ['-czf', 'packed.tgz', 'package'], { cwd: folder });
    } catch {
      skip('this system has no tar');
    }
    expect(readTarEntry(readFileSync(join(folder, 'packed.tgz')), 'package/weights.bin')).toEqual(bytes);
  });
});
