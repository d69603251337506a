import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findOpenvino } from '../../../../../src/network/store/openvino/openvino-place.ts';
import { type OpenvinoSetupOptions, setupOpenvino } from '../../../../../src/network/store/openvino/setup-openvino.ts';
import { type RunTool, toolRunner } from '../../../../../src/network/store/wheels/run-tool.ts';
import { hasOpenvino, openvinoDir } from '../../../../support/openvino.ts';

const LIBRARY = 'openvino/libs/libopenvino_c.so.2641';
const FACTS = { version: '2026.4.1-22982', devices: [{ name: 'CPU', fullName: 'Xeon', capabilities: ['FP32'] }] };

describe('setup:openvino', () => {
  let root: string;
  let cacheDir: string;
  let steps: string[];

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'sightline-openvino-'));
    cacheDir = join(root, 'cache');
    steps = [];
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function setup(more: Partial<OpenvinoSetupOptions> = {}): ReturnType<typeof setupOpenvino> {
    return setupOpenvino({
      from: undefined,
      cacheDir,
      python: 'python3',
      onStep: (text) => steps.push(text.split(' ')[0]!),
      run: tools(),
      platform: 'linux-x64',
      ...more,
    });
  }

  function touch(path: string): string {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
    return path;
  }

  const failed = (text: string | RegExp) => ({ code: 'SETUP_FAILED', message: expect.stringMatching(text) });

  it('fetches, unpacks, loads and records it; the engine then finds it', async () => {
    const record = await setup();
    expect(record).toMatchObject({ ...FACTS, flavour: 'wheel', packages: { openvino: '2026.4.1' } });
    expect(steps).toEqual(['fetching', 'unpacking', 'loading']);
    const place = findOpenvino({ cacheDir });
    expect(place).toMatchObject({ foundBy: 'sightline setup', version: FACTS.version });
    expect(place!.libraryPath.endsWith(LIBRARY)).toBe(true);
    expect(existsSync(place!.libraryPath)).toBe(true);
  });

  it('runs pip with exact hashes, for the wheel of this system with any Python version', async () => {
    const calls: string[][] = [];
    await setup({ run: tools({ calls }), platform: 'darwin-arm64' });
    const download = calls.find((args) => args.includes('download'))!;
    expect(download).toEqual(expect.arrayContaining(['--require-hashes', '--no-deps', 'macosx_11_0_arm64']));
  });

  it('the requirements pin one version by sha256 for each system that has a wheel', () => {
    const text = readFileSync('workers/requirements/openvino.txt', 'utf8');
    expect(text.match(/^openvino==\d+\.\d+\.\d+/gm)).toHaveLength(1);
    expect(text.match(/--hash=sha256:[0-9a-f]{64}\b/g)).toHaveLength(3);
  });

  it('fetches nothing the second time', async () => {
    await setup();
    steps = [];
    const record = await setup({ run: tools({ fails: 'pip' }) });
    expect(record.version).toBe(FACTS.version);
    expect(steps[0]).toBe('already');
  });

  it('fetches a library again that no longer loads', async () => {
    await setup();
    let probes = 0;
    const run = tools();
    await setup({
      run: async (command, args, folder) => {
        if (command === process.execPath && probes++ === 0) throw new Error('cannot open shared object file');
        return run(command, args, folder);
      },
    });
    expect(steps.slice(-3)).toEqual(['fetching', 'unpacking', 'loading']);
  });

  it.each([
    'openvino/libs/libopenvino_c.so.2641',
    'libs/libopenvino_c.2641.dylib',
    'runtime/lib/intel64/libopenvino_c.so',
    'runtime/bin/intel64/Release/openvino_c.dll',
    'libopenvino_c.so.2641',
  ])('uses an existing one, as %s', async (path) => {
    const library = touch(join(root, 'own', path));
    const calls: string[][] = [];
    const record = await setup({ from: join(root, 'own'), run: tools({ calls }) });
    expect(record).toMatchObject({ flavour: 'folder', library });
    expect(calls).toHaveLength(1);
    expect(findOpenvino({ cacheDir })?.libraryPath).toBe(library);
  });

  it('OPENVINO_DIR takes precedence over the set-up, and must contain OpenVINO', async () => {
    await setup();
    const library = touch(join(root, 'own', LIBRARY));
    const openvinoDir = join(root, 'own');
    expect(findOpenvino({ cacheDir, openvinoDir })).toEqual({
      libraryPath: library,
      foundBy: 'OPENVINO_DIR',
      version: null,
    });
    expect(() => findOpenvino({ cacheDir, openvinoDir: join(root, 'nothing') })).toThrow(/OPENVINO_DIR: .*nothing/);
  });

  it('finds nothing in a new cache, or after the files are removed', async () => {
    expect(findOpenvino({ cacheDir })).toBeNull();
    await setup();
    for (const name of readdirSync(join(cacheDir, 'openvino')))
      if (name.startsWith('wheel-')) rmSync(join(cacheDir, 'openvino', name), { recursive: true });
    expect(findOpenvino({ cacheDir })).toBeNull();
  });

  describe('if it fails, it reports what is missing, and keeps nothing', () => {
    afterEach(() => {
      expect(readdirSync(join(cacheDir, 'openvino'))).toEqual([]);
    });

    it('a system without a wheel', async () => {
      await expect(setup({ platform: 'linux-arm64' })).rejects.toMatchObject(failed('linux-arm64 .*--from FOLDER'));
    });

    it('too little space, before anything is fetched', async () => {
      const calls: string[][] = [];
      const made = setup({ run: tools({ calls }), freeBytes: async () => 1e8 });
      await expect(made).rejects.toMatchObject(failed(/0\.3 GB are needed, 0\.1 GB are free/));
      expect(calls).toEqual([]);
    });

    it('no Python', async () => {
      const run = toolRunner(new AbortController().signal);
      await expect(setup({ python: '/nowhere/python3', run })).rejects.toMatchObject(failed('setup openvino --from'));
    });

    it('a wheel without the library', async () => {
      await expect(setup({ run: tools({ fails: 'unpack' }) })).rejects.toMatchObject(failed('it is not there'));
    });

    it('a folder without it', async () => {
      await expect(setup({ from: root })).rejects.toMatchObject(failed("expected OpenVINO's C library"));
    });
  });

  it("a library that does not load is not recorded, and the error has the library's message", async () => {
    await expect(setup({ run: tools({ fails: 'load' }) })).rejects.toMatchObject(failed('undefined symbol'));
    expect(findOpenvino({ cacheDir })).toBeNull();
  });

  it.skipIf(!hasOpenvino)('the real library loads and reports its CPU', async () => {
    const run = toolRunner(new AbortController().signal);
    const { version, devices } = await setup({ from: openvinoDir, run });
    expect(version).toMatch(/^20\d\d\.\d/);
    expect(devices.find(({ name }) => name === 'CPU')?.capabilities).toContain('FP32');
  });

  it.skipIf(!hasOpenvino)('a file that is not a library is rejected with the reason', async () => {
    touch(join(root, 'own', LIBRARY));
    const run = toolRunner(new AbortController().signal);
    await expect(setup({ from: join(root, 'own'), run })).rejects.toMatchObject(
      failed('cannot be loaded:\n.*too short|cannot be loaded'),
    );
  });

  /** Replaces Python and the probe: writes the files that they would write, or fails at one step. */
  function tools({ fails, calls = [] }: { fails?: 'pip' | 'unpack' | 'load'; calls?: string[][] } = {}): RunTool {
    return async (command, args, folder) => {
      calls.push([command, ...args]);
      if (command === process.execPath) {
        if (fails === 'load') throw Object.assign(new Error(), { stderr: 'undefined symbol: ov_core_create' });
        return JSON.stringify(FACTS);
      }
      if (args.includes('download')) {
        if (fails === 'pip') throw new Error('no route to the index');
        touch(join(folder, 'wheels', 'openvino-2026.4.1-22982-cp311-cp311-linux.whl'));
      }
      if (args[0] === '-c' && fails !== 'unpack') touch(join(args[2]!, LIBRARY));
      return '';
    };
  }
});
