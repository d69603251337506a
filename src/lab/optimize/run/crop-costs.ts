import type { ModelSpec } from '../../../base/core/model.ts';
import { LOOKED_AT_WIDTH } from '../../../frame/runtime/load-stages.ts';
import type { SecondStage } from '../../../frame/runtime/stages/second-stage.ts';
import { StreamStages } from '../../../frame/runtime/stages/stream-stages.ts';
import type { LookedFrame } from '../../../frame/runtime/stream/stream-port.ts';
import type { RecordedFrame, RecordedResults } from '../../../network/evaluate/recorded-results.ts';
import { DETECTOR, type StageConfig } from '../../../settings/config/stages.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { Crop, EngineRequest } from '../../../wire/protocol/threads.ts';
import { cropsAlone } from '../../measure/crops-alone.ts';
import type { PictureSample } from './picture-sample.ts';

/** A model that says nothing: what is due depends on the looks alone. */
const SILENT = {
  family: 'heads',
  heads: [],
  classes: [],
  // Crops that are aligned have the shape of the input, and the size of their objects.
  input: { width: 112, height: 112, resize: { mode: 'stretch' } },
} as unknown as ModelSpec;
const NOTHING = new Float32Array();

interface Size {
  readonly width: number;
  readonly height: number;
}

type Looked = Pick<RecordedResults, 'frames' | 'scoreThreshold'>;

/** Size of the full pictures of a stream that second stages look at. */
function lookedAtSize({ width, height }: Pick<RecordedFrame, 'width' | 'height'>): Size {
  const scale = Math.min(1, LOOKED_AT_WIDTH / width);
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

/**
 * Finds the crops that each second stage looks at, by the code that chooses them, on what a run has recorded.
 *
 * @param inferEvery - every so many frames are inferred; objects of the others are not looked at.
 * @returns by name; none for a stage behind another one.
 */
export function chosenCrops(
  { frames, scoreThreshold }: Looked,
  stages: readonly StageConfig[],
  stream: StreamConfig,
  inferEvery: number,
): ReadonlyMap<string, readonly Crop[]> {
  const looks = new Map(stages.map(({ name }): [string, Crop[]] => [name, []]));
  const counting = stages.map((config) => ({
    config,
    name: config.name,
    model: { spec: SILENT, scoreThreshold: 0 },
    skip: () => undefined,
    look: (...[, crop, , onLooked]: Parameters<SecondStage['look']>) => {
      looks.get(config.name)!.push(crop);
      onLooked(NOTHING);
    },
  })) as unknown as readonly SecondStage[];
  const settings = { ...stream, stages: stages.map(({ name }) => name) };
  const choosing = new StreamStages(() => counting, settings, 0);
  for (const [i, { ptsUs, width, height, detections }] of frames.entries()) {
    const picture = lookedAtSize({ width, height });
    const frame = { meta: { ptsUs, width, height }, by: i % inferEvery === 0 ? 'inferred' : 'tracked' };
    const objects = detections.filter(({ score, parent }) => score >= scoreThreshold && parent === undefined);
    const looked = { frame, picture, isLive: false };
    choosing.dress([], ptsUs, choosing.look(looked as unknown as LookedFrame, objects));
  }
  return looks;
}

/** Counts the crops of a frame, see `chosenCrops`. */
export function cropsPerFrame(...[results, ...how]: Parameters<typeof chosenCrops>): ReadonlyMap<string, number> {
  const { length } = results.frames;
  return new Map([...chosenCrops(results, ...how)].map(([name, crops]) => [name, crops.length / Math.max(1, length)]));
}

/**
 * Measures the crops of a second stage alone: parts of pictures of the video, of the sizes that a run has recorded.
 *
 * @returns CPU milliseconds of one while all cores are busy, as beside a detector.
 * @throws ENGINE_UNAVAILABLE, ENGINE_FAILED
 */
export async function measureCrop(
  stage: StageConfig,
  request: EngineRequest,
  results: RecordedResults,
  pictures: PictureSample,
  stream: StreamConfig,
  options: { readonly seconds: number; readonly threads: number },
): Promise<number> {
  const size = lookedAtSize(results.frames[0]!);
  const everyObject: StageConfig = { ...stage, per: 'frame', on: { ...stage.on, from: DETECTOR } };
  const crops = chosenCrops(results, [everyObject], stream, 1).get(stage.name)!;
  const whole = { x: 0, y: 0, ...size, pictureWidth: size.width };
  const { spec } = request.model;
  const input = { ...spec.input, ...size, resize: { mode: 'stretch', kernel: 'linear' } } as const;
  const full = await pictures.fittedTo({ ...spec, input });
  return cropsAlone(stage, request, full, crops.length === 0 ? [whole] : crops, options);
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
