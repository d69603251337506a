import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cli, temporaryFolder } from '../support/cli.ts';
import { hasOpenvino, openvinoDir } from '../support/openvino.ts';
import { sharedDir } from '../support/shared.ts';
import { hasTensorflow } from '../support/tensorflow.ts';

interface Row {
  readonly engine: string;
  readonly precision: string;
  readonly output: string;
  readonly maxRel: number;
  readonly meanAbs: number;
}

describe.skipIf(sharedDir === null)('models compile and verify (needs the shared folder)', () => {
  const cache = temporaryFolder();
  afterAll(() => cache.remove());
  const env = {
    SIGHTLINE_MODEL_PATH: join(sharedDir ?? '.', 'models'),
    SIGHTLINE_CACHE_DIR: cache.path,
    OPENVINO_DIR: openvinoDir,
  };
  const images = ['--images', join(sharedDir ?? '.', 'coco-val-100', 'images')];
  const verify = (...flags: string[]) => cli(['models', 'verify', 'yolox-nano', ...images, ...flags], env);

  it('verify compares every available engine at every precision', async () => {
    const { stdout, stderr, code } = await verify('--json');
    expect(code, stderr).toBe(0);
    const { outputs } = JSON.parse(stdout) as { outputs: Row[] };
    const compared = outputs.map(({ engine, precision, output }) => `${engine} ${precision} ${output}`);
    const onnx = ['onnx f32 predictions', 'onnx f16 predictions'];
    const tensorflow = ['tensorflow f32 predictions', 'tensorflow f16 predictions'];
    const openvino = ['openvino f32 predictions', 'openvino bf16 predictions', 'openvino f16 predictions'];
    expect(compared).toEqual([
      ...onnx,
      ...openvino.filter((row) => hasOpenvino && compared.includes(row)),
      ...(hasTensorflow ? tensorflow : []),
    ]);
    if (hasOpenvino) expect(compared).toContain(openvino[0]);
    else expect(stderr).toContain('sightline setup openvino');
    if (!hasTensorflow) expect(stderr).toContain('sightline setup tensorflow');
    for (const { precision, maxRel, meanAbs } of outputs) {
      if (precision === 'f32') expect(maxRel).toBeLessThan(5e-4);
      else expect(meanAbs).toBeLessThan(0.01);
    }
  }, 240_000);

  it('verify compares only the engine and precision of the flags', async () => {
    const { stdout, stderr, code } = await verify('--engine', 'onnx', '--precision', 'f16');
    expect(code, stderr).toBe(0);
    const [heading, ...rows] = stdout.trim().split('\n');
    expect(heading).toMatch(/^engine +precision +output +largest difference +relative +mean +images$/);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatch(/^onnx +f16 +predictions +\S+ +\S+ +\S+ +16$/);
  });

  it('verify of an engine without compiled models lists the engines that have them', async () => {
    const { stderr, code } = await verify('--engine', 'wasm');
    expect(code).toBe(1);
    expect(stderr).toContain('expected one of onnx, openvino, tensorflow');
  });

  it.skipIf(hasTensorflow)('verify of an engine that is not set up names the set-up command', async () => {
    const { stderr, code } = await verify('--engine', 'tensorflow');
    expect(code).toBe(1);
    expect(stderr).toContain('sightline setup tensorflow');
  });

  it('compile needs no engine and prints the path of the SavedModel', async () => {
    const flags = ['--engine', 'tensorflow', '--precision', 'f16', '--input-size', '480x256'];
    const { stdout, stderr, code } = await cli(['models', 'compile', 'yolox-nano', ...flags], env);
    expect(code, stderr).toBe(0);
    expect(stdout.trim()).toMatch(/compiled\/yolox-nano-480x256-f16-[0-9a-f]{16}\.saved-model$/);
  });
});
