import type { Precision } from '../src/base/core/model.ts';
import { SightlineError } from '../src/base/errors/sightline-error.ts';
import { type BenchContext, preparedModel } from './support/bench-context.ts';
import { type EngineRun, engineAlone } from './support/engine-alone.ts';
import { fps, ms } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

const ENGINES = [
  { engine: 'tensorflow', provider: 'cuda' },
  { engine: 'onnx', provider: 'cuda' },
  { engine: 'onnx', provider: 'webgpu' },
] as const;
const PRECISIONS = ['f32', 'f16'] as const;
const BATCH_SIZES = [1, 2, 4, 8, 16];

interface GpuCase {
  readonly engine: 'tensorflow' | 'onnx';
  readonly provider: 'cuda' | 'webgpu';
  readonly precision: Precision;
  readonly batchSize: number;
}

interface GpuRun extends GpuCase {
  /** Sequential calls: copies and computation alternate. */
  readonly alone: EngineRun;
  /** The next batch is handed over while one is computed; null if the engine takes one call at a time. */
  readonly overlapped: EngineRun | null;
}

export const GPU_CASES: readonly GpuCase[] = ENGINES.flatMap((engine) =>
  PRECISIONS.flatMap((precision) => BATCH_SIZES.map((batchSize) => ({ ...engine, precision, batchSize }))),
);

/** Measures the default detectors on a GPU: f32 and f16, each batch size, with and without overlap. */
export const gpu: Section = {
  id: 'gpu',
  title: 'Engines on a GPU',
  async run(context): Promise<SectionResult> {
    const runs: GpuRun[] = [];
    const notes = new Set<string>();
    for (const one of GPU_CASES) {
      context.note(caseName(one));
      try {
        runs.push(await measure(context, one));
      } catch (error) {
        if (!(error instanceof SightlineError)) throw error;
        notes.add(`skipped: ${one.engine} ${one.provider} ${one.precision}: ${error.message.split('\n')[0]}`);
      }
    }
    return {
      tables: [{ caption: `${context.model}, the engine without a pipeline`, rows: [HEADING, ...runs.map(row)] }],
      targets: [],
      notes: [...notes],
      data: runs,
    };
  },
};

export function caseName({ engine, provider, precision, batchSize }: GpuCase): string {
  return `${engine} on ${provider}, ${precision}, batches of ${batchSize}`;
}

const HEADING = ['engine', 'device', 'precision', 'batch', 'call p50', 'p95', 'alone', 'overlapped', 'gain'];

function row({ engine, provider, precision, batchSize, alone, overlapped }: GpuRun): string[] {
  return [
    `${engine}/${provider}`,
    alone.info.device,
    precision,
    String(batchSize),
    ms(alone.callMs.p50),
    ms(alone.callMs.p95),
    fps(alone.fps),
    overlapped === null ? '-' : fps(overlapped.fps),
    overlapped === null ? '-' : (overlapped.fps / alone.fps).toFixed(2),
  ];
}

async function measure(context: BenchContext, one: GpuCase): Promise<GpuRun> {
  const { engine, provider, precision, batchSize } = one;
  const model = await preparedModel(context, context.model, engine, precision, provider);
  const alone = await engineAlone(context, engine, model, { provider, batchSize });
  const takesTwo = alone.info.callsInFlight > 1;
  const overlapped = takesTwo
    ? await engineAlone(context, engine, model, { provider, batchSize, maxInFlight: alone.info.callsInFlight })
    : null;
  return { ...one, alone, overlapped };
}
