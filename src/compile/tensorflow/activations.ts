import { floatOf, textOf } from '../attributes.ts';
import type { GraphNode } from '../graph.ts';
import type { Emission, EmissionRule, Value } from './emission.ts';

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
