import { DETECTOR, type StageConfig } from '../../config/stages.ts';
import type { StreamConfig } from '../../config/stream.ts';
import type { ModelSpec } from '../../core/model.ts';
import type { RecordedResults } from '../../evaluate/recorded-results.ts';
import { LOOKED_AT_WIDTH } from '../../runtime/load-stages.ts';
import type { SecondStage } from '../../runtime/stages/second-stage.ts';
import { StreamStages } from '../../runtime/stages/stream-stages.ts';
import type { LookedFrame } from '../../runtime/stream/stream-port.ts';

/** A model that says nothing: what is due depends on the looks alone. */
const SILENT = { family: 'heads', heads: [], classes: [] } as unknown as ModelSpec;
const NOTHING = new Float32Array();

/**
 * Counts the crops of a frame that each second stage looks at, by the code that chooses them, on what a run has recorded.
 *
 * @param inferEvery - every so many frames are inferred; objects of the others are not looked at.
 * @returns by name; a stage behind another one gets as many for each look of that one as the record has objects found in crops.
 */
export function cropsPerFrame(
  { frames, scoreThreshold }: Pick<RecordedResults, 'frames' | 'scoreThreshold'>,
  stages: readonly StageConfig[],
  stream: StreamConfig,
  inferEvery: number,
): ReadonlyMap<string, number> {
  const looks = new Map(stages.map(({ name }) => [name, 0]));
  const counting = stages.map((config) => ({
    ...{ config, name: config.name, model: { spec: SILENT, scoreThreshold: 0 }, skip: () => undefined },
    look: (...[, , , onLooked]: Parameters<SecondStage['look']>) => {
      looks.set(config.name, looks.get(config.name)! + 1);
      onLooked(NOTHING);
    },
  })) as unknown as readonly SecondStage[];
  const settings = { ...stream, stages: stages.map(({ name }) => name) };
  const choosing = new StreamStages(() => counting, settings, 0);
  for (const [i, { ptsUs, width, height, detections }] of frames.entries()) {
    const scale = Math.min(1, LOOKED_AT_WIDTH / width);
    const picture = { width: Math.round(width * scale), height: Math.round(height * scale) };
    const frame = { meta: { ptsUs, width, height }, by: i % inferEvery === 0 ? 'inferred' : 'tracked' };
    const objects = detections.filter(({ score, parent }) => score >= scoreThreshold && parent === undefined);
    const looked = { frame, picture, isLive: false };
    choosing.dress([], ptsUs, choosing.look(looked as unknown as LookedFrame, objects));
  }
  return new Map([...looks].map(([name, count]) => [name, count / Math.max(1, frames.length)]));
}

/** CPU milliseconds of the crops of a frame. @param cropMs - of one crop, by name of the second stage. */
export function cropMsPerFrame(
  results: RecordedResults,
  stages: readonly StageConfig[],
  stream: StreamConfig,
  inferEvery: number,
  cropMs: ReadonlyMap<string, number>,
): number {
  const rates = cropsPerFrame(results, stages, stream, inferEvery);
  const found = results.frames.flatMap(({ detections }) => detections.filter(({ parent }) => parent !== undefined));
  const foundPerFrame = found.length / Math.max(1, results.frames.length);
  return stages.reduce(
    (sum, { name, on }) => sum + (on.from === DETECTOR ? rates.get(name)! : foundPerFrame) * (cropMs.get(name) ?? 0),
    0,
  );
}
