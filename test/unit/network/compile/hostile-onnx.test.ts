import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeOnnx, encodeOnnx, type OnnxModel, type OnnxTensor } from '../../../../bench/support/onnx-file.ts';
import { compileModel } from '../../../../src/network/compile/compile-model.ts';
import type { CompileSource } from '../../../../src/network/compile/compile-source.ts';
import { emitOnnx } from '../../../../src/network/compile/onnx/emit-onnx.ts';
import { ExternalData } from '../../../../src/network/compile/onnx/external-data.ts';
import { externalFiles } from '../../../../src/network/compile/onnx/external-paths.ts';
import { importOnnx } from '../../../../src/network/compile/onnx/import-onnx.ts';
import { source } from './layout-sources.ts';
import { convolution, network, number } from './networks.ts';

const graph = network(3, (builder) => {
  const relu = builder.node('Relu', 'relu', [convolution(builder, 'conv', 'images', [6, 3, 3])]);
  const scaled = builder.node('Mul', 'scaled', [relu, number(builder, 'k', 0.5)]);
  return convolution(builder, 'last', scaled, [4, 6, 1]);
});
const file = emitOnnx(graph);

function changed(change: (model: OnnxModel) => void): Uint8Array {
  const model = decodeOnnx(file);
  change(model);
  return encodeOnnx(model);
}

function constant(change: (tensor: OnnxTensor) => void): Uint8Array {
  return changed((model) => change(model.graph!.initializer!.find(({ name }) => name === 'conv/w')!));
}

function refusal(bytes: Uint8Array): unknown {
  try {
    importOnnx(bytes, 'bad.onnx');
  } catch (error) {
    return error;
  }
  return null;
}

describe('a malformed file is rejected with the position', () => {
  it.each<[string, Uint8Array, RegExp]>([
    [
      'negative sizes',
      constant((t) => (t.dims = [6, -3, 3, 3])),
      /constant conv\/w: expected sizes of 0 or more, received \[6,-3,3,3\]/,
    ],
    [
      'sizes beyond the address space',
      constant((t) => (t.dims = [2 ** 40, 2 ** 40])),
      /constant conv\/w: expected sizes that can be held/,
    ],
    [
      'a claim of gigabytes',
      constant((t) => (t.dims = [2 ** 31])),
      /conv\/w: expected 8589934592 bytes for f32 \[2147483648\], received 648/,
    ],
    [
      'bytes that do not fit',
      constant((t) => (t.raw_data = t.raw_data!.subarray(1))),
      /conv\/w: expected 648 bytes for f32 \[6,3,3,3\], received 647/,
    ],
    [
      'a list that is too short',
      constant((t) => Object.assign(t, { raw_data: new Uint8Array(), float_data: [1, 2] })),
      /expected 162 numbers, received/,
    ],
    [
      'a list that is too long',
      constant((t) => Object.assign(t, { dims: [2], raw_data: new Uint8Array(), float_data: [1, 2, 3] })),
      /expected 2 numbers, received more/,
    ],
    [
      'a value that no node produces',
      changed(({ graph }) => (graph!.node![1]!.input![0] = 'ghost')),
      /node relu reads ghost, which no node produces/,
    ],
    ['a circle', changed(({ graph }) => (graph!.node![0]!.input![0] = 'last')), /depend on each other/],
    [
      'a value that two nodes produce',
      changed(({ graph }) => (graph!.node![1]!.output![0] = 'conv')),
      /the value "conv" is produced twice/,
    ],
    [
      'an output that no node produces',
      changed(({ graph }) => (graph!.output![0]!.name = 'ghost')),
      /no node produces the output ghost/,
    ],
    [
      'a node without an operator',
      changed(({ graph }) => (graph!.node![1]!.op_type = '')),
      /node relu has no operator/,
    ],
    ['no operator set', changed((model) => (model.opset_import = [])), /expected the version of the operator set/],
    [
      'a bias of another length',
      changed(({ graph }) => (graph!.node![0]!.input![2] = 'k')),
      /convolution conv: expected a bias of 6 numbers, received \[\]/,
    ],
    [
      'a kernel of another size',
      changed(
        ({ graph }) => (graph!.node![0]!.attribute!.find(({ name }) => name === 'kernel_shape')!.ints = [1e9, 3]),
      ),
      /convolution conv: expected the kernel_shape \[3,3\]/,
    ],
  ])('%s', (_, bytes, message) => {
    expect(refusal(bytes)).toMatchObject({ code: 'MODEL_INVALID', message: expect.stringMatching(/^bad\.onnx: /) });
    expect((refusal(bytes) as Error).message).toMatch(message);
  });

  it('truncated at any position', () => {
    for (let length = 0; length < file.length; length += 1) {
      const error = refusal(file.subarray(0, length));
      expect(error, `the first ${length} bytes`).toMatchObject({ code: 'MODEL_INVALID' });
    }
  });
});

/** A field of bytes: tag, length, content. */
function field(number: number, content: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = content.length;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) | 128);
  return Buffer.concat([Uint8Array.of((number << 3) | 2, ...length, rest), content]);
}

describe('a small file cannot allocate large memory', () => {
  it('with a million empty nodes, constants, inputs or outputs', () => {
    for (const part of [1, 5, 11, 12]) {
      const bomb = field(7, Buffer.alloc(2_000_000, Uint8Array.of((part << 3) | 2, 0)));
      expect(refusal(bomb), `field ${part}`).toMatchObject({ code: 'MODEL_INVALID' });
    }
  });

  it('with a node with a million inputs, or a constant with a million axes', () => {
    const inputs = field(7, field(1, Buffer.alloc(2_000_000, Uint8Array.of(0x0a, 0))));
    expect(refusal(inputs)).toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('far too many parts for its size'),
    });
    const axes = field(7, field(5, field(1, Buffer.alloc(1_000_000, 1))));
    expect(refusal(axes)).toMatchObject({ message: expect.stringContaining('a list of more than 32 numbers') });
  });

  it('with graphs nested to any depth', () => {
    let nested: Uint8Array = new Uint8Array();
    // A node with an attribute that is a graph with a node ...
    for (let depth = 0; depth < 3_000; depth += 1) {
      const attribute = Buffer.concat([field(1, Buffer.from('body')), field(6, nested), Uint8Array.of(0xa0, 1, 5)]);
      nested = field(1, Buffer.concat([field(4, Buffer.from('If')), field(5, attribute)]));
    }
    expect(refusal(field(7, nested))).toMatchObject({
      code: 'COMPILE_UNSUPPORTED',
      message: expect.stringContaining('graphs inside nodes are not supported'),
    });
  });
});

describe('constants in files beside the model', () => {
  const root = mkdtempSync(join(tmpdir(), 'sightline-external-'));
  const folder = join(root, 'model');
  mkdirSync(join(folder, 'data'), { recursive: true });
  const weights = Buffer.from(graph.constants.get('conv/w')!.bytes);
  writeFileSync(join(folder, 'data', 'weights.bin'), Buffer.concat([Buffer.alloc(16), weights]));
  writeFileSync(join(root, 'secret.bin'), weights);
  symlinkSync(join(root, 'secret.bin'), join(folder, 'link.bin'));
  symlinkSync(root, join(folder, 'up'));
  symlinkSync(join('data', 'weights.bin'), join(folder, 'inner.bin'));
  const modelPath = join(folder, 'model.onnx');

  function withData(entries: Record<string, string>): Uint8Array {
    return constant((tensor) => {
      delete tensor.raw_data;
      tensor.data_location = 1;
      tensor.external_data = Object.entries(entries).map(([key, value]) => ({ key, value }));
    });
  }

  function read(entries: Record<string, string>): unknown {
    try {
      const imported = importOnnx(withData(entries), 'model.onnx', new ExternalData(modelPath));
      return Buffer.from(imported.constants.get('conv/w')!.bytes);
    } catch (error) {
      return error;
    }
  }

  it.each(['data/weights.bin', './data/weights.bin', 'inner.bin'])('are read from %s', (location) => {
    expect(read({ location, offset: '16', length: String(weights.length) })).toEqual(weights);
    expect(externalFiles(withData({ location }), 'model.onnx')).toEqual([location]);
  });

  it.each([
    ['../secret.bin', 'inside the folder of the model'],
    ['data/../../secret.bin', 'inside the folder of the model'],
    ['..\\secret.bin', 'inside the folder of the model'],
    [join(root, 'secret.bin'), 'relative path'],
    ['C:\\secret.bin', 'relative path'],
    ['', 'relative path'],
    ['link.bin', 'a link that leads out'],
    ['up/secret.bin', 'a link that leads out'],
    ['data', 'which is not a file'],
    ['.', 'a link that leads out'],
    ['ghost.bin', 'cannot be read (ENOENT)'],
  ])('are not read from %j', (location, reason) => {
    expect(read({ location })).toMatchObject({ code: 'MODEL_INVALID', message: expect.stringContaining(reason) });
  });

  it.each([
    [{ offset: '17' }, 'expected bytes 17 to 665'],
    [{ offset: '-1' }, 'expected a whole number, received "-1"'],
    [{ offset: '1e3' }, 'expected a whole number, received "1e3"'],
    [{ length: '8' }, 'expected 648 bytes for its type and sizes, received 8'],
    [{ length: '99999999999999999999' }, 'expected a whole number'],
  ])('are not read from an invalid location: %j', (place, reason) => {
    const error = read({ location: 'data/weights.bin', ...place });
    expect(error).toMatchObject({ code: 'MODEL_INVALID', message: expect.stringContaining(reason) });
  });

  it('may not overlap, however the file is named: a small one cannot fill the memory', () => {
    const data = new ExternalData(modelPath);
    const size = weights.length;
    data.read({ location: 'data/weights.bin', offset: 0, length: size }, size, 'model.onnx');
    for (const location of ['data/weights.bin', './data/weights.bin', 'data/./weights.bin', 'inner.bin'])
      expect(() => data.read({ location, offset: 16, length: size }, size, 'model.onnx')).toThrow(
        `the constants in ${location} overlap`,
      );
  });

  it('are part of the hash of a compiled file', async () => {
    const input = { tensor: 'images', layout: 'nchw', range: [0, 255], width: 12, height: 16 } as const;
    const network: CompileSource = {
      ...source('model.onnx', { ...input, outputs: { out: 'out' }, batch: 'free' }),
      weightPaths: [modelPath],
    };
    writeFileSync(modelPath, withData({ location: 'data/weights.bin', offset: '16' }));
    const options = { engine: 'onnx', precision: 'f32', cacheDir: join(root, 'cache') } as const;
    const before = await compileModel(network, options);
    writeFileSync(join(folder, 'data', 'weights.bin'), Buffer.concat([Buffer.alloc(16), weights.map((b) => b ^ 1)]));
    const after = await compileModel(network, options);
    expect(after.hash).not.toBe(before.hash);
    expect(readFileSync(after.path).equals(readFileSync(before.path))).toBe(false);
  });
});
