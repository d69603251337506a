import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { CompiledModel, ComputePrecision } from '../src/base/core/model.ts';
import { SightlineError } from '../src/base/errors/sightline-error.ts';
import { prepareModel } from '../src/frame/runtime/model/prepare-model.ts';
import { emitOnnx } from '../src/network/compile/onnx/emit-onnx.ts';
import { ExternalData } from '../src/network/compile/onnx/external-data.ts';
import { importOnnx } from '../src/network/compile/onnx/import-onnx.ts';
import { calibrate } from '../src/network/compile/quantise/calibrate.ts';
import { insertQuantisers } from '../src/network/compile/quantise/insert-quantisers.ts';
import { layersFor } from '../src/network/compile/quantise/place-quantisers.ts';
import { raiseOperatorSet } from '../src/network/compile/quantise/raise-operator-set.ts';
import { factsOf } from '../src/settings/config/engines.ts';
import { type BenchContext, preparedModel } from './support/bench-context.ts';
import { grabFrames } from './support/clip.ts';
import { denseNetwork } from './support/dense-network.ts';
import { type EngineRun, engineAlone } from './support/engine-alone.ts';
import { fps, ms } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

const ENGINES = ['onnx', 'openvino'] as const;
type Engine = (typeof ENGINES)[number];

/** Depthwise detectors, as `models compile --precision int8` made them for this machine. */
const DEPTHWISE = ['yolox-nano', 'centernet', 'picodet-s'];

/** Dense ones with random weights: all layers in INT8, so speed is all that they show. */
const DENSE = [
  { name: 'dense n', width: 0.25 },
  { name: 'dense s', width: 0.5 },
] as const;
const DENSE_PX = 640;
/** Ranges need real pictures, but not many: nothing is detected. */
const CALIBRATION_FRAMES = 4;

interface Int8Run {
  readonly model: string;
  readonly engine: Engine;
  readonly precision: ComputePrecision;
  readonly run: EngineRun;
}

/** INT8 beside the float formats of the same engine, on one thread. */
export const int8: Section = {
  id: 'int8',
  title: 'INT8 beside float',
  async run(context): Promise<SectionResult> {
    const runs: Int8Run[] = [];
    const notes = new Set<string>();
    const measure = async (
      model: string,
      engine: Engine,
      of: (precision: ComputePrecision) => Promise<CompiledModel>,
    ) => {
      for (const precision of engine === 'onnx' ? (['f32', 'int8'] as const) : (['f32', 'bf16', 'int8'] as const)) {
        try {
          const run = await engineAlone(context, engine, await of(precision), { precision });
          runs.push({ model, engine, precision, run });
        } catch (error) {
          if (!(error instanceof SightlineError) || !SKIPPED.includes(error.code)) throw error;
          notes.add(`skipped: ${model}, ${engine} ${precision}: ${error.message.split('\n')[0]}`);
        }
      }
    };
    for (const model of DEPTHWISE)
      for (const engine of ENGINES)
        await measure(model, engine, (precision) => preparedModel(context, model, engine, precision));
    const folder = await mkdtemp(join(tmpdir(), 'sightline-int8-'));
    try {
      for (const { name, width } of DENSE)
        for (const engine of ENGINES) {
          const files = await denseFiles(context, folder, width, engine);
          await measure(name, engine, async (precision) => (precision === 'int8' ? files.int8 : files.float));
        }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    return {
      tables: [tableOf(runs)],
      targets: [],
      notes: [
        `One thread, one picture a call. "dense n" and "dense s" have the shape of YOLOv8-n and -s at ${DENSE_PX}x${DENSE_PX}, random weights and ` +
          'all layers in INT8; the others are what `models compile --precision int8` left in the cache, with their sensitive layers in float.',
        ...notes,
      ],
      data: runs,
    };
  },
};

const SKIPPED: readonly string[] = ['ENGINE_UNAVAILABLE', 'MODEL_WEIGHTS_MISSING'];

function tableOf(runs: readonly Int8Run[]): SectionResult['tables'][number] {
  return {
    caption: 'one picture on one thread',
    rows: [
      ['model', 'engine', 'p50', 'p95', 'alone', 'of f32', 'worth it'],
      ...runs.map(({ model, engine, precision, run }) => {
        const beside = runs.filter((other) => other.model === model && other.engine === engine);
        const base = beside.find((other) => other.precision === 'f32')?.run.fps ?? Number.NaN;
        const float = Math.max(...beside.filter((other) => other.precision !== 'int8').map((other) => other.run.fps));
        const verdict = precision === 'int8' ? (run.fps > float ? 'yes' : 'not here') : '';
        const cells = [ms(run.callMs.p50), ms(run.callMs.p95), fps(run.fps), (run.fps / base).toFixed(2), verdict];
        return [model, `${engine} ${precision}`, ...cells];
      }),
    ],
  };
}

/** Compiles a dense network for an engine, and quantises all its layers on frames of the clip. */
async function denseFiles(
  { environment, ffmpeg, clip, note }: BenchContext,
  folder: string,
  width: number,
  engine: Engine,
): Promise<{ float: CompiledModel; int8: CompiledModel }> {
  const file = join(folder, `dense-${width}.onnx`);
  await writeFile(file, emitOnnx(denseNetwork(width, DENSE_PX)));
  const float = await prepareModel(file, {
    engine,
    precision: 'f32',
    searchPath: environment.modelPath,
    cacheDir: folder,
    onNotice: note,
    settings: { family: 'yolov8' },
  });
  const { input } = float.spec;
  const { buffer, frameBytes } = await grabFrames(ffmpeg, clip, { ...input, fit: input.resize }, CALIBRATION_FRAMES);
  const pixels = new Uint8Array(buffer);
  const frames = Array.from({ length: CALIBRATION_FRAMES }, (_, at) =>
    pixels.slice(at * frameBytes, (at + 1) * frameBytes),
  );
  const graph = raiseOperatorSet(
    importOnnx(await readFile(float.path), basename(float.path), new ExternalData(float.path)),
  );
  const style = factsOf(engine).network!.quantisers!;
  const { able: layers } = layersFor(graph, style);
  const { mse } = await calibrate(graph, layers, style, frames);
  const path = float.path.replace(/\.onnx$/, '-int8.onnx');
  await writeFile(path, emitOnnx(insertQuantisers(graph, { style, layers, ranges: mse })));
  return { float, int8: { ...float, path } };
}
