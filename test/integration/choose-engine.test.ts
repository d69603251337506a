import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { candidates } from '../../src/frame/runtime/model/choose-engine.ts';
import type { EngineChoice } from '../../src/network/store/engine-choices.ts';
import { nvidiaDriver } from '../../src/network/store/tensorflow/nvidia-driver.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { centernet } from '../conformance/engine-cases.ts';
import { modelPlaces } from '../support/model-places.ts';
import { hasOpenvino, openvinoDir } from '../support/openvino.ts';

const hasModel = hasOpenvino && (await centernet('openvino')) !== null;

describe('what engine auto tries', () => {
  const cacheDir = mkdtempSync(join(tmpdir(), 'sightline-auto-'));
  afterAll(() => rmSync(cacheDir, { recursive: true }));
  const notices: string[] = [];

  function chosen(model: object, openvino: string | undefined): ReturnType<typeof candidates> {
    const { model: config, batch } = parsePipeline(
      JSON.stringify({ name: 'auto', description: 'Chooses an engine.', model: { name: 'yolox-nano', ...model } }),
      'test',
    );
    const environment = {
      ffmpegPath: undefined,
      searchPath: '',
      modelPath: [...modelPlaces.modelPath, join(modelPlaces.cacheDir, 'weights', 'centernet')],
      cacheDir,
      token: undefined,
      openvinoDir: openvino,
    };
    return candidates({ model: config, batch, environment, onNotice: (text) => notices.push(text) });
  }

  async function tried(model: object, openvino: string | undefined): Promise<readonly string[]> {
    return (await chosen(model, openvino)).engines;
  }

  it.each([
    [{ engine: 'wasm' }, ['wasm']],
    [{ provider: 'cuda' }, ['onnx']],
    [{ provider: 'npu' }, ['openvino']],
    [{ precision: 'bf16' }, ['openvino']],
  ])('%j leaves one engine', async (model, expected) => {
    expect(await chosen(model, undefined)).toEqual({ engines: expected, choice: null });
  });

  it.skipIf(nvidiaDriver() !== null)('without OpenVINO: onnx, then wasm for the files that it reads', async () => {
    expect(await tried({}, undefined)).toEqual(['onnx']);
    expect(await tried({ name: 'centernet' }, undefined)).toEqual(['onnx', 'wasm']);
  });

  it.skipIf(nvidiaDriver() !== null)('an OPENVINO_DIR without OpenVINO is an error, not another engine', async () => {
    await expect(tried({}, '/nowhere')).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
  });

  it.skipIf(!hasModel || nvidiaDriver() !== null)(
    'with OpenVINO: what it measured once, the faster one first',
    async () => {
      const model = { name: 'centernet', precision: 'f32' };
      const order = await tried(model, openvinoDir);
      expect([...order].sort()).toEqual(['onnx', 'openvino', 'wasm']);
      expect(order.at(-1)).toBe('wasm');
      expect(notices.filter((text) => text.startsWith('engine auto: centernet 512x512'))).toHaveLength(1);
      const folder = join(cacheDir, 'engine-choices');
      const [name] = readdirSync(folder);
      const kept = JSON.parse(readFileSync(join(folder, name!), 'utf8')) as EngineChoice;
      const [first, second] = kept.measured;
      expect([first!.engine, second!.engine]).toEqual(order.slice(0, 2));
      expect(first!.frameMs).toBeLessThanOrEqual(second!.frameMs);
      expect((await chosen(model, openvinoDir)).choice).toEqual(kept);

      // What is kept decides from now on: with the two in the other order it is the other engine that comes first.
      writeFileSync(join(folder, name!), JSON.stringify({ ...kept, measured: [second, first] }));
      expect(await tried(model, openvinoDir)).toEqual([second!.engine, first!.engine, 'wasm']);
      expect(notices.filter((text) => text.startsWith('engine auto: centernet'))).toHaveLength(1);
    },
  );
});
