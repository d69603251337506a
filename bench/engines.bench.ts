import { availableParallelism } from 'node:os';
import { preparedModel, SLOW_MODEL } from './support/bench-context.ts';
import { type EngineRun, engineAlone } from './support/engine-alone.ts';
import { fps, ms } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

/** The engines that run on any CPU, on the one model that both can take, with nothing around them. */
export const engines: Section = {
  id: 'engines',
  title: 'Engines beside each other',
  async run(context): Promise<SectionResult> {
    const runs: { engine: string; one: EngineRun; all: EngineRun }[] = [];
    for (const engine of ['onnx', 'wasm'] as const) {
      const model = await preparedModel(context, SLOW_MODEL, engine);
      const one = await engineAlone(context, engine, model, 1);
      const all = await engineAlone(context, engine, model, availableParallelism());
      runs.push({ engine, one, all });
    }
    const [onnx, wasm] = runs;
    return {
      tables: [
        {
          caption: `${SLOW_MODEL}, batches of one frame`,
          rows: [
            ['engine', 'one thread p50', 'p95', 'CPU a frame', 'one thread', `${availableParallelism()} threads`],
            ...runs.map(({ engine, one, all }) => [
              engine,
              ms(one.callMs.p50),
              ms(one.callMs.p95),
              ms(one.cpuMsPerFrame),
              fps(one.fps),
              fps(all.fps),
            ]),
          ],
        },
      ],
      targets: [],
      notes: [`onnx does ${(onnx!.all.fps / wasm!.all.fps).toFixed(1)} times as many frames as wasm.`],
      data: runs,
    };
  },
};
