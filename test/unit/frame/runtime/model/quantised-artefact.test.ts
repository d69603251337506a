import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { CompiledModel } from '../../../../../src/base/core/model.ts';
import {
  keepQuantised,
  quantisedModel,
  quantisedPath,
  quantisedReportPath,
} from '../../../../../src/frame/runtime/model/quantised-artefact.ts';
import { tinyModel } from '../../../../conformance/engine-cases.ts';
import { quantisedModel as publishedInInt8 } from '../../../../support/quantised-model.ts';

describe('the INT8 form of a compiled model', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-int8-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'tiny-12x8-f32-0123456789abcdef.onnx');
  copyFileSync(tinyModel().path, path);
  const float: CompiledModel = { ...tinyModel(), path, hash: 'a'.repeat(64) };

  it('that was not made yet is an error that says how to make it', async () => {
    await expect(quantisedModel(float, 'openvino', './tiny.onnx')).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringContaining(
        'sightline models compile ./tiny.onnx --engine openvino --precision int8 --calibration DIR',
      ),
    });
  });

  it('has a name of its own for each float file', () => {
    const other = quantisedPath({ ...float, hash: 'b'.repeat(64) });
    expect(quantisedPath(float)).toMatch(/tiny-12x8-int8-[0-9a-f]{16}\.onnx$/);
    expect(other).not.toBe(quantisedPath(float));
  });

  it('is found once it is kept, its hash changes with its content, and it is not used once the disk has changed it', async () => {
    const bytes = readFileSync(publishedInInt8().path);
    const kept = await keepQuantised(float, bytes, { loss: 0.01 });
    const first = await quantisedModel(float, 'onnx', 'tiny');
    expect(first).toMatchObject({ path: kept, spec: float.spec, batch: float.batch });
    expect(JSON.parse(readFileSync(quantisedReportPath(kept), 'utf8'))).toEqual({ loss: 0.01 });
    const again = Buffer.concat([bytes, Buffer.from([0x20, 0x01])]);
    writeFileSync(kept, again);
    await expect(quantisedModel(float, 'onnx', 'tiny')).rejects.toMatchObject({
      code: 'MODEL_INTEGRITY',
      message: expect.stringMatching(
        /has changed on the disk.*Make it again with: sightline models compile tiny --engine onnx/,
      ),
    });
    rmSync(`${kept}.sha256`);
    await expect(quantisedModel(float, 'onnx', 'tiny')).rejects.toMatchObject({ code: 'MODEL_INTEGRITY' });
    await keepQuantised(float, again, { loss: 0.01 });
    const second = await quantisedModel(float, 'onnx', 'tiny');
    expect(second.hash).not.toBe(first.hash);
    expect(first.hash).not.toBe(float.hash);
  });

  it('of a file that was published in INT8 is that file', async () => {
    const model = publishedInInt8();
    expect(await quantisedModel(model, 'onnx', 'tiny')).toBe(model);
    expect(existsSync(quantisedPath({ ...model, path: model.path.replace('tiny', 'tiny-f32-00') }))).toBe(false);
  });
});
