import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runCompiled } from '../../../../src/frame/runtime/model/run-compiled.ts';
import { type CompileOptions, compileModel } from '../../../../src/network/compile/compile-model.ts';
import { halfToFloat } from '../../../../src/network/compile/half.ts';
import { windowPadding } from '../../../../src/network/compile/tfjs/convolutions.ts';
import { verifyModel } from '../../../../src/network/compile/verify/verify-model.ts';
import { mountSmallDisk } from '../../../support/small-disk.ts';
import { hasTensorflow } from '../../../support/tensorflow.ts';
import { MINI_SIZE, writeMiniCenternet } from './mini-centernet.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-tfjs-'));
const source = writeMiniCenternet(join(folder, 'mini'));
const options: CompileOptions = { engine: 'onnx', precision: 'f32', cacheDir: folder };

/** Random weights amplify the rounding of TensorFlow's summation order; a different network differs by 1e-3. */
const ROUNDING = 5e-4;

function picture({ width, height }: typeof MINI_SIZE, seed: number): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, at) => (Math.imul(at + seed, 2654435761) >>> 11) & 255);
}

describe.skipIf(!hasTensorflow)('a TensorFlow.js graph model compiled to a SavedModel', () => {
  const savedModel: CompileOptions = { ...options, engine: 'tensorflow' };

  it('returns what TensorFlow.js itself returns, in a batch and one by one', async () => {
    const frames = [1, 2, 3, 4].map((seed) => picture(MINI_SIZE, seed));
    const rows = await verifyModel(source, await compileModel(source, savedModel), frames, runCompiled);
    expect(rows.map(({ output }) => output)).toEqual(['boxes', 'scores']);
    for (const row of rows) expect(row.maxRel, row.output).toBeLessThan(ROUNDING);
  });

  it('returns at another shape what the same network published at that shape returns', async () => {
    const size = { width: 128, height: 96 };
    const published = writeMiniCenternet(join(folder, 'wide-saved'), undefined, size);
    const compiled = await compileModel(source, { ...savedModel, inputSize: size });
    const rows = await verifyModel(published, compiled, [picture(size, 5), picture(size, 6)], runCompiled);
    for (const row of rows) expect(row.maxRel, row.output).toBeLessThan(ROUNDING);
  });
});

describe('the folder of a SavedModel', () => {
  it('appears atomically, even if several processes compile it at once', async () => {
    const own: CompileOptions = { ...options, engine: 'tensorflow', cacheDir: join(folder, 'at-once') };
    const models = await Promise.all([1, 2, 3].map(() => compileModel(source, own)));
    expect(models[0]).toMatchObject({ format: 'saved-model', batch: 'free', precision: 'f32' });
    expect(new Set(models.map(({ path }) => path))).toEqual(new Set([models[0]!.path]));
    const name = basename(models[0]!.path);
    expect(readdirSync(join(folder, 'at-once', 'compiled'))).toEqual([name, `${name}.sha256`]);
    expect(readdirSync(models[0]!.path)).toEqual(['saved_model.pb']);
  });

  it('leaves no files behind if the rename fails', async () => {
    const own: CompileOptions = { ...options, engine: 'tensorflow', cacheDir: join(folder, 'taken') };
    const { path } = await compileModel(source, own);
    const compiled = dirname(path);
    rmSync(path, { recursive: true });
    // A dangling link does not exist for a reader, and cannot be replaced by a folder.
    symlinkSync(join(folder, 'nowhere'), path);
    await expect(compileModel(source, own)).rejects.toThrow(/ENOTDIR|EEXIST/);
    expect(readdirSync(compiled)).toEqual([basename(path), `${basename(path)}.sha256`]);
  });

  const smallDisk = mountSmallDisk(join(folder, 'small'), 8);
  afterAll(() => smallDisk?.remove());

  it.skipIf(smallDisk === null)('leaves no files behind on a full disk (needs to mount a small disk)', async () => {
    const own: CompileOptions = { ...options, engine: 'tensorflow', cacheDir: smallDisk!.path };
    await expect(compileModel(source, own)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(readdirSync(join(smallDisk!.path, 'compiled'))).toEqual([expect.stringMatching(/\.saved-model\.sha256$/)]);
  });

  it('has a different name than the files of other engines and precisions', async () => {
    const models = await Promise.all(
      (['onnx', 'tensorflow'] as const).flatMap((engine) =>
        (['f32', 'f16'] as const).map((precision) => compileModel(source, { ...options, engine, precision })),
      ),
    );
    const names = models.map(({ path }) => basename(path).replace(/-[0-9a-f]{16}\./, '-HASH.'));
    expect(names).toEqual([
      'mini-64x64-f32-HASH.onnx',
      'mini-64x64-f16-HASH.onnx',
      'mini-64x64-f32-HASH.saved-model',
      'mini-64x64-f16-HASH.saved-model',
    ]);
    expect(new Set(models.map(({ hash }) => hash)).size).toBe(4);
  });
});

describe('a TensorFlow.js graph model compiled to ONNX', () => {
  it('returns what TensorFlow.js itself returns, in a batch and one by one', async () => {
    const frames = [1, 2, 3, 4].map((seed) => picture(MINI_SIZE, seed));
    const rows = await verifyModel(source, await compileModel(source, options), frames, runCompiled);
    expect(rows.map(({ output, images }) => [output, images])).toEqual([
      ['boxes', 4],
      ['scores', 4],
    ]);
    for (const row of rows) expect(row.maxRel, row.output).toBeLessThan(1e-4);
  });

  it('differs measurably from a network with one different activation', async () => {
    const other = writeMiniCenternet(join(folder, 'other'), (nodes) => {
      nodes.find(({ name }) => name === 'gate')!.op = 'Relu';
    });
    const rows = await verifyModel(other, await compileModel(source, options), [picture(MINI_SIZE, 1)], runCompiled);
    for (const row of rows) expect(row.maxRel, row.output).toBeGreaterThan(1e-3);
  });

  it('returns at another shape what the same network published at that shape returns', async () => {
    const size = { width: 128, height: 96 };
    const published = writeMiniCenternet(join(folder, 'wide'), undefined, size);
    const compiled = await compileModel(source, { ...options, inputSize: size });
    expect(compiled.spec.input).toMatchObject(size);
    const rows = await verifyModel(published, compiled, [picture(size, 5), picture(size, 6)], runCompiled);
    for (const row of rows) expect(row.maxRel, row.output).toBeLessThan(1e-4);
  });

  it('is compiled once: the same source and options give the same file', async () => {
    const own = { ...options, cacheDir: join(folder, 'once') };
    const first = await compileModel(source, own);
    const files = readdirSync(join(folder, 'once', 'compiled'));
    expect(await compileModel(source, own)).toEqual(first);
    expect(readdirSync(join(folder, 'once', 'compiled'))).toEqual(files);
    expect(files.filter((name) => !/\.onnx(?:\.sha256)?$/.test(name))).toEqual([]);
  });

  it('takes u8 frames in its only input, with a free batch', async () => {
    const model = await compileModel(source, options);
    expect(model).toMatchObject({ format: 'onnx', batch: 'free', precision: 'f32' });
    const frames = [1, 2, 3].map((seed) => picture(MINI_SIZE, seed));
    const together = await runCompiled(model, frames);
    const alone = await Promise.all(frames.map(async (frame) => (await runCompiled(model, [frame]))[0]));
    expect(together).toEqual(alone);
  });

  it('reports an unsupported operator and its node', async () => {
    const strange = writeMiniCenternet(join(folder, 'strange'), (nodes) => {
      nodes.find(({ name }) => name === 'features')!.op = 'Selu';
    });
    await expect(compileModel(strange, options)).rejects.toMatchObject({
      code: 'COMPILE_UNSUPPORTED',
      message: 'model mini: operator Selu at node features: this operator is not supported',
    });
  });

  it('rejects weights that were cut off, at any byte', async () => {
    const cut = writeMiniCenternet(join(folder, 'cut'));
    const binary = readFileSync(cut.weightPaths[1]!);
    for (const length of [0, 1, binary.length - 3, binary.length - 1]) {
      writeFileSync(cut.weightPaths[1]!, binary.subarray(0, length));
      await expect(compileModel(cut, options)).rejects.toMatchObject({
        code: 'MODEL_INVALID',
        message: expect.stringContaining(`expected ${binary.length} bytes of weights, received ${length}`),
      });
    }
  });

  it('rejects a graph without the tail of a CenterNet', async () => {
    const strange = writeMiniCenternet(join(folder, 'tail'), (nodes) => {
      nodes.find(({ name }) => name === 'corner-2')!.op = 'Sub';
    });
    await expect(compileModel(strange, options)).rejects.toMatchObject({
      code: 'COMPILE_UNSUPPORTED',
      details: { node: 'rows' },
    });
  });

  it('runs as published on the wasm engine, one picture at a time', async () => {
    const model = await compileModel(source, { ...options, engine: 'wasm' });
    expect(model).toMatchObject({ format: 'tfjs', path: source.weightPaths[0], batch: 1 });
  });

  const refusals: [string, Partial<CompileOptions>, string][] = [
    ['f16 on wasm', { engine: 'wasm', precision: 'f16' }, 'f16'],
    ['a side that is not a multiple of 32', { inputSize: { width: 100, height: 64 } }, '100x64'],
    ['another size on wasm', { engine: 'wasm', inputSize: { width: 96, height: 64 } }, '64x64'],
  ];
  it.each(refusals)('rejects %s', async (_, change, word) => {
    await expect(compileModel(source, { ...options, ...change })).rejects.toMatchObject({
      code: 'COMPILE_UNSUPPORTED',
      message: expect.stringContaining(word),
    });
  });
});

describe('padding as TensorFlow defines it', () => {
  // Calculated from the published formula: out = ceil(in / stride), the odd pixel at the end.
  const cases: [string, number, number, number, number[]][] = [
    ['stride 2 over an even size pads the end only', 512, 3, 2, [0, 1, 256]],
    ['stride 2 over an odd size pads both sides', 7, 3, 2, [1, 1, 4]],
    ['a window of 5 at stride 2', 64, 5, 2, [1, 2, 32]],
    ['stride 1', 10, 5, 1, [2, 2, 10]],
    ['a window of 1 at stride 2 needs none', 8, 1, 2, [0, 0, 4]],
  ];
  it.each(cases)('SAME: %s', (_, input, size, stride, expected) => {
    expect(windowPadding(input, { size, stride, dilation: 1 }, 'SAME')).toEqual(expected);
  });

  it('SAME uses the extent of a dilated window, VALID pads nothing', () => {
    expect(windowPadding(10, { size: 3, stride: 1, dilation: 2 }, 'SAME')).toEqual([2, 2, 10]);
    expect(windowPadding(10, { size: 3, stride: 2, dilation: 1 }, 'VALID')).toEqual([0, 0, 4]);
  });
});

// Bit patterns and values of IEEE 754 binary16.
it.each([
  [0x0000, 0],
  [0x3c00, 1],
  [0xc000, -2],
  [0x7bff, 65504],
  [0x0400, 2 ** -14],
  [0x0001, 2 ** -24],
  [0x3555, 0.333251953125],
  [0x7c00, Number.POSITIVE_INFINITY],
  [0xfe00, Number.NaN],
])('half precision %i is %d', (bits, value) => {
  expect(halfToFloat(bits)).toBe(value);
});
