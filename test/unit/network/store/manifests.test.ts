import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { listManifests, loadManifest, modelSpec } from '../../../../src/network/store/manifests.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-manifests-'));

function writeManifest(change: (document: Record<string, unknown>) => void): string {
  const document = parse(readFileSync('models/centernet/centernet.yaml', 'utf8')) as Record<string, unknown>;
  change(document);
  const path = join(folder, 'mine.yaml');
  writeFileSync(path, stringify(document));
  return path;
}

async function complaint(change: (document: Record<string, unknown>) => void): Promise<string> {
  const error = await loadManifest(writeManifest(change)).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'MODEL_INVALID' });
  return (error as Error).message;
}

describe('the built-in manifests', () => {
  it('include the four guaranteed names, each in a file of that name', async () => {
    const manifests = await listManifests();
    const names = manifests.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['centernet', 'yolox-nano', 'yolox-nano-480x256', 'deimv2-femto']));
    expect(manifests.map(({ path }) => basename(path, '.yaml'))).toEqual(names);
  });

  it('pin the hash and name a source of every file', async () => {
    for (const manifest of await listManifests()) {
      for (const file of manifest.files) {
        expect(file.sha256, file.name).toMatch(/^[0-9a-f]{64}$/);
        expect(file.sources.length, file.name).toBeGreaterThan(0);
      }
    }
  });

  it('provide the default model by npm only, so that a new machine needs no other host', async () => {
    const { files } = await loadManifest('centernet');
    expect(files.flatMap(({ sources }) => sources).every((source) => source.startsWith('npm:'))).toBe(true);
  });

  it('list the classes of COCO: 80, person first, toothbrush last', async () => {
    const { classes } = modelSpec(await loadManifest('deimv2-femto'));
    expect([classes.length, classes[0], classes[2], classes.at(-1)]).toEqual([80, 'person', 'car', 'toothbrush']);
  });
});

describe("a user's manifest", () => {
  it('adds a model of a known family by its path', async () => {
    const manifest = await loadManifest(
      writeManifest((document) => Object.assign(document, { name: 'mine', classes: ['cat'] })),
    );
    expect(modelSpec(manifest)).toMatchObject({ name: 'mine', family: 'centernet', classes: ['cat'] });
  });

  const cases: [string, (document: Record<string, unknown>) => void, string][] = [
    ['an unknown key', (document) => Object.assign(document, { colour: 'red' }), 'manifest: unknown key colour'],
    [
      'text for a number',
      (document) => Object.assign(document.input as object, { width: 'wide' }),
      'input.width: expected number, received "wide" (string)',
    ],
    ['a missing key', (document) => delete document.licence, 'licence: expected object, received nothing'],
    [
      'an unknown family',
      (document) => Object.assign(document, { family: 'yolov3' }),
      'family: expected one of "centernet"|"yolox"|"yolov5"|',
    ],
    [
      'outputs of another family',
      (document) => Object.assign(document, { family: 'deimv2' }),
      'outputs: expected the keys boxes, labels, scores for family deimv2',
    ],
    [
      'only some outputs of a head',
      (document) => Object.assign(document, { family: 'detr', outputs: { boxes: 'pred_boxes' } }),
      'outputs: expected the keys boxes, logits, or predictions, or detections for family detr',
    ],
    [
      'distances without scores',
      (document) =>
        Object.assign(document, {
          family: 'gfl',
          outputs: { 'scores-8': 'a', 'distances-8': 'b', 'distances-16': 'c' },
        }),
      'outputs: expected the keys distances-16, distances-8, scores-16, scores-8 for family gfl',
    ],
    [
      'an unknown kernel',
      (document) => Object.assign(document.input as object, { resize: { mode: 'stretch', kernel: 'lanczos' } }),
      'input.resize.kernel: expected one of "linear"|"antialiased-linear"|"area"|"cubic"|"vips-linear", received "lanczos" (string)',
    ],
    [
      'a deviation of 0',
      (document) => Object.assign(document.input as object, { deviation: [1, 0, 1] }),
      'input.deviation.1: Too small: expected number to be >0, received 0 (number)',
    ],
    [
      'a source with an unknown scheme',
      (document) =>
        Object.assign(document, { files: [{ name: 'a.bin', sha256: null, sources: ['ftp://host/a.bin'] }] }),
      'files.0.sources.0: expected npm:PACKAGE@VERSION#path/in/package, https://... or file:..., received "ftp://host/a.bin"',
    ],
  ];
  it.each(cases)('is rejected for %s, with key, expected and received', async (_, change, expected) => {
    expect(await complaint(change)).toContain(expected);
  });

  it.each([
    ['not known', null, 'ffmpeg'],
    ['0.005', { ap: 0.33, apByFfmpeg: 0.325, on: 'a set' }, 'ffmpeg'],
    ['more than 0.005', { ap: 0.33, apByFfmpeg: 0.3249, on: 'a set' }, 'sharp'],
    ['not measured', { ap: 0.33, on: 'a set' }, 'ffmpeg'],
  ] as const)('says what auto means where the loss by ffmpeg is %s', async (_, reported, resizeBy) => {
    const manifest = await loadManifest(writeManifest((document) => Object.assign(document, { reported })));
    expect(modelSpec(manifest).resizeBy).toBe(resizeBy);
  });

  it('is reported as not found, with the path, if the file is missing', async () => {
    await expect(loadManifest(join(folder, 'none.yaml'))).rejects.toMatchObject({
      code: 'MODEL_NOT_FOUND',
      message: expect.stringContaining('none.yaml'),
    });
  });
});

it('the error for a misspelt name has the nearest and all known names', async () => {
  const error = await loadManifest('yolo-nano').catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'MODEL_NOT_FOUND', details: { nearest: 'yolox-nano' } });
  expect((error as Error).message).toMatch(/Did you mean yolox-nano\?.*centernet.*deimv2-femto/);
});
