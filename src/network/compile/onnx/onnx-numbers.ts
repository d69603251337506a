import { type Attribute, ELEMENTS, type ElementType } from '../graph.ts';

/** Element type of each number in ONNX files. */
export const ELEMENT_TYPES: ReadonlyMap<number, ElementType> = new Map(
  Object.entries(ELEMENTS).map(([type, { onnx }]) => [onnx, type as ElementType]),
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
