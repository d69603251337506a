import { MODEL_FAMILIES } from '../base/core/model.ts';
import { check } from '../settings/config/check.ts';
import { PROVIDERS } from '../settings/config/engines.ts';
import { ENGINES, type ModelConfig, modelConfig, PRECISIONS, RESIZE_RULES } from '../settings/config/model-config.ts';
import { type FlagsOf, flagTable, given } from './flag-values.ts';

/** Properties of a network that its ONNX file does not contain. */
export const FILE_FLAGS = flagTable({
  '--family <family>': ['ONNX files: how outputs are decoded to boxes (default: detected)', MODEL_FAMILIES],
  '--labels <file>': 'ONNX files: class names, one per line, or "coco" (default: from the file)',
  '--color <order>': ['ONNX files: channel order', ['rgb', 'bgr']],
  '--range <max>': ['ONNX files: highest pixel value of the input, 1 or 255', Number],
  '--resize <rule>': ['ONNX files: how a picture is resized to the input', RESIZE_RULES],
});

/** Which detector runs. */
export const MODEL_FLAGS = flagTable({
  '--model <name>': [
    'detector (see `sightline models list`), path of a manifest, or path of an ONNX file',
    'centernet',
  ],
  ...FILE_FLAGS,
});

/** On which engine, for every command that runs a model. */
export const ENGINE_FLAGS = flagTable({
  '--engine <engine>': [
    'inference engine; auto picks tensorflow on an NVIDIA GPU, else the faster of openvino and onnx, else wasm',
    ENGINES,
    'auto',
  ],
  '--provider <provider>': [
    'execution provider of onnx; device of openvino (cpu, gpu, npu, auto); with tensorflow, cuda requires a GPU',
    PROVIDERS,
    'cpu',
  ],
  '--precision <precision>': [
    'number format inside the network; auto is bf16 or f16 if openvino has a device that supports it, else f32',
    PRECISIONS,
    'auto',
  ],
  '--input-size <WxH>': 'model input, such as 480x256 (default: from the manifest)',
  '--threads <n>': ['inference threads (default: one per core); tensorflow always uses one', Number],
});

export type FileFlags = Partial<FlagsOf<typeof FILE_FLAGS>>;

export type ModelFlags = Partial<FlagsOf<typeof MODEL_FLAGS & typeof ENGINE_FLAGS>> & {
  readonly minScore?: number;
  readonly cache?: number;
};

/** Converts the flags to the model section of a pipeline. @throws CONFIG_INVALID with the name of the setting. */
export function modelConfigOf(flags: ModelFlags): ModelConfig {
  const { model, family, labels, color, range, resize } = flags;
  const { engine, provider, precision, inputSize, threads, minScore, cache } = flags;
  const file = { family, labels, colours: color, range, resize };
  const run = { engine, provider, precision, inputSize, threads, scoreThreshold: minScore, cacheResults: cache };
  return check(modelConfig, given({ name: model, ...file, ...run }), 'model');
}
