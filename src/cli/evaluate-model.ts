import { fileFailure } from '../after/sinks/sink-failure.ts';
import { loadConfigured } from '../frame/runtime/model/load-detector.ts';
import { type CollectedResults, collectOnImages } from '../lab/optimize/gate/collect-results.ts';
import { type Figures, scoreResults } from '../network/evaluate/average-precision.ts';
import { categoryIdsOfClasses } from '../network/evaluate/class-categories.ts';
import type { CocoAnnotations, CocoResult } from '../network/evaluate/coco-dataset.ts';
import { picturePaths, readAnnotations, writeResults } from '../network/evaluate/coco-files.ts';
import type { IouType } from '../network/evaluate/coco-rules.ts';
import { cocoResultsOf } from '../network/evaluate/recorded-results.ts';
import { iouTypeOf } from '../network/evaluate/task-iou.ts';
import { batchConfig } from '../settings/config/batch.ts';
import { check } from '../settings/config/check.ts';
import type { ModelConfig } from '../settings/config/model-config.ts';
import { type CliIo, note } from './cli-io.ts';
import { type ModelFlags, modelConfigOf } from './model-flags.ts';
import { type Progress, startProgress } from './progress.ts';
import { type ViewFlags, viewSettingsOf } from './view-flags.ts';

export type ResizeBy = 'ffmpeg' | 'sharp';

export interface Evaluation {
  readonly model: string;
  readonly engine: string;
  readonly provider: string;
  readonly precision: string;
  readonly inputSize: string;
  readonly resizeBy: ResizeBy;
  /** Columns and rows, such as 2x2; null if pictures are inferred as a whole. */
  readonly tiles: string | null;
  readonly images: number;
  readonly imagesPerSecond: number;
  readonly iouType: IouType;
  readonly figures: Figures;
}

/**
 * Runs a model on the pictures of an annotations file and scores it. Also returns what it found.
 *
 * @param flags - with `coco`, the detections are written to that file.
 * @throws the errors of `openRuntime`; ENGINE_FAILED if images failed repeatedly; DATASET_INVALID if the file has no class of
 * the model; COMMAND_INVALID if the user stopped it.
 */
export async function evaluateModel(
  flags: ModelFlags & Pick<ViewFlags, 'tiles'> & { images: string; resizeBy: ResizeBy; readonly coco?: string },
  annotations: CocoAnnotations,
  io: CliIo,
): Promise<{ readonly evaluation: Evaluation; readonly results: readonly CocoResult[] }> {
  const { collected, results } = await detectOnLabels(flags, annotations, io);
  const { coco } = flags;
  const { iouType = 'bbox' } = annotations;
  if (coco !== undefined)
    await writeResults(coco, results, iouType).catch((error: Error) => {
      throw fileFailure('--coco', coco, error);
    });
  const { spec, engine, provider, precision, seconds } = collected;
  const { length } = annotations.images;
  const evaluation = {
    model: spec.name,
    engine,
    provider,
    precision,
    inputSize: `${spec.input.width}x${spec.input.height}`,
    resizeBy: flags.resizeBy,
    tiles: flags.tiles ?? null,
    images: length,
    imagesPerSecond: length / seconds,
    iouType,
    figures: scoreResults(annotations, results),
  };
  return { evaluation, results };
}

/** Runs a model on the pictures of an annotations file. @throws as `evaluateModel` */
export async function detectOnLabels(
  flags: ModelFlags & Pick<ViewFlags, 'tiles'> & { readonly images: string; readonly resizeBy: ResizeBy },
  annotations: CocoAnnotations,
  io: CliIo,
): Promise<{ readonly collected: CollectedResults; readonly results: readonly CocoResult[] }> {
  const { images } = annotations;
  const { tiles } = flags;
  let progress: Progress | null = null;
  try {
    const collected = await collectOnImages(
      {
        model: modelConfigOf(flags),
        batch: check(batchConfig, {}, 'batch'),
        environment: io.environment,
        onNotice: (text) => note(io, text),
        stop: io.stop,
        onOpened: ({ classes }) => {
          categoryIdsOfClasses(annotations, classes);
          progress = startProgress(io, 'images');
        },
        onProgress: (done) => progress?.update(done, images.length, `${flags.model} ${done} / ${images.length} images`),
      },
      {
        paths: picturePaths(annotations, flags.images),
        resizeBy: flags.resizeBy,
        label: flags.images,
        settings: tiles === undefined ? {} : viewSettingsOf({ tiles }),
      },
    );
    return { collected, results: cocoResultsOf(collected, annotations) };
  } finally {
    (progress as Progress | null)?.stop();
  }
}

/** Reads annotations with what a model is judged by. @throws DATASET_INVALID, and as `loadConfigured` */
export async function annotationsFor(
  model: ModelConfig,
  path: string,
  { environment }: Pick<CliIo, 'environment'>,
): Promise<CocoAnnotations> {
  return readAnnotations(path, iouTypeOf(await loadConfigured(model, environment)));
}
