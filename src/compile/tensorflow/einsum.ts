import { textOf } from '../attributes.ts';
import type { Dim } from './dims.ts';
import { type EmissionRule, plainValue } from './emission.ts';

/** Einsum; TensorFlow uses the same equations. */
export const emitEinsum: EmissionRule = (emission, node) => {
  const equation = textOf(node, 'equation', '').replace(/\s/g, '');
  const [left = '', right] = equation.split('->');
  const terms = left.split(',');
  if (right === undefined || equation.includes('.') || terms.length !== node.inputs.length || terms.length > 2)
    throw emission.unsupported(node, `its equation is ${JSON.stringify(equation)}`);
  const values = node.inputs.map((_, index) => emission.plain(emission.input(node, index)));
  const sizes = new Map<string, Dim>();
  for (const [index, letters] of terms.entries())
    for (const [axis, letter] of Array.from(letters).entries()) sizes.set(letter, values[index]!.dims[axis]!);
  const { type } = values[0]!;
  const inputs = values.map(({ reference }) => reference);
  const reference = emission.node(node, 'Einsum', inputs, { N: inputs.length, T: { type }, equation });
  return [
    plainValue(
      reference,
      type,
      Array.from(right, (letter) => sizes.get(letter)!),
    ),
  ];
};
