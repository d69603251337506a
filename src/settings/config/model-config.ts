import { z } from 'zod';
import { MODEL_FAMILIES, READER_FAMILIES } from '../../base/core/model.ts';
import { ENGINE_NAMES, engineFaults, PROVIDERS } from './engines.ts';
import { range, whole } from './number.ts';

export const ENGINES = ['auto', ...ENGINE_NAMES] as const;
export const PRECISIONS = ['auto', 'f32', 'bf16', 'f16', 'int8'] as const;
/**
 * How a picture is fitted into a model's input; `letterbox` centres it in a grey border, `crop` takes 224/256 of its shorter side from
 * the middle.
 */
export const RESIZE_RULES = ['stretch', 'letterbox', 'letterbox-top-left', 'crop'] as const;

const fake = z
  .strictObject({
    callMs: range(0, 10_000).default(0).describe('Time of one call, whatever the batch.'),
    frameMs: range(0, 10_000).default(0).describe('Time added for each frame of a batch.'),
    rows: z
      .array(z.number())
      .refine((rows) => rows.length % 6 === 0, 'expected six numbers for each box')
      .default([])
      .describe('Boxes found in every frame: x, y, width, height in model pixels, score, class id, and so on.'),
    barcode: z
      .boolean()
      .default(false)
      .describe('Find one box, whose score is the time that a virtual camera draws into the picture.'),
  })
  .prefault({});

/** The longest path that Linux opens. */
const MOST_PATH_CHARACTERS = 4096;

export const modelConfig = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .max(MOST_PATH_CHARACTERS)
      .default('centernet')
      .describe('Name of a detector, path of a manifest, or path of an ONNX file.'),
    family: z
      .enum([...MODEL_FAMILIES, ...READER_FAMILIES])
      .optional()
      .describe('ONNX files: how outputs become boxes; found in the file if absent.'),
    labels: z
      .string()
      .min(1)
      .max(MOST_PATH_CHARACTERS)
      .optional()
      .describe('ONNX files: list of class names, one per line, or coco; found in the file if absent.'),
    colours: z
      .enum(['rgb', 'bgr'])
      .optional()
      .describe("ONNX files: order of colours; the family's default if absent."),
    range: z
      .literal([1, 255])
      .optional()
      .describe("ONNX files: value of white in the input; the family's default if absent."),
    resize: z
      .enum(RESIZE_RULES)
      .optional()
      .describe("ONNX files: how a picture is fitted into the input; the family's default if absent."),
    engine: z
      .enum(ENGINES)
      .default('auto')
      .describe(
        'Library that runs the network: auto uses tensorflow on an NVIDIA GPU, else the faster of openvino and onnx, else wasm.',
      ),
    provider: z
      .enum(PROVIDERS)
      .default('cpu')
      .describe(
        'Execution provider of the onnx engine; with openvino the device: cpu, gpu, npu or auto; with tensorflow, cuda requires a GPU.',
      ),
    precision: z
      .enum(PRECISIONS)
      .default('auto')
      .describe(
        'Number format inside the network; auto uses bf16 or f16 if openvino has a device that supports it, f16 on CUDA and TensorRT if the manifest says that it was measured to cost at most 0.005 AP, else f32. A format that the device lacks is an error.',
      ),
    inputSize: z
      .string()
      .regex(/^\d+x\d+$/, 'expected WIDTHxHEIGHT, as in 480x256')
      .optional()
      .describe("Model input, WIDTHxHEIGHT; the manifest's if absent."),
    scoreThreshold: range(0, 1).optional().describe("Boxes below this are not reported; the manifest's if absent."),
    classesPerBox: z
      .enum(['best', 'all'])
      .optional()
      .describe(
        "Classes reported for one box: the best only, or each that reaches the threshold; the manifest's if absent.",
      ),
    threads: whole(1, 64)
      .optional()
      .describe('Inference threads; on CPUs one per core if absent; tensorflow always has one.'),
    cacheResults: whole(0, 1_000_000)
      .default(0)
      .describe(
        'Results kept for pictures that come again: equal model inputs are inferred once, in whatever stream. 0 for none.',
      ),
    timeoutMs: whole(100, 600_000)
      .default(10_000)
      .describe('An inference that takes longer counts as hung, and its thread is replaced.'),
    fake: fake.describe('Settings of the fake engine.'),
  })
  .check(({ value, issues }) => {
    const { engine, provider, precision, threads = 1 } = value;
    if (engine === 'auto') return;
    for (const { key, limit } of engineFaults(engine, { provider, precision, threads }))
      issues.push({ code: 'custom', input: value[key], path: [key], message: `expected ${limit}` });
  });

export type ModelConfig = z.infer<typeof modelConfig>;

/** Parses `480x256`. */
export function parseInputSize(text: string): { width: number; height: number } {
  const [width, height] = text.split('x').map(Number);
  return { width: width!, height: height! };
}
