import { type Command, Option } from 'commander';
import { check } from '../config/check.ts';
import { ENGINES, type ModelConfig, modelConfig, PRECISIONS, PROVIDERS } from '../config/model.ts';

export interface ModelFlags {
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
  return command.option(
    '--model <name>',
    'built-in detector or path of a manifest (see: sightline models list)',
    'centernet',
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
  const { model, engine, provider, precision, inputSize, threads, minScore } = flags;
  const raw = { name: model, engine, provider, precision, inputSize, threads, scoreThreshold: minScore };
  const given = Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== undefined));
  return check(modelConfig, given, 'model');
}
