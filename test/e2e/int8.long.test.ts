import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cli, ended, startCli, temporaryFolder } from '../support/cli.ts';
import { hasOpenvino, openvinoDir } from '../support/openvino.ts';
import { sharedDir } from '../support/shared.ts';

interface Report {
  readonly engine: string;
  readonly path: string;
  readonly loss: number;
  readonly measure: string;
  readonly int8Layers: number;
  readonly floatLayers: number;
  readonly layers: readonly { name: string; precision: string; why: string }[];
}

interface Line {
  readonly detections: readonly { classId: number; score: number; box: readonly number[] }[];
}

describe.skipIf(sharedDir === null)('INT8 on the command line (needs the shared folder)', () => {
  const cache = temporaryFolder();
  afterAll(() => cache.remove());
  const shared = sharedDir ?? '.';
  const env = { SIGHTLINE_CACHE_DIR: cache.path, SIGHTLINE_MODEL_PATH: '', OPENVINO_DIR: openvinoDir };
  const model = join(shared, 'models', 'layouts', 'yolov8.onnx');
  const picture = join(shared, 'coco-val-100', 'images', '000000000802.jpg');
  const photos = join(cache.path, 'photos');
  beforeAll(() => {
    mkdirSync(photos);
    for (const name of readdirSync(join(shared, 'calibration-60')).slice(0, 12))
      copyFileSync(join(shared, 'calibration-60', name), join(photos, name));
  });
  const detect = (...flags: string[]) =>
    cli(['detect', picture, '--model', model, '--engine', 'onnx', '--min-score', '0.2', '--out', '-', ...flags], env);
  const compile = (...flags: string[]) => cli(['models', 'compile', model, '--precision', 'int8', ...flags], env);

  it('a model without an INT8 form is refused with the command that makes one', async () => {
    const { code, stderr } = await detect('--precision', 'int8');
    expect(code).toBe(1);
    expect(stderr).toContain(`models compile ${model} --engine onnx --precision int8 --calibration DIR`);
    expect(stderr).toContain('[ENGINE_UNAVAILABLE]');
  });

  it.each(['onnx', ...(hasOpenvino ? ['openvino'] : [])])(
    'compile makes one within the allowance, and says of each layer what became of it: %s',
    async (engine) => {
      const flags = ['--engine', engine, '--calibration', photos, '--max-loss', '0.3', '--json'];
      const { code, stdout, stderr } = await compile(...flags);
      expect(code, stderr).toBe(0);
      const { files } = JSON.parse(stdout) as { files: Report[] };
      expect(files).toHaveLength(1);
      const [report] = files as [Report];
      expect(report).toMatchObject({ engine, measure: 'F1 against float' });
      expect(report.loss).toBeLessThanOrEqual(0.3);
      expect(report.int8Layers).toBeGreaterThan(0);
      expect(report.layers).toHaveLength(report.int8Layers + report.floatLayers);
      expect(report.layers.filter(({ precision }) => precision === 'int8')).toHaveLength(report.int8Layers);
      expect(existsSync(report.path)).toBe(true);
      const beside = JSON.parse(readFileSync(report.path.replace(/\.onnx$/, '.json'), 'utf8')) as Report;
      expect(beside.loss).toBe(report.loss);
    },
    300_000,
  );

  it('detect then computes in INT8, says so, and finds boxes of its own', async () => {
    const [float, int8] = [await detect('--precision', 'f32'), await detect('--precision', 'int8')];
    expect([float.code, int8.code], int8.stderr).toEqual([0, 0]);
    const { detections } = JSON.parse(int8.stdout) as Line;
    expect(detections.length).toBeGreaterThan(0);
    // A network with random weights tells every rounding: the same boxes would be those of float.
    expect(detections).not.toEqual((JSON.parse(float.stdout) as Line).detections);
    const flags = ['--model', model, '--engine', 'onnx', '--precision', 'int8', '--json'];
    const { stdout } = await cli(['detect', picture, ...flags], env);
    expect(JSON.parse(stdout)).toMatchObject({ model: { engine: 'onnx', precision: 'int8' } });
  });

  it.each([
    [['--calibration', 'no-such-place'], 1, 'expected a folder of pictures or a video'],
    [[], 2, 'expected --calibration'],
    [['--calibration', photos, '--images', photos], 2, 'expected --annotations and --images together'],
    [['--calibration', photos, '--max-loss', '2'], 2, 'expected a number from 0 to 1'],
    [['--calibration', photos, '--engine', 'wasm'], 1, 'expected onnx, openvino or auto'],
    [['--calibration', photos, '--engine', 'onnx', '--keep-float', 'nothing'], 2, 'no layer is called nothing'],
  ])('bad flags are refused with what was expected: %j', async (flags, code, message) => {
    const result = await compile(...flags);
    expect([result.code, result.stderr]).toEqual([code, expect.stringContaining(message)]);
  });

  it('ends soon when it is asked to, and writes nothing', async () => {
    const own = temporaryFolder();
    const flags = ['models', 'compile', model, '--precision', 'int8', '--engine', 'onnx', '--calibration', photos];
    const child = startCli(flags, { ...env, SIGHTLINE_CACHE_DIR: own.path });
    child.stderr!.on('data', (text: Buffer) => {
      if (text.toString().includes('ranking')) child.kill('SIGTERM');
    });
    const { code, stderr } = await ended(child);
    expect([code, stderr]).toEqual([2, expect.stringContaining('stopped before the end; nothing was written')]);
    expect(readdirSync(join(own.path, 'compiled')).filter((name) => name.includes('-int8-'))).toEqual([]);
    own.remove();
  }, 120_000);

  it('flags of INT8 are refused for another precision', async () => {
    const { code, stderr } = await cli(['models', 'compile', model, '--calibration', photos], env);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--calibration is for --precision int8')]);
  });
});
