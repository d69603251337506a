import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli } from '../support/cli.ts';
import { hasOpenvino } from '../support/openvino.ts';
import { sharedDir } from '../support/shared.ts';

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

const ALL_CASES = CARDS.flatMap(([model, ap]) => [
  [model, 'onnx', 'f32', ap] as const,
  [model, 'onnx', 'f16', ap] as const,
  [model, 'openvino', 'f32', ap] as const,
  [model, 'openvino', 'bf16', ap] as const,
]);

/** Does this CPU compute bf16 natively, so that OpenVINO offers it? */
const hasBf16 = existsSync('/proc/cpuinfo') && /avx512_bf16|amx_bf16/.test(readFileSync('/proc/cpuinfo', 'utf8'));

const CASES = ALL_CASES.filter(
  ([, engine, precision]) => engine === 'onnx' || (hasOpenvino && (precision !== 'bf16' || hasBf16)),
);

/** A hundred images take some ten seconds on two idle cores. */
const EVAL_TIMEOUT_MS = 300_000;

describe.skipIf(sharedDir === null)('the AP of whole detectors on COCO (needs the shared folder)', () => {
  const folder = join(sharedDir ?? '.', 'coco-val-100');
  const annotations = join(folder, 'instances.json');
  const env = { SIGHTLINE_MODEL_PATH: join(sharedDir ?? '.', 'models') };

  async function evaluated(...flags: string[]): Promise<{ figures: { AP: number }; resizeBy: string }> {
    const images = join(folder, 'images');
    const { stdout, stderr, code } = await cli(['eval', annotations, '--images', images, ...flags, '--json'], env);
    expect(code, stderr).toBe(0);
    return (JSON.parse(stdout) as { models: [{ figures: { AP: number }; resizeBy: string }] }).models[0];
  }

  it.each(CASES)(
    "%s on %s in %s reaches the AP of its publisher's preprocessing",
    async (model, engine, precision, ap) => {
      const { figures } = await evaluated('--model', model, '--engine', engine, '--precision', precision);
      console.log(`AP of ${model} on ${engine} in ${precision}: ${figures.AP.toFixed(4)} (reference ${ap})`);
      expect(figures.AP).toBeGreaterThan(ap - TOLERANCES[precision]);
    },
    EVAL_TIMEOUT_MS,
  );

  it(
    'measures the AP with pictures resized by ffmpeg',
    async () => {
      const { figures, resizeBy } = await evaluated('--model', 'deimv2-atto', '--resize-by', 'ffmpeg');
      expect(resizeBy).toBe('ffmpeg');
      expect(Math.abs(figures.AP - 0.3113)).toBeLessThan(0.02);
    },
    EVAL_TIMEOUT_MS,
  );
});
