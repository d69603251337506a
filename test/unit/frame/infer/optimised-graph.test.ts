import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { worthKeeping } from '../../../../src/frame/infer/inference-engine.ts';
import { OnnxEngine } from '../../../../src/frame/infer/onnx-engine.ts';
import { OptimisedGraph } from '../../../../src/frame/infer/optimised-graph.ts';
import { emitOnnx } from '../../../../src/network/compile/onnx/emit-onnx.ts';
import { CASE_SIZE, operatorGraph, pick } from '../../network/compile/operator-cases.ts';

function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'sightline-optimised-'));
}

function load(path: string, batchSizes: readonly number[] | null = null): Promise<OnnxEngine> {
  const input = { ...CASE_SIZE, resize: { mode: 'stretch' as const } };
  const spec = {
    name: 'net',
    family: 'yolox' as const,
    input,
    classes: ['a'],
    nmsIou: null,
    classesPerBox: 'best' as const,
  };
  return OnnxEngine.load({
    engine: 'onnx',
    provider: 'cpu',
    model: {
      spec: { ...spec, scoreThreshold: 0.3, maxDetections: 10 },
      format: 'onnx',
      path,
      precision: 'f32',
      batch: 'free',
      hash: '',
    },
    maxBatch: 1,
    batchSizes,
    intraThreads: 1,
    fake: { callMs: 0, frameMs: 0, rows: [] },
  });
}

async function outputOf(path: string): Promise<Float32Array> {
  const engine = await load(path);
  engine.inputBuffer(1).forEach((_, at, memory) => {
    memory[at] = (at * 7) % 256;
  });
  const [output] = [...(await engine.infer(1)).values()];
  const copy = Float32Array.from(output!.data as Float32Array);
  await engine.close();
  return copy;
}

describe('the graph optimised by ONNX Runtime', () => {
  const bytes = emitOnnx(operatorGraph(pick('conv, stride 2, padding on both sides')));

  it('is cached beside the model, and returns bit-identical results', async () => {
    const path = join(newFolder(), 'net.onnx');
    writeFileSync(path, bytes);
    const first = await outputOf(path);
    const files = readdirSync(join(path, '..')).filter((name) => !name.endsWith('.sha256'));
    expect(files).toEqual([expect.stringMatching(/^net\.[0-9a-f]{12}\.optimised\.onnx$/), 'net.onnx']);
    expect(readFileSync(join(path, '..', files[0]!)).equals(bytes)).toBe(false);
    expect(first.some((value) => value !== 0)).toBe(true);
    expect(await outputOf(path)).toEqual(first);
    expect(readdirSync(join(path, '..')).filter((name) => !name.endsWith('.sha256'))).toEqual(files);
  });

  it('is written again if it is damaged or the model changes', async () => {
    const path = join(newFolder(), 'net.onnx');
    writeFileSync(path, bytes);
    const first = await outputOf(path);
    const graph = new OptimisedGraph(path, '1');
    const [name] = readdirSync(join(path, '..')).filter((file) => file.includes('optimised'));
    writeFileSync(join(path, '..', name!), 'no graph');
    expect(await outputOf(path)).toEqual(first);
    expect(readFileSync(join(path, '..', name!), 'latin1')).not.toBe('no graph');
    writeFileSync(path, emitOnnx(operatorGraph(pick('relu', 'conv, dilated'))));
    expect(new OptimisedGraph(path, '1').path).not.toBe(graph.path);
  });

  it('is not used once the disk has changed it, and is written again', async () => {
    const path = join(newFolder(), 'net.onnx');
    writeFileSync(path, emitOnnx(operatorGraph(pick('relu', 'conv, dilated'))));
    const first = await outputOf(path);
    const damagedFile = async (): Promise<string | null> => {
      const engine = await load(path);
      await engine.close();
      return engine.damagedFile;
    };
    expect(await damagedFile()).toBeNull();
    const name = readdirSync(join(path, '..')).find((file) => file.endsWith('optimised.onnx'))!;
    const file = join(path, '..', name);
    const bytes = readFileSync(file);
    // The last bytes but a few are those of weights: the library would load them without a complaint.
    const changed = Buffer.from(bytes);
    for (let i = 0; i < changed.length; i += 1) if (bytes[i] === 0x3f) changed[i] = 0x40;
    writeFileSync(file, changed);
    expect(await outputOf(path)).toEqual(first);
    expect(readFileSync(file).equals(changed)).toBe(false);
    writeFileSync(file, changed);
    expect(await damagedFile()).toBe(file);
    expect(await damagedFile()).toBeNull();
    rmSync(`${file}.sha256`);
    expect(await outputOf(path)).toEqual(first);
    expect(readdirSync(join(path, '..'))).toContain(`${name}.sha256`);
  });

  it('is left out if it cannot be written', async () => {
    const graph = new OptimisedGraph(join(newFolder(), 'net.onnx'), '1');
    const tried: (string | undefined)[] = [];
    const opened = await graph.write((path) => {
      tried.push(path);
      return path === undefined ? Promise.resolve('plain') : Promise.reject(new Error('read-only file system'));
    });
    expect(opened).toBe('plain');
    expect(tried).toEqual([expect.stringContaining('.tmp'), undefined]);
    expect(await graph.isIntact()).toBe(false);
  });

  it('has a different name for another version of the library', () => {
    const path = join(newFolder(), 'net.onnx');
    expect(new OptimisedGraph(path, '2').path).not.toBe(new OptimisedGraph(path, '1').path);
  });
});

it('requested batch sizes are kept, also if the graph is optimised first', async () => {
  const path = join(newFolder(), 'net.onnx');
  writeFileSync(path, emitOnnx(operatorGraph(pick('relu'))));
  for (const _ of ['first', 'later']) {
    const engine = await load(path, [1, 3]);
    expect(engine.info.batchSizes).toEqual([1, 3]);
    expect(engine.info.warmMs).toHaveLength(2);
    await engine.close();
  }
});

describe('worthKeeping', () => {
  it.each([
    ['only 1 if no larger size gains 10 %', [1, 2], [10, 18.5], [1]],
    ['all sizes if the largest is the best', [1, 2, 4], [10, 14, 20], [1, 2, 4]],
    ['the sizes up to the smallest that is within 10 % of the best', [1, 2, 4, 8], [10, 14, 20, 39], [1, 2, 4]],
  ])('returns %s', (_, batchSizes, warmMs, kept) => {
    expect(worthKeeping({ batchSizes, warmMs })).toEqual(kept);
  });
});
