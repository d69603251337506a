import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SightlineError } from '../src/base/errors/sightline-error.ts';
import { prepareModel } from '../src/frame/runtime/model/prepare-model.ts';
import { emitOnnx } from '../src/network/compile/onnx/emit-onnx.ts';
import type { BenchContext } from './support/bench-context.ts';
import { denseNetwork } from './support/dense-network.ts';
import { type EngineRun, engineAlone } from './support/engine-alone.ts';
import { fps, ms } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

/** In the shape of YOLOv8-n and -s. */
const NETWORKS = [
  { network: 'dense n', width: 0.25 },
  { network: 'dense s', width: 0.5 },
] as const;
const PRECISIONS = ['f32', 'f16'] as const;

export interface DensePlan {
  readonly provider: 'cuda' | 'cpu';
  readonly networks: readonly (typeof NETWORKS)[number][];
  readonly batchSizes: readonly number[];
  /** Side of the square input; a multiple of 32. */
  readonly sizePx: number;
}

export const DENSE_ON_GPU: DensePlan = {
  provider: 'cuda',
  networks: NETWORKS,
  batchSizes: [1, 2, 4, 8, 16, 32],
  sizePx: 640,
};

/** Shows that every step works on a machine without a GPU; its figures say nothing about one. */
export const DENSE_ON_CPU: DensePlan = {
  provider: 'cpu',
  networks: [NETWORKS[0]],
  batchSizes: [1, 2],
  sizePx: 160,
};

interface DenseRun {
  readonly network: string;
  readonly batchSize: number;
  readonly precision: (typeof PRECISIONS)[number];
  readonly run: EngineRun;
}

/** Measures networks without depthwise convolutions on TensorFlow: how much FP16 gains over FP32, by batch size. */
export function gpuDense(plan: DensePlan): Section {
  return {
    id: 'gpu-dense',
    title: `FP32 against FP16 on dense networks, tensorflow on ${plan.provider}`,
    async run(context): Promise<SectionResult> {
      const notes = new Set<string>();
      const runs: DenseRun[] = [];
      const folder = await mkdtemp(join(tmpdir(), 'sightline-dense-'));
      try {
        for (const { network, width } of plan.networks) {
          const file = join(folder, `dense-${width}.onnx`);
          await writeFile(file, emitOnnx(denseNetwork(width, plan.sizePx, 'n')));
          for (const precision of PRECISIONS) {
            try {
              for await (const one of measure(context, file, precision, plan))
                runs.push({ network, precision, ...one });
            } catch (error) {
              if (!(error instanceof SightlineError)) throw error;
              notes.add(`stopped: ${network} ${precision}: ${error.message.split('\n')[0]} [${error.code}]`);
            }
          }
        }
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
      const device = runs[0]?.run.info.device ?? 'nothing measured';
      return {
        tables: [{ caption: `${plan.sizePx}x${plan.sizePx}, ${device}, one call at a time`, rows: rowsOf(runs) }],
        targets: [],
        notes: ['The networks have the shape of YOLOv8-n and -s and random weights: they cost the same.', ...notes],
        data: runs,
      };
    },
  };
}

/** Names what is measured, for a machine on which it cannot be. */
export function denseCaseNames({ provider, networks, batchSizes }: DensePlan): string[] {
  return networks.flatMap(({ network }) =>
    PRECISIONS.map(
      (precision) =>
        `${network} (random weights): tensorflow on ${provider}, ${precision}, batches of ${batchSizes.join(', ')}`,
    ),
  );
}

/** Measures one network in one precision; smaller batches first, so that they are there if a larger one does not fit. */
async function* measure(
  context: BenchContext,
  file: string,
  precision: 'f32' | 'f16',
  { provider, batchSizes }: DensePlan,
): AsyncGenerator<{ batchSize: number; run: EngineRun }> {
  const { environment, note } = context;
  const model = await prepareModel(file, {
    engine: 'tensorflow',
    precision,
    provider,
    searchPath: environment.modelPath,
    onNotice: note,
    cacheDir: join(file, '..'),
    settings: { family: 'yolov8' },
  });
  for (const batchSize of batchSizes) {
    note(`${model.spec.name} on tensorflow ${provider}, ${precision}, batches of ${batchSize}`);
    yield { batchSize, run: await engineAlone(context, 'tensorflow', model, { provider, batchSize }) };
  }
}

function rowsOf(runs: readonly DenseRun[]): string[][] {
  const cases = new Map<string, Partial<Record<DenseRun['precision'], DenseRun>>>();
  for (const one of runs) {
    const key = `${one.network}/${one.batchSize}`;
    cases.set(key, { ...cases.get(key), [one.precision]: one });
  }
  const cells = (one: DenseRun | undefined): string[] =>
    one === undefined ? ['-', '-'] : [ms(one.run.callMs.p50), fps(one.run.fps)];
  return [
    ['network', 'batch', 'f32 call p50', 'f32', 'f16 call p50', 'f16', 'f16 of f32'],
    ...Array.from(cases.values(), ({ f32, f16 }) => {
      const { network, batchSize } = (f32 ?? f16)!;
      const gain = f32 === undefined || f16 === undefined ? '-' : (f16.run.fps / f32.run.fps).toFixed(2);
      return [network, String(batchSize), ...cells(f32), ...cells(f16), gain];
    }),
  ];
}
