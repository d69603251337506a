import { changedLevers, LEVERS, valueText } from '../levers/levers.ts';
import type { Configuration, Step } from '../result.ts';

/** `yolox-nano 480x256, bf16 on openvino`. */
export function describeConfiguration({ model, inputSize, precision, engine }: Configuration): string {
  return `${model} ${inputSize}, ${precision} on ${engine}`;
}

/** What `describeConfiguration` leaves out and another configuration has not, `inference threads 2`; empty if nothing. */
export function furtherDifferences(configuration: Configuration, other: Configuration): readonly string[] {
  const { model, inputSize, precision, engine } = configuration;
  return changedLevers(configuration, { ...other, model, inputSize, precision, engine }).map(
    (lever) => `${LEVERS[lever].name} ${valueText(lever, configuration)}`,
  );
}

/** `engine: onnx to openvino`. */
export function describeStep({ lever, from, to }: Step): string {
  return `${LEVERS[lever].name}: ${from} to ${to}`;
}
