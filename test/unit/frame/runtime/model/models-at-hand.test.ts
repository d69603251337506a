import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { modelsAtHand } from '../../../../../src/frame/runtime/model/models-at-hand.ts';
import { EngineChoices } from '../../../../../src/network/store/engine-choices.ts';
import { loadManifest } from '../../../../../src/network/store/manifests.ts';
import { packageRoot } from '../../../../../src/network/store/package-root.ts';
import { modelConfig } from '../../../../../src/settings/config/model-config.ts';
import type { EngineInfo } from '../../../../../src/wire/protocol/threads.ts';

const WEIGHTS = 'weights of a small network';
const HASH = createHash('sha256').update(WEIGHTS).digest('hex');
const INFO: EngineInfo = {
  engine: 'onnx',
  provider: 'cpu',
  device: 'CPU',
  precision: 'f32',
  callsInFlight: 2,
  batchSizes: [1, 4],
  warmMs: [40, 150],
};

describe('modelsAtHand', () => {
  let folder: string;
  let choices: EngineChoices;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-at-hand-'));
    choices = new EngineChoices(folder);
    place('slow');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Puts a detector as `yolox-nano` into the folder, with weights. */
  function place(name: string, change: (text: string) => string = (text) => text): void {
    const text = readFileSync(join(packageRoot(), 'models/yolox/yolox-nano.yaml'), 'utf8')
      .replace('name: yolox-nano\n', `name: ${name}\n`)
      .replace(/yolox_nano_416\.onnx/, `${name}.onnx`)
      .replace(/sha256: \w+/, `sha256: ${HASH}`)
      .replace(/weights: \[\w+\]/, `weights: [${HASH}]`);
    writeFileSync(join(folder, `${name}.yaml`), change(text));
    writeFileSync(join(folder, `${name}.onnx`), WEIGHTS);
  }

  function keep(model: string, onnxMs: number, inputSize = '416x416', openvinoMs = onnxMs / 2): Promise<void> {
    const measured = [
      { engine: 'openvino', precision: 'bf16', frameMs: openvinoMs },
      { engine: 'onnx', precision: 'f32', frameMs: onnxMs },
    ];
    return choices.keep(`${model}-${inputSize}`, { model, inputSize, precision: 'auto', cpu: 'x', measured });
  }

  async function find(engine: 'onnx' | 'auto' | 'wasm' = 'onnx', info = INFO) {
    const { classes } = await loadManifest('yolox-nano');
    const model = modelConfig.parse({ name: 'slow', engine });
    const environment = {
      ffmpegPath: undefined,
      searchPath: '',
      modelPath: [folder],
      cacheDir: folder,
      token: undefined,
    };
    return modelsAtHand({ name: 'slow', inputSize: '512x512', classes, info }, { model, environment });
  }

  it('are those that were measured here on the present engine, and how that is known', async () => {
    place('small');
    place('never-measured');
    await keep('small', 8);
    expect(await find()).toEqual([
      {
        name: 'small',
        speedup: 5,
        basis: '8.0 instead of 40.0 ms a frame, measured once on this machine on onnx f32',
      },
    ]);
  });

  it('are those that a roll-out takes without labels: no worse by their manifests, or of one family if one states nothing', async () => {
    place('worse', (text) => text.replace('ap: 0.3376', 'ap: 0.31'));
    place('better', (text) => text.replace('ap: 0.3376', 'ap: 0.35'));
    place('silent', (text) => text.replace(/reported:\n(?: {2}.*\n)+/, 'reported: null\n'));
    for (const name of ['worse', 'better', 'silent']) await keep(name, 8);
    expect((await find()).map(({ name }) => name).toSorted()).toEqual(['better', 'silent']);
  });

  it('are compared with the same measurement of the present model, if there is one', async () => {
    place('small');
    await keep('small', 8);
    await keep('slow', 32, '512x512');
    expect((await find()).map(({ speedup }) => speedup)).toEqual([4]);
  });

  it('may run on the fastest engine if auto chooses, but on no other engine than the one that was named', async () => {
    place('small');
    await keep('small', 8);
    const wasm = { ...INFO, engine: 'wasm' };
    expect((await find('auto', wasm)).map(({ speedup }) => speedup)).toEqual([10]);
    expect(await find('wasm', wasm)).toEqual([]);
  });

  it('have the same classes and input size, and files on this machine: nothing is fetched', async () => {
    place('other-classes', (text) => text.replace('classes: coco-80', 'classes: [cat, dog]'));
    place('other-size');
    await keep('other-classes', 8);
    await keep('other-size', 8, '320x320');
    await keep('gone', 8);
    place('without-weights');
    rmSync(join(folder, 'without-weights.onnx'));
    await keep('without-weights', 8);
    expect(await find()).toEqual([]);
  });
});
