import { availableParallelism } from 'node:os';
import type { ComputePrecision } from '../src/base/core/model.ts';
import { SightlineError } from '../src/base/errors/sightline-error.ts';
import { type BenchContext, preparedModel, SLOW_MODEL } from './support/bench-context.ts';
import { type EngineRun, engineAlone } from './support/engine-alone.ts';
import { fps, ms } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

type EngineName = Parameters<typeof engineAlone>[1];

/** The compared engines and precisions. */
const CASES: readonly { readonly engine: EngineName; readonly precision: ComputePrecision }[] = [
  { engine: 'onnx', precision: 'f32' },
  { engine: 'openvino', precision: 'f32' },
  { engine: 'openvino', precision: 'bf16' },
  { engine: 'tensorflow', precision: 'f32' },
  { engine: 'wasm', precision: 'f32' },
];

/** The default detector, which all engines support, and a transformer, which gains most from another library. */
const MODELS = [SLOW_MODEL, 'deimv2-femto'];

interface EngineRuns {
  readonly model: string;
  readonly engine: EngineName;
  readonly precision: ComputePrecision;
  /** Sequential calls. */
  readonly one: EngineRun;
  /** As the pipeline uses the machine: a thread per core, or TensorFlow's one process with two calls in flight. */
  readonly all: EngineRun;
}

const CORES = availableParallelism();

/** Measures the engines that run on any CPU, without a pipeline. */
export const engines: Section = {
  id: 'engines',
  title: 'Engines compared',
  async run(context): Promise<SectionResult> {
    const tables: SectionResult['tables'][number][] = [];
    const data: EngineRuns[] = [];
    const notes = new Set<string>();
    for (const model of MODELS) {
      const runs: EngineRuns[] = [];
      for (const one of CASES) {
        try {
          runs.push(await runsOf(context, model, one));
        } catch (error) {
          if (!(error instanceof SightlineError) || !SKIPPED.includes(error.code)) throw error;
          notes.add(`skipped: ${model}, ${one.engine} ${one.precision}: ${error.message.split('\n')[0]}`);
        }
      }
      if (runs.length > 0) tables.push(tableOf(model, runs));
      data.push(...runs);
    }
    return {
      tables,
      targets: [],
      notes: [
        `"alone" means sequential calls: on one core with onnx, openvino and wasm, on all ${CORES} with tensorflow, which spreads each call. ` +
          `On the whole machine onnx, openvino and wasm have ${CORES} threads, tensorflow has its one process and two calls in flight.`,
        ...notes,
      ],
      data,
    };
  },
};

const SKIPPED: readonly string[] = ['ENGINE_UNAVAILABLE', 'MODEL_WEIGHTS_MISSING'];

function tableOf(model: string, runs: readonly EngineRuns[]): SectionResult['tables'][number] {
  const base = runs.find(({ engine }) => engine === 'onnx') ?? runs[0]!;
  return {
    caption: `${model}, batches of one frame`,
    rows: [
      ['engine', 'alone p50', 'p95', 'CPU a frame', 'alone', 'on the whole machine', `of ${base.engine}`],
      ...runs.map(({ engine, precision, one, all }) => [
        `${engine} ${precision}`,
        ms(one.callMs.p50),
        ms(one.callMs.p95),
        ms(one.cpuMsPerFrame),
        fps(one.fps),
        fps(all.fps),
        (all.fps / base.all.fps).toFixed(2),
      ]),
    ],
  };
}

async function runsOf(
  context: BenchContext,
  name: string,
  { engine, precision }: (typeof CASES)[number],
): Promise<EngineRuns> {
  const model = await preparedModel(context, name, engine, precision);
  const one = await engineAlone(context, engine, model, { precision });
  const parallel = engine === 'tensorflow' ? { maxInFlight: 2 } : { threads: CORES };
  return {
    model: name,
    engine,
    precision,
    one,
    all: await engineAlone(context, engine, model, { precision, ...parallel }),
  };
}
