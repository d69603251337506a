import { availableParallelism } from 'node:os';
import { SightlineError } from '../src/errors/sightline-error.ts';
import { type BenchContext, preparedModel, SLOW_MODEL } from './support/bench-context.ts';
import { type EngineRun, engineAlone } from './support/engine-alone.ts';
import { fps, ms } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

type EngineName = 'onnx' | 'tensorflow' | 'wasm';

interface EngineRuns {
  readonly engine: EngineName;
  /** One call after the other. */
  readonly one: EngineRun;
  /** As the pipeline would use the machine: a thread for each core, or TensorFlow's one process with its two calls. */
  readonly all: EngineRun;
}

const CORES = availableParallelism();

/** The engines that run on any CPU, on the one model that all can take, with nothing around them. */
export const engines: Section = {
  id: 'engines',
  title: 'Engines beside each other',
  async run(context): Promise<SectionResult> {
    const runs: EngineRuns[] = [];
    const notes: string[] = [];
    for (const engine of ['onnx', 'tensorflow', 'wasm'] as const) {
      try {
        runs.push(await runsOf(context, engine));
      } catch (error) {
        if (!(error instanceof SightlineError) || error.code !== 'ENGINE_UNAVAILABLE') throw error;
        notes.push(`skipped: ${error.message}`);
      }
    }
    const best = Math.max(...runs.map(({ all }) => all.fps));
    return {
      tables: [
        {
          caption: `${SLOW_MODEL}, batches of one frame`,
          rows: [
            ['engine', 'alone p50', 'p95', 'CPU a frame', 'alone', 'on the whole machine', 'of the best'],
            ...runs.map(({ engine, one, all }) => [
              engine,
              ms(one.callMs.p50),
              ms(one.callMs.p95),
              ms(one.cpuMsPerFrame),
              fps(one.fps),
              fps(all.fps),
              (all.fps / best).toFixed(2),
            ]),
          ],
        },
      ],
      targets: [],
      notes: [
        `"alone" is one call after the other: on one core with onnx and wasm, on all ${CORES} with tensorflow, which spreads each call. ` +
          `On the whole machine onnx and wasm have ${CORES} threads, tensorflow has its one process and two calls in flight.`,
        ...notes,
      ],
      data: runs,
    };
  },
};

async function runsOf(context: BenchContext, engine: EngineName): Promise<EngineRuns> {
  const model = await preparedModel(context, SLOW_MODEL, engine);
  const one = await engineAlone(context, engine, model);
  const wide = engine === 'tensorflow' ? { mostInFlight: 2 } : { threads: CORES };
  return { engine, one, all: await engineAlone(context, engine, model, wide) };
}
