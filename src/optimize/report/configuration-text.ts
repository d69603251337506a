import { LEVER_IDS, LEVERS } from '../levers/levers.ts';
import type { Configuration, Step } from '../result.ts';

/** `yolox-nano 480x256, bf16 on openvino`. */
export function describeConfiguration({ model, inputSize, precision, engine }: Configuration): string {
  return `${model} ${inputSize}, ${precision} on ${engine}`;
}

/** What `describeConfiguration` leaves out and another configuration has not, `inference threads 2`; empty if nothing. */
export function furtherDifferences(configuration: Configuration, other: Configuration): readonly string[] {
  const { model, inputSize, precision, engine } = configuration;
  return differences(configuration, { ...other, model, inputSize, precision, engine });
}

/** `engine: onnx to openvino`. */
export function describeStep({ lever, from, to }: Step): string {
  return `${LEVERS[lever].name}: ${from} to ${to}`;
}

/** What a configuration has that another has not, `lanes 2`; empty if they are the same. */
function differences(configuration: Configuration, other: Configuration): readonly string[] {
  return LEVER_IDS.filter((lever) => configuration[lever] !== other[lever]).map(
    (lever) => `${LEVERS[lever].name} ${String(configuration[lever])}`,
  );
}
