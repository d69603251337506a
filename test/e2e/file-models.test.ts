import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cli, temporaryFolder } from '../support/cli.ts';
import { sharedDir } from '../support/shared.ts';

interface Added {
  readonly name: string;
  readonly path: string;
  readonly trials: { color: string; range: number; resize: string; ap: number }[];
  readonly pictures: { path: string; boxes: number }[];
  readonly doubts: string[];
}

describe.skipIf(sharedDir === null)('ONNX files on the command line (needs the shared folder)', () => {
  const own = temporaryFolder();
  const cache = temporaryFolder();
  afterAll(() => {
    own.remove();
    cache.remove();
  });
  const env = { SIGHTLINE_MODEL_PATH: own.path, SIGHTLINE_CACHE_DIR: cache.path };
  const models = join(sharedDir ?? '.', 'models');
  const data = join(sharedDir ?? '.', 'coco-val-100');
  const images = join(data, 'images');
  const picture = join(images, '000000000802.jpg');

  it('detect runs one without a manifest, with the class names of its metadata', async () => {
    const file = join(models, 'layouts', 'yolo11.onnx');
    const { code, stdout, stderr } = await cli(['detect', picture, '--model', file, '--out', '-'], env);
    expect(code, stderr).toBe(0);
    const { detections } = JSON.parse(stdout) as { detections: { label: string }[] };
    expect(detections.length).toBeGreaterThan(0);
    for (const { label } of detections) expect(["driver's hat", 'box, open', 'Tür: blau']).toContain(label);
  });

  it.each(['yolov8_nms.onnx', 'rtdetr.onnx'])(
    'detect finds the same objects in a photograph as the reference: %s',
    async (name) => {
      const file = join(models, 'layouts', name);
      const { layouts } = JSON.parse(readFileSync(join(models, 'layouts', 'expected.json'), 'utf8')) as {
        layouts: {
          file: string;
          scoreThreshold: number;
          detections: { classId: number; score: number; box: number[] }[];
        }[];
      };
      const { scoreThreshold, detections: expected } = layouts.find((layout) => layout.file === name)!;
      const flags = ['--model', file, '--min-score', `${scoreThreshold}`, '--out', '-'];
      const { code, stdout, stderr } = await cli(['detect', picture, ...flags], env);
      expect(code, stderr).toBe(0);
      const { detections } = JSON.parse(stdout) as { detections: typeof expected };
      expect(detections).toHaveLength(expected.length);
      for (const { classId, score, box } of expected) {
        const isSame = (other: (typeof expected)[number]) =>
          other.classId === classId &&
          Math.abs(other.score - score) <= 1e-3 &&
          other.box.every((value, at) => Math.abs(value - box[at]!) <= 0.5);
        expect(detections.some(isSame), `class ${classId} at ${box}`).toBe(true);
      }
    },
  );

  it.each(['yolox_nano_416', 'deimv2_femto_416', 'picodet_s_416', 'nanodet_m_416'])(
    '%s finds the refrigerator and the oven of a kitchen without any flags',
    async (name) => {
      const args = ['detect', picture, '--model', join(models, `${name}.onnx`), '--out', '-'];
      const { code, stdout, stderr } = await cli(args, env);
      expect(code, stderr).toBe(0);
      const { detections } = JSON.parse(stdout) as { detections: { label: string; score: number }[] };
      const sure = detections.filter(({ score }) => score > 0.5).map(({ label }) => label);
      expect(sure).toEqual(expect.arrayContaining(['refrigerator', 'oven']));
    },
  );

  it('a segmentation network gives masks; random bytes are refused in one line that does not quote them', async () => {
    const out = join(own.path, 'masks.jsonl');
    const seg = await cli(
      ['detect', picture, '--model', join(models, 'layouts', 'yolov8_seg.onnx'), '--out', out],
      env,
    );
    expect([seg.code, seg.stderr]).toEqual([0, expect.any(String)]);
    const { width, height, detections } = JSON.parse(readFileSync(out, 'utf8').split('\n')[0]!);
    expect(detections.length).toBeGreaterThan(0);
    for (const { mask } of detections) expect(mask).toEqual({ size: [height, width], counts: expect.any(String) });
    const broken = join(own.path, 'broken.onnx');
    writeFileSync(
      broken,
      Uint8Array.from({ length: 5000 }, (_, at) => Math.imul(at + 1, 2654435761) >>> 24),
    );
    const steering = await cli(['detect', picture, '--model', 'no\u001b[2Jthing.onnx'], env);
    expect(steering.stderr).toContain('no?[2Jthing.onnx');
    const { code, stderr } = await cli(['detect', picture, '--model', broken], env);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: [\x20-\x7e]*broken\.onnx: [\x20-\x7e]+ \[MODEL_INVALID\]\n$/);
  });

  it('models add chooses channel order, range and resize rule by average precision, and the model can be used by name', async () => {
    const dataset = JSON.parse(readFileSync(join(data, 'instances.json'), 'utf8')) as {
      images: { id: number }[];
      annotations: { image_id: number }[];
    };
    const some = dataset.images.slice(0, 12);
    const ids = new Set(some.map(({ id }) => id));
    const annotations = dataset.annotations.filter(({ image_id }) => ids.has(image_id));
    const labels = join(own.path, 'few.json');
    writeFileSync(labels, JSON.stringify({ ...dataset, images: some, annotations }));
    const file = join(models, 'yolox_nano_416.onnx');
    const flags = ['--name', 'mine', '--images', images, '--annotations', labels, '--json'];
    const { code, stdout, stderr } = await cli(['models', 'add', file, ...flags], env);
    expect(code, stderr).toBe(0);
    const added = JSON.parse(stdout) as Added;
    expect(added).toMatchObject({ name: 'mine', path: join(own.path, 'mine.yaml'), doubts: [] });
    const ap = (color: string, range: number) =>
      Math.max(...added.trials.filter((trial) => trial.color === color && trial.range === range).map((t) => t.ap));
    expect(ap('bgr', 255)).toBeGreaterThan(ap('rgb', 255));
    expect(ap('bgr', 255)).toBeGreaterThan(ap('bgr', 1) + 0.2);
    expect(readFileSync(added.path, 'utf8')).toMatch(/colours: bgr\n {2}range:\n {4}- 0\n {4}- 255\n/);
    expect(added.pictures).toHaveLength(8);
    for (const { path } of added.pictures) expect(readFileSync(path).subarray(0, 2)).toEqual(Buffer.from([0xff, 0xd8]));

    const listed = await cli(['models', 'list'], env);
    expect(listed.stdout).toMatch(/^mine +416x416 .* local /m);
    const detected = await cli(['detect', picture, '--model', 'mine', '--json'], env);
    expect(JSON.parse(detected.stdout)).toMatchObject({ model: { name: 'mine' }, inputs: [{ error: null }] });
    const again = await cli(['models', 'add', file, '--name', 'mine', '--images', images], env);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('--force')]);
  }, 120_000);

  it('models add writes into the folder of --into, which it makes, and says how to use the model there', async () => {
    const into = join(cache.path, 'deep', 'folder');
    const flags = ['--name', 'there', '--images', images, '--into', into];
    const { code, stdout, stderr } = await cli(['models', 'add', join(models, 'yolox_nano_416.onnx'), ...flags], env);
    expect(code, stderr).toBe(0);
    const path = join(into, 'there.yaml');
    expect(stdout).toContain(`use it with --model ${path}`);
    const detected = await cli(['detect', picture, '--model', path, '--json'], env);
    expect(JSON.parse(detected.stdout)).toMatchObject({ model: { name: 'there' }, inputs: [{ error: null }] });
  });

  it('models add warns if the result looks wrong', async () => {
    const file = join(models, 'yolox_nano_416.onnx');
    const flags = ['--name', 'wrong', '--range', '1', '--images', images];
    const { code, stdout, stderr } = await cli(['models', 'add', file, ...flags], env);
    expect(code).toBe(0);
    expect(stderr).toContain('no box in any of 8 pictures: the settings look wrong');
    expect(stdout).toContain('The result looks wrong');
    const random = await cli(['models', 'add', join(models, 'layouts', 'yolov8.onnx'), '--images', images], env);
    expect(random.stderr).toContain('have 100 boxes or more: the settings look wrong');
  });
});
