import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fingerprintOfFile } from '../../../../src/network/store/file-hash.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-hash-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MIB = 2 ** 20;

describe('the fingerprint of a file', () => {
  const path = join(folder, 'file');
  const of = (bytes: Buffer, wholeBytes?: number): Promise<string> => {
    writeFileSync(path, bytes);
    return fingerprintOfFile(path, wholeBytes);
  };

  it('of a small file changes with any byte and with the length', async () => {
    const bytes = Buffer.alloc(3 * MIB + 5, 1);
    const before = await of(bytes);
    expect(await of(Buffer.from(bytes))).toBe(before);
    for (const at of [0, MIB, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[at] = 2;
      expect(await of(changed)).not.toBe(before);
    }
    expect(await of(bytes.subarray(1))).not.toBe(before);
    expect(await of(Buffer.alloc(0))).toMatch(/^[0-9a-f]{64}$/);
  });

  it('of a large file changes with its length, its start, its end and any change of a few MiB', async () => {
    const bytes = Buffer.alloc(80 * MIB, 1);
    const before = await of(bytes, MIB);
    const changes: readonly (readonly [from: number, to: number])[] = [
      [0, 1],
      [80 * MIB - 1, 80 * MIB],
      [40 * MIB, 42 * MIB],
    ];
    for (const [from, to] of changes) expect(await of(Buffer.from(bytes).fill(2, from, to), MIB)).not.toBe(before);
    expect(await of(bytes.subarray(1), MIB)).not.toBe(before);
  });
});
