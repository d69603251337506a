import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BindingPlace } from '../../../../../src/network/store/tensorflow/binding-place.ts';
import { type SetupOptions, setupTensorflow } from '../../../../../src/network/store/tensorflow/setup-tensorflow.ts';
import { type RunTool, toolRunner } from '../../../../../src/network/store/wheels/run-tool.ts';

const REQUIREMENTS = 'workers/requirements/tensorflow-cpu.txt';
const realRun = toolRunner(new AbortController().signal);
const hasPip = pipRuns();
if (!hasPip) console.warn('SKIPPED: what pip does with a wrong hash: python3 has no pip here');

describe('setup:tensorflow', () => {
  let root: string;
  let place: BindingPlace;
  let cacheDir: string;
  let steps: string[];

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'sightline-setup-'));
    cacheDir = join(root, 'cache');
    const packageDir = join(root, 'package');
    mkdirSync(join(packageDir, 'binding'), { recursive: true });
    for (const name of ['tfjs_backend.cc', 'tfjs_binding.cc'])
      writeFileSync(join(packageDir, 'binding', name), '#include "tensorflow/c/eager/c_api.h"\n');
    const bindingPath = join(packageDir, 'lib/napi-v8/tfjs_binding.node');
    place = { packageDir, version: '4.22.0', napiVersion: 8, bindingPath };
    steps = [];
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function setup(more: Partial<SetupOptions> = {}): ReturnType<typeof setupTensorflow> {
    return setupTensorflow({
      isGpu: false,
      from: undefined,
      cacheDir,
      python: 'python3',
      compiler: undefined,
      onStep: (text) => steps.push(text),
      run: tools(),
      place,
      requirements: REQUIREMENTS,
      ...more,
    });
  }

  /** A folder laid out like the archive of libtensorflow, with empty files. */
  function emptyLibrary(): string {
    const folder = join(root, 'libtensorflow');
    touch(join(folder, 'include/tensorflow/c/eager/c_api.h'));
    touch(join(folder, 'lib/libtensorflow.so.2'));
    touch(join(folder, 'lib/libtensorflow_framework.so.2'));
    return folder;
  }

  function leftovers(): string[] {
    return existsSync(join(cacheDir, 'tensorflow')) ? readdirSync(join(cacheDir, 'tensorflow')) : [];
  }

  const failed = (text: string | RegExp) => ({ code: 'SETUP_FAILED', message: expect.stringMatching(text) });

  it('fetches, unpacks, compiles, loads and links, and reports each step', async () => {
    const record = await setup();
    expect(record).toEqual({ tensorflow: '2.21.0', flavour: 'cpu', packages: { 'tensorflow-cpu': '2.21.0' } });
    expect(steps.map((step) => step.split(' ')[0])).toEqual([
      'fetching',
      'unpacking',
      'compiling',
      'loading',
      'linked',
    ]);
    expect(readFileSync(place.bindingPath, 'utf8')).toBe('binding');
    const folder = dirname(readlinkSync(place.bindingPath));
    expect(readdirSync(folder).sort(), 'the wheels are not kept').toEqual(['setup.json', 'site', 'tfjs_binding.node']);
  });

  it('runs pip with exact hashes, for one wheel with any Python version', async () => {
    const calls: string[][] = [];
    await setup({ run: tools({ calls }) });
    const download = calls.find((args) => args.includes('download'))!;
    expect(download).toEqual(expect.arrayContaining(['--require-hashes', '--no-deps', '--only-binary=:all:', '3.11']));
  });

  it('only links the second time: the wheels are not fetched again', async () => {
    await setup();
    // npm ci does the same to the package.
    rmSync(join(place.packageDir, 'lib'), { recursive: true });
    steps = [];
    const record = await setup({ run: tools({ fails: 'pip' }) });
    expect(record.tensorflow).toBe('2.21.0');
    expect(steps[0]).toMatch(/^already set up/);
    expect(readFileSync(place.bindingPath, 'utf8')).toBe('binding');
  });

  it('says so if it cannot link, also the second time', async () => {
    touch(join(place.packageDir, 'lib'));
    await expect(setup()).rejects.toMatchObject(failed(/tfjs_binding.node cannot be linked: /));
    await expect(setup({ run: tools({ fails: 'pip' }) })).rejects.toMatchObject(failed(/cannot be linked: /));
    expect(steps).toContainEqual(expect.stringMatching(/^already set up/));
  });

  it('rebuilds a set-up that no longer loads', async () => {
    await setup();
    let loads = 0;
    const run = tools();
    await setup({
      run: async (command, args, folder) => {
        if (command === process.execPath && loads++ === 0) throw new Error('cannot open shared object file');
        return run(command, args, folder);
      },
    });
    expect(steps.some((step) => step.includes('is damaged'))).toBe(true);
    expect(readFileSync(place.bindingPath, 'utf8')).toBe('binding');
  });

  it('removes the files of a killed run', async () => {
    // No process has this id: it is above the maximum.
    const left = join(cacheDir, 'tensorflow', 'cpu-0123.partial-99999999');
    mkdirSync(left, { recursive: true });
    await setup();
    expect(existsSync(left)).toBe(false);
  });

  describe('if it fails, it reports what is missing, and leaves nothing behind', () => {
    afterEach(() => {
      expect(leftovers()).toEqual([]);
      expect(existsSync(place.bindingPath)).toBe(false);
    });

    it('no Python', async () => {
      await expect(setup({ python: '/nowhere/python3', run: realRun })).rejects.toMatchObject(failed('python3-pip'));
    });

    it('Python without pip and venv', async () => {
      await expect(setup({ run: tools({ fails: 'pip' }) })).rejects.toMatchObject(failed('neither pip nor venv'));
    });

    it('too little space, before anything is fetched', async () => {
      const calls: string[][] = [];
      const freeBytes = async (): Promise<number> => 2e8;
      await expect(setup({ freeBytes, run: tools({ calls }) })).rejects.toMatchObject(
        failed(/1\.3 GB are needed, 0\.2 GB are free.*SIGHTLINE_CACHE_DIR/),
      );
      expect(calls).toEqual([]);
    });

    it('a disk that becomes full', async () => {
      const unpack = tools({ fails: 'unpack' });
      await expect(setup({ run: unpack })).rejects.toMatchObject(failed('cannot be unpacked: .*No space left'));
    });

    it('no compiler', async () => {
      const made = setup({ from: emptyLibrary(), compiler: '/nowhere/g++', run: realRun });
      await expect(made).rejects.toMatchObject(failed('no C\\+\\+ compiler.*apt-get install g\\+\\+'));
    });

    it('a compiler that fails, with its output', async () => {
      const made = setup({ run: tools({ fails: 'compile' }) });
      await expect(made).rejects.toMatchObject(failed('does not compile:\nfatal error'));
    });

    it('a binding that does not load', async () => {
      await expect(setup({ run: tools({ fails: 'load' }) })).rejects.toMatchObject(failed('cannot be loaded'));
    });

    it('a folder without libtensorflow', async () => {
      await expect(setup({ from: root })).rejects.toMatchObject(failed('expected include/tensorflow/c/eager/c_api.h'));
    });

    it.skipIf(!hasPip)('a wheel with a different hash than pinned', async () => {
      const wheel = join(root, 'tensorflow_cpu-2.21.0-py3-none-any.whl');
      writeFileSync(wheel, 'another wheel');
      const right = createHash('sha256').update('another wheel').digest('hex');
      const requirements = join(root, 'requirements.txt');
      writeFileSync(
        requirements,
        `tensorflow-cpu @ file://${wheel} --hash=sha256:${right.replace(/^./, (c) => (c === '0' ? '1' : '0'))}\n`,
      );
      await expect(setup({ requirements, run: realRun })).rejects.toMatchObject(
        failed(/DO NOT MATCH THE HASHES|Expected sha256/),
      );
    });
  });
});

type Step = 'pip' | 'unpack' | 'compile' | 'load';

/** Replaces Python, the compiler and Node: writes the files that they would write, or fails at one step. */
function tools({ fails, calls = [] }: { fails?: Step; calls?: string[][] } = {}): RunTool {
  return async (command, args, folder) => {
    calls.push([command, ...args]);
    const isVersion = args.length === 1 && args[0] === '--version';
    if (isVersion) return '';
    if (args.includes('pip') || args.includes('venv')) {
      if (fails === 'pip') throw new Error('No module named pip');
      if (args.includes('download')) touch(join(folder, 'wheels', 'tensorflow_cpu-2.21.0-cp311-cp311-linux.whl'));
      return '';
    }
    if (args[0] === '-c') {
      if (fails === 'unpack')
        throw Object.assign(new Error(), { stderr: 'OSError: [Errno 28] No space left on device' });
      touch(join(args[2]!, 'tensorflow/include/tensorflow/c/eager/c_api.h'));
      for (const name of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'])
        touch(join(args[2]!, 'tensorflow', name));
      return '';
    }
    if (args.includes('-o')) {
      if (fails === 'compile') throw Object.assign(new Error(), { stderr: 'fatal error: c_api.h' });
      writeFileSync(args[args.indexOf('-o') + 1]!, 'binding');
      return '';
    }
    if (fails === 'load') throw Object.assign(new Error(), { stderr: 'undefined symbol: TF_NewGraph' });
    return '2.21.0';
  };
}

function touch(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, '');
}

function pipRuns(): boolean {
  try {
    execFileSync('python3', ['-m', 'pip', '--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
