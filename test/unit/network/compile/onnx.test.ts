import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeOnnx, encodeOnnx } from '../../../../bench/support/onnx-file.ts';
import { f32Tensor } from '../../../../src/network/compile/graph.ts';
import { emitOnnx } from '../../../../src/network/compile/onnx/emit-onnx.ts';
import { importOnnx } from '../../../../src/network/compile/onnx/import-onnx.ts';
import { sharedDir } from '../../../support/shared.ts';
import { convolution, network, number } from './networks.ts';

const graph = network(3, (builder) => {
  const scales = builder.constant('scales', f32Tensor([4], [1, 1, 2, 2]));
  const resized = builder.node('Resize', 'resize', [convolution(builder, 'one', 'images', [4, 3, 3]), '', scales], {
    mode: 'nearest',
    cubic_coeff_a: { float: -0.5 },
  });
  return builder.node('Mul', 'half', [resized, number(builder, 'k', 0.5)]);
});

describe('an ONNX file', () => {
  it('is read as it was written', () => {
    const back = importOnnx(emitOnnx(graph), 'network.onnx');
    expect(back.nodes).toEqual(graph.nodes);
    expect(back.inputs).toEqual(graph.inputs);
    expect(back.outputs).toEqual(graph.outputs);
    expect(back.opset).toBe(17);
    expect([...back.constants.keys()]).toEqual([...graph.constants.keys()]);
    expect(Buffer.from(back.constants.get('one/w')!.bytes)).toEqual(Buffer.from(graph.constants.get('one/w')!.bytes));
  });

  it('keeps 64 bits of an integer that is written as a list', () => {
    const model = decodeOnnx(emitOnnx(graph));
    // 2^63 - 1, "to the end" of a slice, as a varint: tag 7 (packed), nine bytes.
    const most = Uint8Array.from([0x3a, 9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    const tensor = Uint8Array.from([0x08, 1, 0x10, 7, ...most, 0x42, 1, 0x65]);
    const initializer = Uint8Array.from([0x2a, tensor.length, ...tensor]);
    const bytes = Buffer.concat([encodeOnnx(model), Uint8Array.from([0x3a, initializer.length, ...initializer])]);
    const { constants } = importOnnx(bytes, 'list.onnx');
    expect(new BigInt64Array(Uint8Array.from(constants.get('e')!.bytes).buffer)[0]).toBe(2n ** 63n - 1n);
  });

  it('is rejected, with its name, if it is not an ONNX file', () => {
    const refused = (bytes: Uint8Array) => {
      try {
        importOnnx(bytes, 'broken.onnx');
      } catch (error) {
        return error;
      }
    };
    for (const bytes of [Buffer.from('<html>404</html>'), new Uint8Array()]) {
      expect(refused(bytes)).toMatchObject({ code: 'MODEL_INVALID', message: expect.stringContaining('broken.onnx') });
    }
  });

  describe.skipIf(sharedDir === null)('from other exporters (needs the shared models)', () => {
    const folder = join(sharedDir ?? '', 'models');
    const names = sharedDir === null ? [] : readdirSync(folder).filter((name) => name.endsWith('.onnx'));
    it.each(names)('loses nothing when it is decoded and encoded: %s', (name) => {
      const bytes = readFileSync(join(folder, name));
      expect(Buffer.compare(Buffer.from(encodeOnnx(decodeOnnx(bytes))), bytes)).toBe(0);
    });
  });
});
