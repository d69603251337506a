import type { Attribute, ElementType } from '../graph.ts';

/** Number of each element type in ONNX files. */
export const ONNX_ELEMENT_TYPES: Readonly<Record<ElementType, number>> = {
  f32: 1,
  u8: 2,
  i8: 3,
  u16: 4,
  i16: 5,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  f64: 11,
  u32: 12,
  u64: 13,
};

/** Element type of each number in ONNX files. */
export const ELEMENT_TYPES: ReadonlyMap<number, ElementType> = new Map(
  Object.entries(ONNX_ELEMENT_TYPES).map(([type, number]) => [number, type as ElementType]),
);

/** Number of each kind of attribute in ONNX files. */
export const ONNX_ATTRIBUTE_TYPES: Readonly<Record<Attribute['kind'], number>> = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  floats: 6,
  ints: 7,
  strings: 8,
};
