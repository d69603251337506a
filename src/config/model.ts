import { z } from 'zod';
import { range, whole } from './number.ts';

export const ENGINES = ['auto', 'tensorflow', 'openvino', 'onnx', 'wasm', 'fake'] as const;
export const PRECISIONS = ['auto', 'f32', 'bf16', 'f16', 'int8'] as const;
export const PROVIDERS = ['cpu', 'cuda', 'tensorrt', 'webgpu', 'dml', 'coreml', 'gpu', 'npu', 'auto'] as const;

const fake = z
  .strictObject({
    callMs: range(0, 10_000).default(0).describe('Time of one call, whatever the batch.'),
    frameMs: range(0, 10_000).default(0).describe('Time added for each frame of a batch.'),
    rows: z
      .array(z.number())
      .refine((rows) => rows.length % 6 === 0, 'expected six numbers for each box')
      .default([])
      .describe('Boxes found in every frame: x, y, width, height in model pixels, score, class id, and so on.'),
  })
  .prefault({});

export const modelConfig = z.strictObject({
  name: z.string().min(1).default('centernet').describe('Name of a built-in detector, or path of a manifest.'),
  engine: z
    .enum(ENGINES)
    .default('auto')
    .describe('What runs it: auto takes tensorflow on an NVIDIA GPU, else the faster of openvino and onnx, else wasm.'),
  provider: z
    .enum(PROVIDERS)
    .default('cpu')
    .describe(
      'Execution provider of the onnx engine; with openvino the device: cpu, gpu, npu or auto; with tensorflow, cuda insists on a GPU.',
    ),
  precision: z
    .enum(PRECISIONS)
    .default('auto')
    .describe(
      'Number format inside the network; auto takes bf16 or f16 where openvino has a device with it, else f32. What a device lacks is an error.',
    ),
  inputSize: z
    .string()
    .regex(/^\d+x\d+$/, 'expected WIDTHxHEIGHT, as in 480x256')
    .optional()
    .describe("Model input, WIDTHxHEIGHT; the manifest's own where absent."),
  scoreThreshold: range(0, 1)
    .optional()
    .describe("Boxes below this are not reported; the manifest's own where absent."),
  threads: whole(1, 64)
    .optional()
    .describe('Inference threads; one for each core on CPUs where absent; tensorflow always has one.'),
  timeoutMs: whole(100, 600_000)
    .default(10_000)
    .describe('An inference that takes longer is taken for hung, and its thread is replaced.'),
  fake: fake.describe('Settings of the fake engine.'),
});

export type ModelConfig = z.infer<typeof modelConfig>;

/** Parses `480x256`. */
export function parseInputSize(text: string): { width: number; height: number } {
  const [width, height] = text.split('x').map(Number);
  return { width: width!, height: height! };
}
