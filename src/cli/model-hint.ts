/**
 * The default detector is the one that npm has. This one is better; its figures come from docs/accuracy.md and
 * bench/optimize-table.json, and a test compares them.
 */
export const BETTER_MODEL = {
  instead: 'centernet',
  name: 'picodet-s',
  /** Times as fast on one thread of the measured machine: onnx in f32, openvino in bf16. */
  speedRatio: { onnx: 1.7, openvino: 2.7 },
  /** Points of COCO AP more. */
  apPoints: 4.6,
  command: 'sightline models pull picodet-s',
} as const;

const { instead, name, speedRatio, apPoints } = BETTER_MODEL;

/** One sentence without its command. */
export const BETTER_MODEL_TEXT =
  `${name} is ${speedRatio.onnx} times as fast as ${instead} on onnx and ${speedRatio.openvino} times on openvino in bf16, ` +
  `with ${apPoints} AP more`;
