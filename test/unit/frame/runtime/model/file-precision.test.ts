import { describe, expect, it } from 'vitest';
import { filePrecision } from '../../../../../src/frame/runtime/model/prepare-model.ts';
import type { Manifest } from '../../../../../src/network/store/manifests.ts';

function manifest(f16Loss: number | null): Pick<Manifest, 'reported'> {
  return { reported: { ap: 0.3, apByFfmpeg: null, f16Loss, on: '100 pictures', measured: null } };
}

const on = (engine: 'onnx' | 'tensorflow' | 'openvino' | 'wasm', provider: string) =>
  ({ engine, precision: 'auto', provider }) as const;

describe('precision auto', () => {
  it.each([
    ['tensorflow', 'cuda'],
    ['onnx', 'cuda'],
    ['onnx', 'tensorrt'],
  ] as const)('is f16 on %s with %s where it was measured to cost next to nothing', (engine, provider) => {
    expect(filePrecision(on(engine, provider), manifest(0.0008))).toBe('f16');
  });

  it('is f32 where f16 costs too much, was never measured, or where nothing is known of the detector', () => {
    expect(filePrecision(on('tensorflow', 'cuda'), manifest(0.006))).toBe('f32');
    expect(filePrecision(on('tensorflow', 'cuda'), manifest(null))).toBe('f32');
    expect(filePrecision(on('tensorflow', 'cuda'), { reported: null })).toBe('f32');
  });

  it.each([
    ['onnx', 'cpu'],
    ['tensorflow', 'cpu'],
    ['wasm', 'wasm'],
    ['openvino', 'gpu'],
  ] as const)('is f32 in the file for %s with %s', (engine, provider) => {
    expect(filePrecision(on(engine, provider), manifest(0))).toBe('f32');
  });
});

describe('a named precision', () => {
  it('is taken whatever was measured', () => {
    expect(filePrecision({ ...on('tensorflow', 'cuda'), precision: 'f32' }, manifest(0))).toBe('f32');
    expect(filePrecision({ ...on('onnx', 'cpu'), precision: 'f16' }, manifest(0.1))).toBe('f16');
    expect(() => filePrecision({ ...on('onnx', 'cpu'), precision: 'bf16' }, manifest(0))).toThrow(
      'does not compute in bf16',
    );
  });
});
