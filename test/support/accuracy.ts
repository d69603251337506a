import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { cli } from './cli.ts';
import { hasOpenvino } from './openvino.ts';
import { sharedDir } from './shared.ts';

/** AP of each model on these images with its publisher's own preprocessing in another runtime, from the model cards. */
const CARDS = [
  ['yolox-nano', 0.3358],
  ['deimv2-femto', 0.3735],
  ['deimv2-atto', 0.3113],
  ['picodet-s', 0.3776],
  ['nanodet-m', 0.2925],
  ['centernet', 0.3302],
] as const;

/** Tolerated loss of AP. */
const TOLERANCES = { f32: 0.002, f16: 0.005, bf16: 0.005 } as const;

const CELLS = CARDS.flatMap(([model, ap]) => [
  [model, 'onnx', 'f32', ap] as const,
  [model, 'onnx', 'f16', ap] as const,
  [model, 'openvino', 'f32', ap] as const,
  [model, 'openvino', 'bf16', ap] as const,
]);

/** Does this CPU compute bf16 natively, so that OpenVINO offers it? */
const hasBf16 = existsSync('/proc/cpuinfo') && /avx512_bf16|amx_bf16/.test(readFileSync('/proc/cpuinfo', 'utf8'));

export const ACCURACY_CELLS = CELLS.filter(
  ([, engine, precision]) => engine === 'onnx' || (hasOpenvino && (precision !== 'bf16' || hasBf16)),
);

/** A hundred images take some ten seconds on two idle cores. */
export const EVAL_TIMEOUT_MS = 300_000;

/** Runs `sightline eval` over a hundred pictures of COCO. */
export async function evaluated(...flags: string[]): Promise<{ figures: { AP: number }; resizeBy: string }> {
  const folder = join(sharedDir!, 'coco-val-100');
  const [annotations, images] = [join(folder, 'instances.json'), join(folder, 'images')];
  const env = { SIGHTLINE_MODEL_PATH: join(sharedDir!, 'models') };
  const { stdout, stderr, code } = await cli(['eval', annotations, '--images', images, ...flags, '--json'], env);
  expect(code, stderr).toBe(0);
  return (JSON.parse(stdout) as { models: [{ figures: { AP: number }; resizeBy: string }] }).models[0];
}

/** Claims that a detector on an engine in a precision is as good as its publisher says. */
export function reachesItsAp(cells: typeof ACCURACY_CELLS): void {
  it.each(cells)(
    "%s on %s in %s reaches the AP of its publisher's preprocessing",
    async (model, engine, precision, ap) => {
      const { figures } = await evaluated('--model', model, '--engine', engine, '--precision', precision);
      console.log(`AP of ${model} on ${engine} in ${precision}: ${figures.AP.toFixed(4)} (reference ${ap})`);
      expect(figures.AP).toBeGreaterThan(ap - TOLERANCES[precision]);
    },
    EVAL_TIMEOUT_MS,
  );
}
