import { expect, it } from 'vitest';
import { f32Tensor, f32Values, type Tensor } from '../../../../src/network/compile/graph.ts';
import { permuteTensor } from '../../../../src/network/compile/permute.ts';

it('axis i of a permuted constant is axis order[i] of the constant, for elements of any size', () => {
  const dims = [2, 3, 4] as const;
  const at = (a: number, b: number, c: number) => (a * dims[1] + b) * dims[2] + c;
  const tensor = f32Tensor(
    dims,
    Array.from({ length: 24 }, (_, index) => index),
  );
  const turned = permuteTensor(tensor, [2, 0, 1]);
  expect(turned.dims).toEqual([4, 2, 3]);
  const bytes: Tensor = { type: 'u8', dims, bytes: Uint8Array.from({ length: 24 }, (_, index) => index) };
  for (let a = 0; a < 2; a += 1) {
    for (let b = 0; b < 3; b += 1) {
      for (let c = 0; c < 4; c += 1) {
        expect(f32Values(turned, 'turned')[(c * 2 + a) * 3 + b]).toBe(at(a, b, c));
        expect(permuteTensor(bytes, [1, 2, 0]).bytes[(b * 4 + c) * 2 + a]).toBe(at(a, b, c));
      }
    }
  }
});
