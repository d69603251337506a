import type { Command } from 'commander';
import type { CompiledModel } from '../base/core/model.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { fileSettings } from '../frame/runtime/model/detector-request.ts';
import { prepareModel } from '../frame/runtime/model/prepare-model.ts';
import type { CocoAnnotations } from '../network/evaluate/coco-dataset.ts';
import { findOpenvino, requireOpenvino } from '../network/store/openvino/openvino-place.ts';
import { provideOnnxRuntime } from '../network/store/packages/provide-package.ts';
import { ENGINE_NAMES, type EngineName, isQuantised, type QuantisedEngine } from '../settings/config/engines.ts';
import { parseInputSize } from '../settings/config/model-config.ts';
import { calibrationFrames } from './calibration-frames.ts';
import { type CliIo, JSON_FLAG, note, print, printJson, show, table, wrongCommand } from './cli-io.ts';
import { annotationsFor } from './evaluate-model.ts';
import { addFlags, type FlagsOf, flagTable, listOf, numberIf } from './flag-values.ts';
import { ENGINE_FLAGS, FILE_FLAGS, type ModelFlags, modelConfigOf } from './model-flags.ts';
import type { QuantiseReport } from './quantise-model.ts';

const USUAL_MAX_LOSS = 0.02;

const FLAGS = flagTable({
  ...FILE_FLAGS,
  ...ENGINE_FLAGS,
  '--calibration <place>': 'int8: folder of pictures, or a video, like those that the detector will see',
  '--max-loss <loss>': [
    `int8: largest loss allowed, of average precision or of agreement with float (default: ${USUAL_MAX_LOSS})`,
    numberIf('--max-loss', 'a number from 0 to 1', (loss) => loss >= 0 && loss < 1),
  ],
  '--annotations <file>': 'int8: COCO annotations; average precision on --images decides',
  '--images <dir>': 'int8: folder of the pictures that the annotations name',
  '--keep-float <names>': ['int8: names of layers that stay in float, separated by commas', listOf],
  ...JSON_FLAG,
});
type CompileFlags = FlagsOf<typeof FLAGS>;

export function addModelsCompile(models: Command, io: CliIo): void {
  const compile = models
    .command('compile')
    .description('compile a detector for an engine; the file is cached')
    .argument('<model>', 'name, path of a manifest, or path of an ONNX file');
  addFlags(compile, FLAGS)
    .addHelpText(
      'after',
      '\nWith --precision int8 the layers that lose most stay in float. --engine auto makes a file for each engine that is here.\n\nExamples:\n  sightline models compile yolox-nano --engine openvino\n  sightline models compile centernet --precision int8 --calibration photos --annotations val.json --images val\n  sightline models compile best.onnx --precision int8 --calibration street.mp4 --max-loss 0.05 --json',
    )
    .action((name: string, flags: CompileFlags) =>
      flags.precision === 'int8' ? compileInt8(name, flags, io) : compileFloat(name, flags, io),
    );
}

/** Compiles a model as the flags say, for one engine. */
export async function compiled(name: string, flags: ModelFlags, engine: EngineName, io: CliIo): Promise<CompiledModel> {
  const config = modelConfigOf({ ...flags, model: name });
  const { precision, inputSize, provider } = config;
  const { modelPath, cacheDir } = io.environment;
  return prepareModel(name, {
    engine,
    precision,
    provider,
    inputSize: inputSize === undefined ? undefined : parseInputSize(inputSize),
    searchPath: modelPath,
    cacheDir,
    onNotice: (text) => note(io, text),
    settings: fileSettings(config),
    signal: io.stop,
  });
}

async function compileFloat(name: string, flags: CompileFlags, io: CliIo): Promise<void> {
  const { calibration, maxLoss, annotations, images, keepFloat } = flags;
  const given = Object.entries({ calibration, 'max-loss': maxLoss, annotations, images, 'keep-float': keepFloat });
  const wrong = given.find(([, value]) => value !== undefined);
  if (wrong !== undefined)
    throw wrongCommand(`--${wrong[0]} is for --precision int8, received --precision ${flags.precision}`);
  const { engine: wanted } = modelConfigOf(flags);
  const engine = wanted === 'auto' ? 'onnx' : wanted;
  const { path, spec } = await compiled(name, flags, engine, io);
  show(io, flags, { model: spec.name, engine, path }, () => path);
}

async function compileInt8(name: string, flags: CompileFlags, io: CliIo): Promise<void> {
  const { calibration, annotations, images, maxLoss = USUAL_MAX_LOSS, keepFloat = [] } = flags;
  if (calibration === undefined)
    throw wrongCommand('--precision int8: expected --calibration with a folder of pictures, or a video');
  if ((annotations === undefined) !== (images === undefined))
    throw wrongCommand('expected --annotations and --images together, received one of them');
  const engines = enginesOf(flags, io);
  const labels =
    annotations === undefined || images === undefined
      ? null
      : { annotations: await annotationsFor(modelConfigOf({ ...flags, model: name }), annotations, io), images };
  const reports: QuantiseReport[] = [];
  for (const engine of engines) {
    const report = await quantiseFor(engine, name, { flags, calibration, labels, maxLoss, keepFloat }, io);
    reports.push(report);
    if (flags.json !== true) print(io, textOf(report));
  }
  if (flags.json === true) printJson(io, { model: name, files: reports });
}

/** Makes the INT8 file of a model for one engine. @throws QUANTISE_REFUSED, MODEL_*, ENGINE_UNAVAILABLE */
export async function quantiseFor(
  engine: QuantisedEngine,
  name: string,
  request: {
    readonly flags: ModelFlags;
    readonly calibration: string;
    readonly labels: { readonly annotations: CocoAnnotations; readonly images: string } | null;
    readonly maxLoss: number;
    readonly keepFloat: readonly string[];
  },
  io: CliIo,
): Promise<QuantiseReport> {
  const { flags, calibration, labels, maxLoss, keepFloat } = request;
  // Files for openvino are calibrated with ONNX Runtime, too.
  await provideOnnxRuntime({
    cacheDir: io.environment.cacheDir,
    onNotice: (text) => note(io, text),
    signal: io.stop,
  });
  const model = await compiled(name, { ...flags, precision: 'f32' }, engine, io);
  const openvinoLibrary = engine === 'openvino' ? requireOpenvino(io.environment).libraryPath : undefined;
  const { quantiseModel } = await import('./quantise-model.ts');
  return quantiseModel({
    model,
    on: { engine, provider: flags.provider ?? 'cpu', openvinoLibrary },
    frames: await calibrationFrames(calibration, model.spec, io),
    labels,
    maxLoss,
    keepFloat,
    stop: io.stop,
    onProgress: (text) => note(io, `${engine}: ${text}`),
  });
}

function enginesOf({ engine = 'auto' }: CompileFlags, io: CliIo): QuantisedEngine[] {
  if (engine !== 'auto' && isQuantised(engine)) return [engine];
  if (engine === 'auto') return findOpenvino(io.environment) === null ? ['onnx'] : ['openvino', 'onnx'];
  throw new SightlineError(
    'COMPILE_UNSUPPORTED',
    `--engine ${engine}: does not compute in INT8 on this machine; expected ${ENGINE_NAMES.filter(isQuantised).join(', ')} or auto`,
  );
}

/** Number of listed layers: the most sensitive ones. */
const MOST_LAYERS = 12;

function textOf(report: QuantiseReport): string {
  const { model, engine, inputSize, measure, floatFigure, int8Figure, maxLoss, callMs, layers, path } = report;
  const ms = (value: number | null): string => (value === null ? '-' : `${value.toFixed(2)} ms`);
  const kept = layers.filter(({ precision }) => precision === 'float');
  const shown = kept
    .slice(0, MOST_LAYERS)
    .map(({ name, kind, why, sensitivity }) => [
      `  ${name}`,
      kind,
      sensitivity === null ? '-' : sensitivity.toFixed(4),
      why,
    ]);
  return [
    `${model} ${inputSize} in INT8 for ${engine}: ${report.int8Layers} of ${layers.length} layers, in ${report.seconds.toFixed(0)} s`,
    `  ${measure}: ${int8Figure.toFixed(4)}, float ${floatFigure.toFixed(4)}, at most ${maxLoss} less allowed (${report.pictures.judged} pictures, calibrated on ${report.pictures.calibration})`,
    `  ${report.verdict}: ${report.reason}`,
    `  one picture on one thread: int8 ${ms(callMs.int8)}, f32 ${ms(callMs.f32)}${engine === 'openvino' ? `, bf16 ${ms(callMs.bf16)}` : ''}`,
    report.isWorthIt ? '  worth it here' : '  not worth it here: a float format is as fast',
    ...(kept.length === 0 ? [] : [`  in float (loss of each alone in INT8):`, table(shown)]),
    ...(kept.length > MOST_LAYERS ? [`  and ${kept.length - MOST_LAYERS} more; --json lists all`] : []),
    path,
  ].join('\n');
}
