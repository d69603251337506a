import { type Command, Option } from 'commander';
import { check } from '../config/check.ts';
import { ENGINES, type ModelConfig, modelConfig, PRECISIONS, PROVIDERS, RESIZE_RULES } from '../config/model.ts';
import { MODEL_FAMILIES } from '../core/model.ts';

/** What the user says of an ONNX file beside what stands in it. */
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
}

/** The flag that names the model, where a command takes one. */
export function addModelFlag(command: Command): Command {
  return addFileFlags(
    command.option(
      '--model <name>',
      'detector (see: sightline models list), path of a manifest, or path of an ONNX file',
      'centernet',
    ),
  );
}

/** The flags that settle what an ONNX file does not say of itself. */
export function addFileFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--family <family>', 'ONNX files: how outputs become boxes; found in the file where absent').choices(
        MODEL_FAMILIES,
      ),
    )
    .option('--labels <file>', 'ONNX files: class names, one a line, or "coco"; found in the file where absent')
    .addOption(new Option('--color <order>', 'ONNX files: order of colours').choices(['rgb', 'bgr']))
    .addOption(new Option('--range <white>', 'ONNX files: what white becomes, 1 or 255').argParser(Number))
    .addOption(
      new Option('--resize <rule>', 'ONNX files: how a picture is fitted into the input').choices(RESIZE_RULES),
    );
}

/** The flags by which every command that runs a model says how. */
export function addEngineFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--engine <engine>',
        'what runs it; auto takes tensorflow on an NVIDIA GPU, else the faster of openvino and onnx, else wasm',
      )
        .choices(ENGINES)
        .default('auto'),
    )
    .addOption(
      new Option(
        '--provider <provider>',
        'execution provider of the onnx engine; device of openvino (cpu, gpu, npu, auto); with tensorflow, cuda insists on a GPU',
      )
        .choices(PROVIDERS)
        .default('cpu'),
    )
    .addOption(
      new Option(
        '--precision <precision>',
        'number format inside the network; auto is bf16 or f16 where openvino has a device with it, else f32',
      )
        .choices(PRECISIONS)
        .default('auto'),
    )
    .option('--input-size <WxH>', "model input, as in 480x256; the manifest's own where absent")
    .option('--threads <n>', 'inference threads; one for each core where absent, with tensorflow always one', Number);
}

/** @throws CONFIG_INVALID naming the flag's setting. */
export function modelConfigOf(flags: ModelFlags): ModelConfig {
  const { model, family, labels, color, range, resize } = flags;
  const { engine, provider, precision, inputSize, threads, minScore } = flags;
  const file = { family, labels, colours: color, range, resize };
  const raw = { name: model, ...file, engine, provider, precision, inputSize, threads, scoreThreshold: minScore };
  const given = Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== undefined));
  return check(modelConfig, given, 'model');
}
