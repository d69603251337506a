import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { EngineChoices } from '../../../../src/network/store/engine-choices.ts';
import { knownModels } from '../../../../src/serve/host/known-models.ts';
import type { Environment } from '../../../../src/settings/config/environment.ts';
import { modelConfig } from '../../../../src/settings/config/model-config.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const CPU = cpus()[0]!.model.trim();

function place() {
  const folder = mkdtempSync(join(tmpdir(), 'known-models-'));
  folders.push(folder);
  const environment = { modelPath: [folder], cacheDir: folder } as unknown as Environment;
  const find = async (name: string) =>
    (await knownModels({ model: modelConfig.parse({}), models: {} }, environment)()).find((each) => each.name === name);
  return { folder, environment, find };
}

/** A detector of the user, whose file has the hash that its manifest states. */
function addModel(folder: string, name: string, content: string): void {
  const sha256 = createHash('sha256').update(`${name} weights`).digest('hex');
  writeFileSync(join(folder, `${name}.onnx`), content);
  const manifest = `name: ${name}
family: yolox
description: A test.
licence: null
reported: { ap: 0.31, on: a test }
format: onnx
files: [{ name: ${name}.onnx, sha256: ${sha256}, sources: [] }]
input: { tensor: images, layout: nchw, width: 64, height: 32, colours: bgr, range: [0, 255], resize: { mode: stretch } }
outputs: { predictions: output }
batch: free
classes: [cat, dog]
nmsIou: 0.5
scoreThreshold: 0.3
maxDetections: 10
`;
  writeFileSync(join(folder, `${name}.yaml`), manifest);
}

describe('the models that a host knows', () => {
  it('are its own and those of the user, with labels, AP and whether the weights are here and whole', async () => {
    const { folder, find } = place();
    addModel(folder, 'pets', 'pets weights');
    addModel(folder, 'damaged', 'something else');
    const size = { inputWidth: 64, inputHeight: 32 };
    const facts = { family: 'yolox', ...size, reportedAp: 0.31, reportedOn: null, labels: ['cat', 'dog'], cost: null };
    expect(await find('pets')).toEqual({ name: 'pets', ...facts, isHere: true });
    expect(await find('damaged')).toEqual({ name: 'damaged', ...facts, isHere: false });
    expect((await find('yolox-nano'))?.labels).toHaveLength(80);
  });

  it('cost what the fastest engine took on this processor at their own size', async () => {
    const { folder, find } = place();
    addModel(folder, 'pets', 'pets weights');
    const choices = new EngineChoices(folder);
    const choice = { model: 'pets', inputSize: '64x32', precision: 'auto', cpu: CPU };
    const measured = (engine: string, frameMs: number) => ({ engine, precision: 'f32', frameMs });
    await choices.keep('a', { ...choice, measured: [measured('openvino', 7), measured('onnx', 5)] });
    await choices.keep('b', { ...choice, inputSize: '96x64', measured: [measured('onnx', 1)] });
    await choices.keep('c', { ...choice, cpu: 'another processor', measured: [measured('wasm', 1)] });
    expect((await find('pets'))?.cost).toEqual({ engine: 'onnx', precision: 'f32', frameMs: 5 });
  });

  it('say by which names of the pipeline streams choose them', async () => {
    const { folder, environment } = place();
    addModel(folder, 'pets', 'pets weights');
    const of = (name: string) => modelConfig.parse({ name });
    const models = { day: of('pets'), night: of('pets'), gone: of(join(folder, 'gone.yaml')) };
    const known = await knownModels({ model: of('yolox-nano'), models }, environment)();
    expect(known.filter(({ detectors }) => detectors !== undefined)).toMatchObject([
      { name: 'pets', detectors: ['day', 'night'] },
    ]);
  });

  it('include the configured one, also if it is named by a path, and are listed without it if that is gone', async () => {
    const { folder, environment } = place();
    addModel(join(folder), 'pets', 'pets weights');
    const elsewhere = { ...environment, modelPath: [] };
    const names = async (name: string) =>
      (await knownModels({ model: modelConfig.parse({ name }), models: {} }, elsewhere)()).map((model) => model.name);
    expect(await names(join(folder, 'pets.yaml'))).toContain('pets');
    expect(await names(join(folder, 'gone.yaml'))).not.toContain('pets');
  });
});
