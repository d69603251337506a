import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { type Fetchers, findWeights } from '../../../../src/network/store/find-weights.ts';
import { loadManifest, type Manifest } from '../../../../src/network/store/manifests.ts';

const GOOD = Buffer.from('good weights');
const GOOD_SHA256 = createHash('sha256').update(GOOD).digest('hex');
const offline: Fetchers = { npm: missing, https: missing };

let folder: string;
let cacheDir: string;
let notices: string[];

async function missing(): Promise<never> {
  throw new SightlineError('MODEL_WEIGHTS_MISSING', 'download failed: ENOTFOUND');
}

async function manifestOf(sha256: string | null, sources: string[] = ['https://host/net.onnx']): Promise<Manifest> {
  const manifest = await loadManifest('yolox-nano');
  return { ...manifest, name: 'net', path: join(folder, 'net.yaml'), files: [{ name: 'net.onnx', sha256, sources }] };
}

function find(
  manifest: Manifest,
  fetchers: Fetchers = offline,
  more: { mayFetch?: boolean; onDamaged?: (error: SightlineError) => void; signal?: AbortSignal } = {},
): Promise<string[]> {
  const searchPath = [join(folder, 'one'), join(folder, 'two')];
  return findWeights(manifest, { searchPath, cacheDir, onNotice: (text) => notices.push(text), fetchers, ...more });
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sightline-store-'));
  cacheDir = join(folder, 'cache');
  notices = [];
  for (const name of ['one', 'two']) mkdirSync(join(folder, name));
});

describe('weights', () => {
  it('come from the first search folder with a file of this name and hash', async () => {
    writeFileSync(join(folder, 'one', 'net.onnx'), 'another version');
    writeFileSync(join(folder, 'two', 'net.onnx'), GOOD);
    expect(await find(await manifestOf(GOOD_SHA256))).toEqual([join(folder, 'two', 'net.onnx')]);
    expect(notices).toEqual([]);
  });

  it('are fetched once, with a notice, and then come from the cache', async () => {
    const manifest = await manifestOf(GOOD_SHA256);
    const path = join(cacheDir, 'weights', 'net', 'net.onnx');
    expect(await find(manifest, { ...offline, https: async () => GOOD })).toEqual([path]);
    expect(notices).toEqual(['model net: fetching net.onnx from https://host/net.onnx']);
    expect(await find(manifest)).toEqual([path]);
    expect(readdirSync(join(cacheDir, 'weights', 'net'))).toEqual(['net.onnx']);
  });

  it('are looked for nowhere else once a signal has ended their download', async () => {
    const stop = new AbortController();
    const tried: string[] = [];
    const https: Fetchers['https'] = async (url, _onBytes, signal) => {
      tried.push(url);
      expect(signal).toBe(stop.signal);
      stop.abort('enough');
      throw new SightlineError('MODEL_WEIGHTS_MISSING', 'download failed: aborted');
    };
    const manifest = await manifestOf(GOOD_SHA256, ['https://one/net.onnx', 'https://two/net.onnx']);
    await expect(find(manifest, { ...offline, https }, { signal: stop.signal })).rejects.toBe('enough');
    expect(tried).toEqual(['https://one/net.onnx']);
  });

  it.each([true, false])('that changed in the cache are reported and fetched again, pinned: %s', async (isPinned) => {
    const manifest = await manifestOf(isPinned ? GOOD_SHA256 : null);
    const path = join(cacheDir, 'weights', 'net', 'net.onnx');
    const online = { ...offline, https: async () => GOOD };
    await find(manifest, online);
    writeFileSync(path, 'good weighty');
    const damaged: string[] = [];
    const more = { onDamaged: (error: SightlineError) => damaged.push(`${error.code} ${error.message}`) };
    await expect(find(manifest, offline, more)).rejects.toMatchObject({ code: 'MODEL_INTEGRITY' });
    await expect(find(manifest, online, { ...more, mayFetch: false })).rejects.toMatchObject({
      code: 'MODEL_INTEGRITY',
    });
    expect(await find(manifest, online, more)).toEqual([path]);
    expect(readFileSync(path).equals(GOOD)).toBe(true);
    expect(damaged).toHaveLength(3);
    expect(damaged[0]).toMatch(/^MODEL_INTEGRITY model net: .*net\.onnx has changed on the disk; it is not used/);
  });

  it('whose recorded hash was lost are fetched again', async () => {
    const manifest = await manifestOf(null);
    const online = { ...offline, https: async () => GOOD };
    await find(manifest, online);
    writeFileSync(join(cacheDir, 'weights', 'net', 'recorded-hashes.json'), 'no json');
    await expect(find(manifest)).rejects.toMatchObject({ code: 'MODEL_INTEGRITY' });
    await find(manifest, online);
    expect(await find(manifest)).toEqual([join(cacheDir, 'weights', 'net', 'net.onnx')]);
  });

  it('with a different hash than in the manifest are rejected and not saved', async () => {
    const fetched = find(await manifestOf(GOOD_SHA256), { ...offline, https: async () => Buffer.from('evil') });
    await expect(fetched).rejects.toMatchObject({
      code: 'MODEL_INTEGRITY',
      message: expect.stringContaining(GOOD_SHA256),
    });
    expect(existsSync(join(cacheDir, 'weights', 'net', 'net.onnx'))).toBe(false);
  });

  it('without a hash in the manifest are recorded at the first fetch, and checked against the record later', async () => {
    const manifest = await manifestOf(null);
    const [path] = await find(manifest, { ...offline, https: async () => GOOD });
    expect(notices.at(-1)).toContain(`recorded sha256 ${GOOD_SHA256}`);
    writeFileSync(path!, 'changed on disk');
    const refetched = find(manifest, { ...offline, https: async () => Buffer.from('changed upstream') });
    await expect(refetched).rejects.toMatchObject({ code: 'MODEL_INTEGRITY' });
  });

  it('come from a file: source beside the manifest', async () => {
    writeFileSync(join(folder, 'mine.onnx'), GOOD);
    expect(await find(await manifestOf(GOOD_SHA256, ['file:mine.onnx']))).toEqual([join(folder, 'mine.onnx')]);
  });

  it('come from the next source if one does not answer', async () => {
    const manifest = await manifestOf(GOOD_SHA256, ['npm:net@1.0.0#net.onnx', 'https://host/net.onnx']);
    const [path] = await find(manifest, { ...offline, https: async () => GOOD });
    expect(readFileSync(path!)).toEqual(GOOD);
  });

  it('of several files in one npm package are fetched with one call', async () => {
    const calls: string[][] = [];
    const npm: Fetchers['npm'] = async (_, paths) => {
      calls.push([...paths]);
      return new Map(paths.map((path) => [path, Buffer.from(path)]));
    };
    const files = ['a.json', 'a.bin'].map((name) => ({ name, sha256: null, sources: [`npm:net@1.0.0#m/${name}`] }));
    const paths = await find({ ...(await manifestOf(null)), files }, { ...offline, npm });
    expect(calls).toEqual([['m/a.json', 'm/a.bin']]);
    expect(paths.map((path) => readFileSync(path, 'utf8'))).toEqual(['m/a.json', 'm/a.bin']);
  });

  it('that are not found: the error lists the places searched and a remedy', async () => {
    writeFileSync(join(folder, 'one', 'net.onnx'), 'another version');
    const error = (await find(await manifestOf(GOOD_SHA256)).catch((thrown: unknown) => thrown)) as SightlineError;
    expect(error.code).toBe('MODEL_WEIGHTS_MISSING');
    expect(error.message).toContain(`${join(folder, 'one', 'net.onnx')} (another file: sha256 `);
    expect(error.message).toContain(join(folder, 'two', 'net.onnx'));
    expect(error.message).toContain('https://host/net.onnx (download failed: ENOTFOUND)');
    expect(error.message).toContain('sightline models pull net');
  });

  it('that are not found and have no source to fetch from: the remedy is not to fetch them', async () => {
    const own = await manifestOf(GOOD_SHA256, ['file:/gone/net.onnx']);
    const error = (await find(own).catch((thrown: unknown) => thrown)) as SightlineError;
    expect(error.message).toMatch(/Put the file back where it was, or into a folder of SIGHTLINE_MODEL_PATH$/);
    expect(error.message).not.toContain('models pull');
  });

  it('are not fetched if downloads are disabled', async () => {
    const fetched: string[] = [];
    const https = async (url: string) => {
      fetched.push(url);
      return GOOD;
    };
    const looked = find(await manifestOf(GOOD_SHA256), { ...offline, https }, { mayFetch: false });
    await expect(looked).rejects.toMatchObject({ code: 'MODEL_WEIGHTS_MISSING' });
    expect(fetched).toEqual([]);
  });
});
