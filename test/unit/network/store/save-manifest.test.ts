import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listUserManifests, loadManifest, type Manifest } from '../../../../src/network/store/manifests.ts';
import { saveManifest, writableModelFolder } from '../../../../src/network/store/save-manifest.ts';

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'sightline-own-'));
}

async function manifest(change: Partial<Manifest> = {}): Promise<Manifest> {
  return { ...(await loadManifest('yolox-nano')), name: 'mine', ...change };
}

describe('a saved manifest', () => {
  it('has the same content, and is found by its name in its folder', async () => {
    const own = folder();
    const saved = await manifest({ classes: ['Tür: blau', "driver's hat", '- no list'], licence: null });
    const path = await saveManifest(saved, own);
    expect(await loadManifest('mine', [folder(), own])).toEqual({ ...saved, path });
    expect(readdirSync(own)).toEqual(['mine.yaml']);
  });

  it("writes COCO's classes as one word", async () => {
    const path = await saveManifest(await manifest(), folder());
    expect(readFileSync(path, 'utf8')).toContain('classes: coco-80\n');
  });

  it('is not written if it is invalid, and the previous one stays', async () => {
    const own = folder();
    const path = await saveManifest(await manifest(), own);
    const before = readFileSync(path, 'utf8');
    await expect(saveManifest(await manifest({ maxDetections: -1 }), own)).rejects.toMatchObject({
      code: 'MODEL_INVALID',
    });
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(readdirSync(own)).toEqual(['mine.yaml']);
  });
});

describe("a user's models", () => {
  it('are listed from every folder: the first of each name, without names of built-in models', async () => {
    const [first, second] = [folder(), folder()];
    await saveManifest(await manifest({ description: 'first' }), first);
    await saveManifest(await manifest({ description: 'second' }), second);
    await saveManifest(await manifest({ name: 'other' }), second);
    await saveManifest(await manifest({ name: 'centernet', description: 'not mine' }), second);
    const listed = await listUserManifests([first, second, join(first, 'missing')], () => {});
    expect(listed.map(({ name, description }) => [name, description])).toEqual([
      ['mine', 'first'],
      ['other', expect.any(String)],
    ]);
    expect((await loadManifest('mine', [first, second])).description).toBe('first');
    expect((await loadManifest('centernet', [second])).description).not.toBe('not mine');
  });

  it('are listed beside other files: invalid manifests are reported, other files are ignored', async () => {
    const own = folder();
    await saveManifest(await manifest(), own);
    writeFileSync(join(own, 'compose.yaml'), 'services: {}\n');
    writeFileSync(join(own, 'broken.yaml'), 'name: broken\nfamily: yolox\n');
    const problems: string[] = [];
    const listed = await listUserManifests([own], (text) => problems.push(text));
    expect(listed.map(({ name }) => name)).toEqual(['mine']);
    expect(problems).toEqual([expect.stringContaining('broken.yaml')]);
  });

  it('are in the error message for a misspelt name', async () => {
    const own = folder();
    await saveManifest(await manifest({ name: 'door-camera' }), own);
    await expect(loadManifest('dor-camera', [own])).rejects.toThrow('Did you mean door-camera?');
  });
});

describe('the folder for new models', () => {
  it('is the first writable one of the search path, else a subfolder of the cache', async () => {
    const [locked, own, cache] = [folder(), folder(), join(folder(), 'cache')];
    chmodSync(locked, 0o555);
    writeFileSync(join(own, 'file'), '');
    expect(await writableModelFolder([join(own, 'none'), join(own, 'file'), locked, own], cache)).toBe(own);
    expect(await writableModelFolder([locked], cache)).toBe(join(cache, 'models'));
    expect(existsSync(join(cache, 'models'))).toBe(true);
  });
});
