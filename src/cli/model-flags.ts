import type { Command } from 'commander';
import { check } from '../config/check.ts';
import { ENGINES, type ModelConfig, modelConfig, PRECISIONS, PROVIDERS, RESIZE_RULES } from '../config/model-config.ts';
import { MODEL_FAMILIES } from '../core/model.ts';
import { choice, given } from './flag-values.ts';

/** Properties of a network that its ONNX file does not contain. */
export interface FileFlags {
  readonly family?: string;
  readonly labels?: string;
  readonly color?: string;
  readonly range?: number;
  readonly resize?: string;
}

export interface ModelFlags extends FileFlags {
  readonly model?: string;
  readonly engine?: string;
  readonly precision?: string;
  readonly inputSize?: string;
  readonly provider?: string;
  readonly threads?: number;
  readonly minScore?: number;
  readonly cache?: number;
}

/** Adds `--model` and the flags for ONNX files. */
export function addModelFlag(command: Command): Command {
  return addFileFlags(
    command.option(
      '--model <name>',
      'detector (see `sightline models list`), path of a manifest, or path of an ONNX file',
      'centernet',
    ),
  );
}

/** Adds the flags for properties of a network that its ONNX file does not contain. */
export function addFileFlags(command: Command): Command {
  return command
    .addOption(
      choice('--family <family>', 'ONNX files: how outputs are decoded to boxes (default: detected)', MODEL_FAMILIES),
    )
    .option('--labels <file>', 'ONNX files: class names, one per line, or "coco" (default: from the file)')
    .addOption(choice('--color <order>', 'ONNX files: channel order', ['rgb', 'bgr']))
    .option('--range <max>', 'ONNX files: highest pixel value of the input, 1 or 255', Number)
    .addOption(choice('--resize <rule>', 'ONNX files: how a picture is resized to the input', RESIZE_RULES));
}

/** Adds the flags that choose the engine, for every command that runs a model. */
export function addEngineFlags(command: Command): Command {
  return command
    .addOption(
      choice(
        '--engine <engine>',
        'inference engine; auto picks tensorflow on an NVIDIA GPU, else the faster of openvino and onnx, else wasm',
        ENGINES,
        'auto',
      ),
    )
    .addOption(
      choice(
        '--provider <provider>',
        'execution provider of onnx; device of openvino (cpu, gpu, npu, auto); with tensorflow, cuda requires a GPU',
        PROVIDERS,
        'cpu',
      ),
    )
    .addOption(
      choice(
        '--precision <precision>',
        'number format inside the network; auto is bf16 or f16 if openvino has a device that supports it, else f32',
        PRECISIONS,
        'auto',
      ),
    )
    .option('--input-size <WxH>', 'model input, such as 480x256 (default: from the manifest)')
    .option('--threads <n>', 'inference threads (default: one per core); tensorflow always uses one', Number);
}

/** Converts the flags to the model section of a pipeline. @throws CONFIG_INVALID with the name of the setting. */
export function modelConfigOf(flags: ModelFlags): ModelConfig {
  const { model, family, labels, color, range, resize } = flags;
  const { engine, provider, precision, inputSize, threads, minScore, cache } = flags;
  const file = { family, labels, colours: color, range, resize };
  const run = { engine, provider, precision, inputSize, threads, scoreThreshold: minScore, cacheResults: cache };
  return check(modelConfig, given({ name: model, ...file, ...run }), 'model');
}
