import { floatOf, intOf, textOf } from '../attributes.ts';
import { type ElementType, f32Tensor, type GraphNode } from '../graph.ts';
import { ELEMENT_TYPES } from '../onnx/onnx-numbers.ts';
import { broadcastDims, type Dim } from './dims.ts';
import { type Emission, type EmissionRule, elementsOf, identityOrder, plainValue, type Value } from './emission.ts';

/** Rule for an operator with one input and the same meaning in TensorFlow, whose only attribute is the type. */
export function unary(op: string): EmissionRule {
  return (emission, node) => {
    const value = emission.input(node, 0);
    const reference = emission.node(node, op, [value.reference], { T: value.type });
    return [{ ...value, reference }];
  };
}

/** Rule for an operator with two inputs and broadcasting. */
export function binary(op: string, opForIntegers = op): EmissionRule {
  return (emission, node) => {
    if (node.inputs.length !== 2) throw emission.unsupported(node, `it has ${node.inputs.length} inputs, not 2`);
    const { type, dims, order, references } = alignOperands(emission, node, [0, 1]);
    const isInteger = type !== 'f32' && type !== 'f16' && type !== 'f64';
    const reference = emission.node(node, isInteger ? opForIntegers : op, references, { T: type });
    return [{ reference, type, dims, order }];
  };
}

/** Brings operands into the same axis order: that of the largest one, so that only smaller ones are transposed. */
function alignOperands(
  emission: Emission,
  node: GraphNode,
  operands: readonly number[],
): Omit<Value, 'reference'> & { references: string[] } {
  const shapes = operands.map((index) => emission.shapeOf(node, index));
  const dims = shapes.reduce<Dim[]>((all, shape) => broadcastDims(all, shape.dims), []);
  const full = shapes
    .filter((value) => value.order !== undefined && value.dims.length === dims.length)
    .sort((a, b) => elementsOf(b.dims) - elementsOf(a.dims))[0];
  const order = full?.order ?? identityOrder(dims.length);
  const references = operands.map((index) => emission.operand(node, index, order));
  return { type: shapes[0]!.type, dims, order, references };
}

/** Pow; emitted as a square if the exponent is 2. */
export const emitPow: EmissionRule = (emission, node) => {
  if (emission.scalar(node, 1) === 2) return unary('Square')(emission, node);
  return binary('Pow')(emission, node);
};

/** Clip; emitted as Relu or Relu6 if the bounds match, because TensorFlow fuses them. */
export const emitClip: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const bounds = ['min', 'max'].map((name, side) => {
    // Before operator set 11 the bounds are attributes.
    if (node.attributes.has(name)) return floatOf(node, name, 0);
    return node.inputs[side + 1] ? emission.scalar(node, side + 1) : null;
  });
  const [low, high] = bounds as [number | null | undefined, number | null | undefined];
  if (low === undefined || high === undefined) throw emission.unsupported(node, 'its bounds are not constant numbers');
  const type = { T: value.type };
  if (low === 0 && high === 6) return [{ ...value, reference: emission.node(node, 'Relu6', [value.reference], type) }];
  let { reference } = value;
  if (low === 0) reference = emission.node(node, 'Relu', [reference], type, '/low');
  else if (low !== null) {
    const bound = emission.number(`${node.name}/low-bound`, value.type, low!);
    reference = emission.node(node, 'Maximum', [reference, bound], type, '/low');
  }
  if (high !== null) {
    const bound = emission.number(`${node.name}/high-bound`, value.type, high!);
    reference = emission.node(node, 'Minimum', [reference, bound], type, '/high');
  }
  return [{ ...value, reference }];
};

/** Mod of integers: the result has the sign of the divisor, or of the dividend (as in C) if `fmod` is set. */
export const emitMod: EmissionRule = (emission, node) =>
  binary(intOf(node, 'fmod', 0) === 1 ? 'TruncateMod' : 'FloorMod')(emission, node);

export const emitCast: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const type = ELEMENT_TYPES.get(intOf(node, 'to', 0));
  if (type === undefined) throw emission.unsupported(node, `it casts to element type ${intOf(node, 'to', 0)}`);
  return [cast(emission, value, type, node.name)];
};

/** Casts a value to another element type. */
export function cast(emission: Emission, value: Value, type: ElementType, name: string): Value {
  if (value.type === type) return value;
  const reference = emission.builder.node('Cast', name, [value.reference], { SrcT: value.type, DstT: type });
  return { ...value, type, reference };
}

export const emitLeakyRelu: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const attributes = { T: value.type, alpha: { float: floatOf(node, 'alpha', 0.01) } };
  return [{ ...value, reference: emission.node(node, 'LeakyRelu', [value.reference], attributes) }];
};

/** Softmax along any axis: moves the axis to the end in memory, as TensorFlow requires. */
export const emitSoftmax: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  const rank = value.dims.length;
  const isOld = emission.graph.opset < 13;
  const axis = (intOf(node, 'axis', isOld ? 1 : -1) + rank) % rank;
  if (isOld && axis !== rank - 1)
    throw emission.unsupported(node, 'before operator set 13 it covers several axes at once');
  const arranged = emission.arranged(value, [...value.order.filter((other) => other !== axis), axis]);
  return [{ ...arranged, reference: emission.node(node, 'Softmax', [arranged.reference], { T: value.type }) }];
};

/** Rule for a comparison of two values, with a boolean result. */
export function comparison(op: string): EmissionRule {
  return (emission, node) => {
    const { type, references, ...rest } = alignOperands(emission, node, [0, 1]);
    return [{ ...rest, type: 'bool', reference: emission.node(node, op, references, { T: type }) }];
  };
}

/** Rule for And and Or of two booleans. */
export function logical(op: string): EmissionRule {
  return (emission, node) => {
    const { references, ...rest } = alignOperands(emission, node, [0, 1]);
    return [{ ...rest, reference: emission.node(node, op, references, {}) }];
  };
}

export const emitNot: EmissionRule = (emission, node) => {
  const value = emission.input(node, 0);
  return [{ ...value, reference: emission.node(node, 'LogicalNot', [value.reference], {}) }];
};

/** Where: selects from two values, element by element. */
export const emitWhere: EmissionRule = (emission, node) => {
  const { references, order, dims } = alignOperands(emission, node, [0, 1, 2]);
  const { type } = emission.shapeOf(node, 1);
  return [{ reference: emission.node(node, 'SelectV2', references, { T: type }), type, dims, order }];
};

/** Expand: broadcasts a value to a shape. */
export const emitExpand: EmissionRule = (emission, node) => {
  const value = emission.plain(emission.input(node, 0));
  const dims = broadcastDims(value.dims, emission.knownInput(node, 1));
  const shape = emission.shapeReference(dims, `${node.name}/shape`);
  const attributes = { T: value.type, Tidx: 'i64' } as const;
  return [plainValue(emission.node(node, 'BroadcastTo', [value.reference, shape], attributes), value.type, dims)];
};

/** ConstantOfShape: fills a shape with one number. */
export const emitConstantOfShape: EmissionRule = (emission, node) => {
  const dims = emission.knownInput(node, 0);
  const value = node.attributes.get('value');
  const tensor = value?.kind === 'tensor' ? value.value : f32Tensor([], [0]);
  const shape = emission.shapeReference(dims, `${node.name}/shape`);
  const number = emission.builder.constant(`${node.name}/number`, { ...tensor, dims: [] });
  const attributes = { T: tensor.type, index_type: 'i64' } as const;
  return [plainValue(emission.node(node, 'Fill', [shape, number], attributes), tensor.type, dims)];
};

/** Emits a chain of operators on a value, each with a number or another value of the same shape. */
class Steps {
  readonly #emission: Emission;
  readonly #node: GraphNode;
  readonly #value: Value;
  #count = 0;

  constructor(emission: Emission, node: GraphNode) {
    this.#emission = emission;
    this.#node = node;
    this.#value = emission.input(node, 0);
  }

  get start(): string {
    return this.#value.reference;
  }

  step(op: string, value: string, other?: number | string): string {
    const { type } = this.#value;
    const name = `/step-${this.#count++}`;
    const number =
      typeof other === 'number' ? this.#emission.number(`${this.#node.name}${name}/number`, type, other) : other;
    const inputs = number === undefined ? [value] : [value, number];
    return this.#emission.node(this.#node, op, inputs, { T: type }, name);
  }

  result(reference: string): Value[] {
    return [{ ...this.#value, reference }];
  }
}

/** clip(alpha x + beta, 0, 1). */
function hardSigmoid(steps: Steps, alpha: number, beta: number): string {
  const line = steps.step('AddV2', steps.step('Mul', steps.start, alpha), beta);
  return steps.step('Minimum', steps.step('Relu', line), 1);
}

export const emitHardSigmoid: EmissionRule = (emission, node) => {
  const steps = new Steps(emission, node);
  return steps.result(hardSigmoid(steps, floatOf(node, 'alpha', 0.2), floatOf(node, 'beta', 0.5)));
};

export const emitHardSwish: EmissionRule = (emission, node) => {
  const steps = new Steps(emission, node);
  return steps.result(steps.step('Mul', hardSigmoid(steps, 1 / 6, 0.5), steps.start));
};

/** Gelu: x times the normal cumulative distribution at x, or its approximation by tanh. */
export const emitGelu: EmissionRule = (emission, node) => {
  const steps = new Steps(emission, node);
  const x = steps.start;
  let share: string;
  if (textOf(node, 'approximate', 'none') === 'tanh') {
    const cube = steps.step('Mul', steps.step('Mul', steps.step('Square', x), x), 0.044715);
    share = steps.step('Tanh', steps.step('Mul', steps.step('AddV2', cube, x), Math.sqrt(2 / Math.PI)));
  } else share = steps.step('Erf', steps.step('Mul', x, Math.SQRT1_2));
  return steps.result(steps.step('Mul', steps.step('Mul', steps.step('AddV2', share, 1), x), 0.5));
};
