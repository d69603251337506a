import type { Configuration, LeverId, Step } from '../result.ts';

/** Names of levers as a reader knows them, in the order in which a report lists them. */
export const LEVER_NAMES: Readonly<Record<LeverId, string>> = {
  model: 'model',
  precision: 'precision',
  inputSize: 'input size',
  engine: 'engine',
  inferenceThreads: 'inference threads',
  maxBatch: 'largest batch',
  maxDelayMs: 'batch delay (ms)',
  lanes: 'lanes',
  decodeThreads: 'decoder threads',
  resizeBy: 'resizing by',
  hwaccel: 'hardware decoding',
  skipUnchanged: 'skip unchanged frames',
  trackBetween: 'infer every n-th frame',
};
export const LEVERS = Object.keys(LEVER_NAMES) as LeverId[];

/** Levers that change what the network is; the others change how it runs. */
export const MODEL_LEVERS: ReadonlySet<LeverId> = new Set(['model', 'precision', 'inputSize']);

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
  return `${LEVER_NAMES[lever]}: ${from} to ${to}`;
}

/** What a configuration has that another has not, `lanes 2`; empty if they are the same. */
export function differences(configuration: Configuration, other: Configuration): readonly string[] {
  return LEVERS.filter((lever) => configuration[lever] !== other[lever]).map(
    (lever) => `${LEVER_NAMES[lever]} ${String(configuration[lever])}`,
  );
}
