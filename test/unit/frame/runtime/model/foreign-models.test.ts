import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import type { FileSettings } from '../../../../../src/frame/runtime/model/detector-request.ts';
import { loadDetector } from '../../../../../src/frame/runtime/model/load-detector.ts';
import { emitOnnx } from '../../../../../src/network/compile/onnx/emit-onnx.ts';
import type { ModelRoots } from '../../../../../src/network/store/admit-model.ts';
import { makePipe } from '../../../../support/made-pipe.ts';
import { manifestText, tinyYolov8 } from '../../../../support/tiny-models.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sightline-foreign-')));
const [root, outside] = [join(folder, 'models'), join(folder, 'private')];
const SECRET = 'root:x:0:0:root:/root:/bin/bash\n';
const NOWHERE: ModelRoots = { roots: [], files: [] };
const ROOTS: ModelRoots = { roots: [root], files: [] };

function load(name: string, modelRoots: ModelRoots | undefined, settings: FileSettings = {}) {
  return loadDetector(name, { searchPath: [], cacheDir: join(folder, 'cache'), settings, modelRoots });
}

async function refusal(name: string, modelRoots: ModelRoots, settings: FileSettings = {}): Promise<SightlineError> {
  const error: unknown = await load(name, modelRoots, settings).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SightlineError);
  expect((error as Error).message).not.toMatch(/root:x|bin.bash/);
  return error as SightlineError;
}

beforeAll(() => {
  for (const path of [root, outside, join(root, 'sub')]) mkdirSync(path);
  for (const path of [join(root, 'two.onnx'), join(root, 'sub/two.onnx'), join(outside, 'two.onnx')])
    writeFileSync(path, emitOnnx(tinyYolov8(2)));
  writeFileSync(join(root, 'labels.txt'), 'door\ncar\n');
  writeFileSync(join(outside, 'labels.txt'), 'secret one\nsecret two\n');
  writeFileSync(join(outside, 'passwd'), SECRET);
  writeFileSync(join(root, 'passwd.yaml'), SECRET);
  writeFileSync(join(root, 'values.yaml'), 'name: root:x:0:0\nfamily: bin/bash\n');
  writeFileSync(join(root, 'inside.yaml'), manifestText('own', 'two.onnx'));
  writeFileSync(join(root, 'leads-out.yaml'), manifestText('own', join(outside, 'two.onnx')));
  writeFileSync(join(outside, 'own.yaml'), manifestText('own', 'two.onnx'));
  symlinkSync(outside, join(root, 'way-out'));
  symlinkSync(join(outside, 'two.onnx'), join(root, 'link.onnx'));
  symlinkSync(join(root, 'two.onnx'), join(root, 'inner.onnx'));
  symlinkSync(join(outside, 'labels.txt'), join(root, 'linked.txt'));
  symlinkSync(join(outside, 'absent'), join(root, 'dangling.onnx'));
  makePipe(join(root, 'pipe.onnx'));
  makePipe(join(root, 'pipe.txt'));
  makePipe(join(root, 'pipe.yaml'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('a model that somebody names over the network', () => {
  it('may be any of the store, by its name', async () => {
    expect((await load('yolox-nano', NOWHERE)).name).toBe('yolox-nano');
  });

  it.each([
    '/dev/ptmx',
    '/dev/zero',
    '/etc/passwd',
    '/proc/self/environ',
    'models/x.yaml',
    '../x.onnx',
    './x.onnx',
    'x.onnx',
    'C:\\x.onnx',
    '/nowhere/at/all',
  ])('may not be in a file without roots, whether it exists or not: %s', async (name) => {
    const { code, message } = await refusal(name, NOWHERE);
    expect([code, message]).toEqual([
      'MODEL_FORBIDDEN',
      expect.stringMatching(/rollout\.modelRoots, which lists none$/),
    ]);
  });

  it('may be in a file below a root, also by a link that stays inside', async () => {
    for (const name of ['two.onnx', 'sub/two.onnx', 'sub/../two.onnx', 'inner.onnx'])
      expect((await load(join(root, name), ROOTS)).classes).toHaveLength(2);
    expect((await load(join(root, 'inside.yaml'), ROOTS)).name).toBe('own');
  });

  it.each(['../private/two.onnx', 'way-out/two.onnx', 'link.onnx', 'two.onnx\0', '../models-of-others/two.onnx'])(
    'may not leave its root: %s',
    async (name) => {
      expect((await refusal(`${root}/${name}`, ROOTS)).code).toBe('MODEL_FORBIDDEN');
    },
  );

  it('is missing where it could be, and forbidden where it could not', async () => {
    expect((await refusal(join(root, 'absent.onnx'), ROOTS)).code).toBe('MODEL_NOT_FOUND');
    expect((await refusal(join(outside, 'absent.onnx'), ROOTS)).code).toBe('MODEL_FORBIDDEN');
    expect((await refusal(join(root, 'dangling.onnx'), ROOTS)).code).not.toBe('MODEL_INVALID');
  });

  it('is refused at once if it is a FIFO below a root', async () => {
    expect((await refusal(join(root, 'pipe.onnx'), ROOTS)).message).toMatch(/it is a pipe/);
    expect((await refusal(join(root, 'pipe.yaml'), ROOTS)).message).toMatch(/it is a pipe/);
    expect((await refusal(join(root, 'two.onnx'), ROOTS, { labels: join(root, 'pipe.txt') })).message).toMatch(
      /it is a pipe/,
    );
  });

  it('quotes nothing of a file that is no manifest', async () => {
    expect((await refusal(join(root, 'passwd.yaml'), ROOTS)).code).toBe('MODEL_INVALID');
    expect((await refusal(join(root, 'values.yaml'), ROOTS)).code).toBe('MODEL_INVALID');
  });

  it('has class names below a root only', async () => {
    const two = join(root, 'two.onnx');
    expect((await load(two, ROOTS, { labels: join(root, 'labels.txt') })).classes).toEqual(['door', 'car']);
    for (const labels of [join(outside, 'labels.txt'), join(root, 'linked.txt'), join(root, 'way-out/labels.txt')])
      expect((await refusal(two, ROOTS, { labels })).code).toBe('MODEL_FORBIDDEN');
  });

  it('has no weights outside of the roots, by its manifest', async () => {
    expect((await refusal(join(root, 'leads-out.yaml'), ROOTS)).code).toBe('MODEL_FORBIDDEN');
  });

  it('may be the one of the pipeline file, and no other beside it', async () => {
    const own = {
      roots: [],
      files: [join(outside, 'two.onnx'), join(outside, 'labels.txt'), join(outside, 'own.yaml')],
    };
    expect((await load(join(outside, 'two.onnx'), own, { labels: join(outside, 'labels.txt') })).classes[0]).toBe(
      'secret one',
    );
    expect((await load(join(outside, 'own.yaml'), own)).name).toBe('own');
    expect((await refusal(join(outside, 'passwd'), own)).code).toBe('MODEL_FORBIDDEN');
    expect((await refusal(join(outside, 'two.onnx/x.onnx'), own)).code).toBe('MODEL_FORBIDDEN');
  });

  it('repeats little of a very long name', async () => {
    expect((await refusal(`/${'x'.repeat(100_000)}.onnx`, NOWHERE)).message.length).toBeLessThan(500);
  });
});

describe('a model that a user of this machine names', () => {
  it('may be in any regular file', async () => {
    expect((await load(join(outside, 'two.onnx'), undefined)).classes).toHaveLength(2);
    await expect(load(join(root, 'pipe.onnx'), undefined)).rejects.toThrow(/it is a pipe, expected a regular file/);
    await expect(load('/dev/zero', undefined)).rejects.toThrow(/it is a device, expected a regular file/);
  });
});
