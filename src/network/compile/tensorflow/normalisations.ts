import { floatOf, intOf } from '../attributes.ts';
import { axisOf, type EmissionRule, identityOrder } from './emission.ts';

/** LayerNormalization over the last axes: mean 0, deviation 1, then scale and bias. */
export const emitLayerNormalization: EmissionRule = (emission, node) => {
  if (node.outputs.length > 1) throw emission.unsupported(node, 'it has outputs for mean and deviation');
  const value = emission.plain(emission.input(node, 0));
  const { type } = value;
  const rank = value.dims.length;
  const axes = identityOrder(rank).slice(axisOf(intOf(node, 'axis', -1), rank));
  const places = emission.integerVector(`${node.name}/axes`, axes);
  const emit = (op: string, name: string, inputs: readonly string[]) =>
    emission.node(node, op, inputs, { T: type }, `/${name}`);
  const mean = (name: string, reference: string) =>
    emission.node(node, 'Mean', [reference, places], { T: type, Tidx: 'i32', keep_dims: true }, `/${name}`);
  const centred = emit('Sub', 'centred', [value.reference, mean('mean', value.reference)]);
  const variance = mean('variance', emit('Square', 'square', [centred]));
  const epsilon = emission.number(`${node.name}/epsilon`, type, floatOf(node, 'epsilon', 1e-5));
  const inverse = emit('Rsqrt', 'inverse', [emit('AddV2', 'moved', [variance, epsilon])]);
  let reference = emit('Mul', 'normal', [centred, inverse]);
  reference = emit('Mul', 'scaled', [reference, emission.plain(emission.input(node, 1)).reference]);
  if (node.inputs[2])
    reference = emit('AddV2', 'biased', [reference, emission.plain(emission.input(node, 2)).reference]);
  return [{ ...value, reference }];
};

/** BatchNormalization after training: a factor and a shift per channel. */
export const emitBatchNormalization: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((index) => emission.floats(node, index));
  if (node.outputs.length > 1 || value.dims.length < 2)
    throw emission.unsupported(node, 'it is in training mode, or has fewer than two axes');
  const epsilon = floatOf(node, 'epsilon', 1e-5);
  const factor = scale!.map((size, channel) => size / Math.sqrt(variance![channel]! + epsilon));
  const shift = bias!.map((size, channel) => size - mean![channel]! * factor[channel]!);
  // Channels are the second ONNX axis, at any place in memory.
  const dims = value.order.map((axis) => (axis === 1 ? factor.length : 1));
  const scaled = emission.node(
    node,
    'Mul',
    [value.reference, emission.floatTable(`${node.name}/factor`, value.type, dims, factor)],
    { T: value.type },
    '/scaled',
  );
  const inputs = [scaled, emission.floatTable(`${node.name}/shift`, value.type, dims, shift)];
  return [{ ...value, reference: emission.node(node, 'AddV2', inputs, { T: value.type }) }];
};
