import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { providePackage } from '../../../../../src/network/store/packages/provide-package.ts';

const NAME = 'onnxruntime-node';
const VERSION = '1.30.0';
const HERE = `${process.platform}/${process.arch}`;
const OTHERS = ['linux/riscv64', 'plan9/x64'];

describe('a package that is fetched when it is needed', () => {
  let cacheDir: string;
  let notices: string[];
  let calls: { args: readonly string[]; folder: string; lock: unknown; manifest: unknown }[];

  beforeEach(() => {
    // A fresh copy of the modules finds the package only where the test puts it, not in this clone's node_modules.
    cacheDir = mkdtempSync(join(tmpdir(), 'sightline-packages-'));
    notices = [];
    calls = [];
  });

  afterEach(() => {
    rmSync(cacheDir, { recursive: true, force: true });
    vi.resetModules();
    vi.doUnmock('node:module');
  });

  /** Loads the code as if nothing were installed beside it. */
  async function installed(): Promise<{
    providePackage: typeof providePackage;
    findFetchedPackage: (name: typeof NAME) => string | null;
    loadFetchedPackage: (name: typeof NAME) => unknown;
    fetchedPackagesArgument: () => string;
  }> {
    vi.resetModules();
    vi.doMock('node:module', async (original) => {
      const real = await original<typeof import('node:module')>();
      const outside = `${cacheDir}/nothing-installed-here/index.js`;
      return {
        ...real,
        createRequire: (from: string) => real.createRequire(from.startsWith(cacheDir) ? from : outside),
      };
    });
    const code = await import('../../../../../src/base/process/fetched-packages.ts');
    const { providePackage } = await import('../../../../../src/network/store/packages/provide-package.ts');
    return { ...code, providePackage };
  }

  /** What `npm ci` leaves: the package in the version of the lock file, with libraries of several systems. */
  const npm = async (args: readonly string[], folder: string): Promise<string> => {
    if (args[0] === 'config') return npmCache();
    calls.push({
      args,
      folder,
      lock: read(join(folder, 'package-lock.json')),
      manifest: read(join(folder, 'package.json')),
    });
    writePackage(folder);
    return '';
  };

  function writePackage(folder: string, version = VERSION): void {
    const place = join(folder, 'node_modules', NAME);
    for (const system of [HERE, ...OTHERS]) {
      mkdirSync(join(place, 'bin/napi-v6', system), { recursive: true });
      writeFileSync(join(place, 'bin/napi-v6', system, 'library.so'), 'x'.repeat(100));
    }
    writeFileSync(join(place, 'package.json'), JSON.stringify({ name: NAME, version, main: 'index.js' }));
    writeFileSync(join(place, 'index.js'), `module.exports = { loaded: '${version}' };`);
  }

  const npmCache = (): string => join(cacheDir, 'npm');
  const options = (runNpm = npm) => ({ cacheDir, onNotice: (text: string) => notices.push(text), runNpm });
  const folders = () => readdirSync(join(cacheDir, 'packages'));

  it('is installed from the lock file of this package, without scripts, and can be loaded', async () => {
    const code = await installed();
    expect(() => code.loadFetchedPackage(NAME)).toThrow(`${NAME} ${VERSION} is not on this machine`);
    await code.providePackage(NAME, options());
    expect(code.loadFetchedPackage(NAME)).toEqual({ loaded: VERSION });
    expect(calls).toHaveLength(1);
    const { args, lock, manifest } = calls[0]!;
    expect(args[0]).toBe('ci');
    expect(args).toContain('--ignore-scripts');
    expect(lock).toEqual(read('workers/requirements/onnxruntime-node/package-lock.json'));
    expect(manifest).toMatchObject({ private: true, dependencies: { [NAME]: VERSION } });
  });

  it('is announced with its size and its place: nothing is fetched silently', async () => {
    await (await installed()).providePackage(NAME, options());
    expect(notices[0]).toMatch(/^fetching onnxruntime-node 1\.30\.0 with npm, once: \d+ MB$/);
    expect(notices.at(-1)).toContain(join(cacheDir, 'packages'));
  });

  it('reports the bytes that have arrived, the total, and the time left', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
    const arriving = join(npmCache(), '_cacache/tmp');
    mkdirSync(arriving, { recursive: true });
    const slow = async (args: readonly string[], folder: string): Promise<string> => {
      if (args[0] === 'config') return npmCache();
      for (const [i, bytes] of [5_000_000, 10_000_000].entries()) {
        writeFileSync(join(arriving, 'archive'), new Uint8Array(bytes));
        vi.advanceTimersByTime(6000);
        await vi.waitFor(() => expect(notices).toHaveLength(i + 2));
      }
      return npm(args, folder);
    };
    try {
      await (await installed()).providePackage(NAME, options(slow));
    } finally {
      vi.useRealTimers();
    }
    expect(notices[1]).toBe(`${NAME} ${VERSION}: 5.0 of 115.0 MB`);
    // 5 MB in 6 s, or somewhat more: waiting for a claim moves the clock too.
    expect(notices[2]).toMatch(/: 10\.0 of 115\.0 MB, 1[23]\d s left$/);
  });

  it('keeps the libraries of this system only', async () => {
    const code = await installed();
    await code.providePackage(NAME, options());
    const bin = join(dirname(code.findFetchedPackage(NAME)!), 'bin/napi-v6');
    expect(existsSync(join(bin, HERE, 'library.so'))).toBe(true);
    expect(OTHERS.filter((system) => existsSync(join(bin, system)))).toEqual([]);
  });

  it('is fetched once: by two callers at the same time, and at the next start', async () => {
    const code = await installed();
    await Promise.all([code.providePackage(NAME, options()), code.providePackage(NAME, options())]);
    const next = await installed();
    await next.providePackage(NAME, options());
    expect(next.loadFetchedPackage(NAME)).toEqual({ loaded: VERSION });
    expect(calls).toHaveLength(1);
    expect(folders()).toHaveLength(1);
  });

  it('two processes may fetch it at the same time: the slower one uses what is there', async () => {
    const code = await installed();
    const slower = async (args: readonly string[], folder: string): Promise<string> => {
      if (args[0] === 'ci') writePackage(folder.replace(/\.partial-\d+$/, ''));
      return npm(args, folder);
    };
    await code.providePackage(NAME, options(slower));
    expect(code.loadFetchedPackage(NAME)).toEqual({ loaded: VERSION });
    expect(folders()).toHaveLength(1);
  });

  it('a failed download leaves nothing, says why, and the next try works', async () => {
    const code = await installed();
    const failing = async (args: readonly string[], folder: string): Promise<string> => {
      if (args[0] === 'config') return npmCache();
      writePackage(folder);
      throw Object.assign(new Error('exit 1'), { stderr: 'npm error code EINTEGRITY\n' });
    };
    await expect(code.providePackage(NAME, options(failing))).rejects.toMatchObject({
      code: 'SETUP_FAILED',
      message: expect.stringContaining('EINTEGRITY'),
    });
    expect(folders()).toEqual([]);
    await code.providePackage(NAME, options());
    expect(code.loadFetchedPackage(NAME)).toEqual({ loaded: VERSION });
  });

  it('a signal ends the download of its caller, not that of another who waits for it', async () => {
    const code = await installed();
    const stop = new AbortController();
    const hanging = (args: readonly string[], _folder: string, signal?: AbortSignal): Promise<string> =>
      args[0] === 'config'
        ? Promise.resolve(npmCache())
        : new Promise((_, reject) => {
            signal!.addEventListener('abort', () => reject(new Error('npm was killed')));
            stop.abort('enough');
          });
    const given = code.providePackage(NAME, { ...options(hanging), signal: stop.signal });
    const outcome = expect(given).rejects.toBe('enough');
    await Promise.all([outcome, code.providePackage(NAME, options())]);
    expect(code.loadFetchedPackage(NAME)).toEqual({ loaded: VERSION });
    expect(calls).toHaveLength(1);
    expect(folders()).toHaveLength(1);
  });

  it('another version beside this package, which belongs to another program, is not used', async () => {
    const code = await installed();
    writePackage(join(cacheDir, 'nothing-installed-here'), '1.21.0');
    await code.providePackage(NAME, options());
    expect(code.loadFetchedPackage(NAME)).toEqual({ loaded: VERSION });
  });

  it('that version beside this package is used without a download', async () => {
    const code = await installed();
    writePackage(join(cacheDir, 'nothing-installed-here'));
    await code.providePackage(NAME, options());
    expect(code.loadFetchedPackage(NAME)).toEqual({ loaded: VERSION });
    expect(calls).toEqual([]);
  });

  it('is found by threads that start later and by child processes', async () => {
    const code = await installed();
    await code.providePackage(NAME, options());
    const key = JSON.stringify(`sightline:${NAME}`);
    const thread = new Worker(
      `const { parentPort, getEnvironmentData } = require('node:worker_threads'); parentPort.postMessage(getEnvironmentData(${key}))`,
      { eval: true },
    );
    const folder = await new Promise((resolve) => thread.once('message', resolve));
    expect(folder).toBe(join(cacheDir, 'packages', folders()[0]!));
    expect(JSON.parse(code.fetchedPackagesArgument())).toEqual({ [NAME]: folder });
  });
});

function read(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}
