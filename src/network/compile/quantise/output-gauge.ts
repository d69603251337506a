import type { OutputTensor } from '../../../base/core/model.ts';
import type { Graph } from '../graph.ts';
import { type Outputs, runGraph } from './run-graph.ts';

/** Measures how far the outputs for one picture are from those expected; 0 if they are the same. */
export type OutputLoss = (expected: Outputs, received: Outputs) => number;

/** Compares graphs with the float graph on a few pictures. */
export class OutputGauge {
  readonly #frames: readonly Uint8Array[];
  readonly #expected: readonly Outputs[];
  readonly #loss: OutputLoss;

  private constructor(frames: readonly Uint8Array[], expected: readonly Outputs[], loss: OutputLoss) {
    this.#frames = frames;
    this.#expected = expected;
    this.#loss = loss;
  }

  static async of(graph: Graph, frames: readonly Uint8Array[], loss: OutputLoss): Promise<OutputGauge> {
    const expected: Outputs[] = [];
    await runGraph(graph, frames, (outputs) => expected.push(copyOf(outputs)));
    return new OutputGauge(frames, expected, loss);
  }

  /** Returns the mean loss of a graph over the pictures. */
  async lossOf(graph: Graph): Promise<number> {
    let sum = 0;
    await runGraph(graph, this.#frames, (outputs, at) => {
      sum += this.#loss(this.#expected[at]!, outputs);
    });
    return sum / this.#frames.length;
  }
}

function copyOf(outputs: Outputs): Outputs {
  return new Map(
    Array.from(outputs, ([name, { data, dims }]): [string, OutputTensor] => [name, { data: data.slice(), dims }]),
  );
}

/** Returns the root mean square of the difference of all f32 outputs of the same size, relative to that of the expected ones. */
export function relativeLoss(expected: Outputs, received: Outputs): number {
  let difference = 0;
  let size = 0;
  for (const [name, { data }] of expected) {
    const other = received.get(name)?.data;
    if (!(data instanceof Float32Array) || other?.length !== data.length) continue;
    for (const [at, value] of data.entries()) {
      difference += (Number(other[at]) - value) ** 2;
      size += value ** 2;
    }
  }
  return size === 0 ? 0 : Math.sqrt(difference / size);
}
