import { join } from 'node:path';
import { batchConfig } from '../config/batch.ts';
import { check } from '../config/check.ts';
import { previewConfig } from '../config/gateway.ts';
import { parseStream } from '../config/load-pipeline.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { type CocoFigures, scoreDetections } from '../evaluate/average-precision.ts';
import { categoryIdsOfClasses } from '../evaluate/class-categories.ts';
import type { CocoAnnotations, CocoResult } from '../evaluate/coco-dataset.ts';
import { openRuntime } from '../runtime/open-runtime.ts';
import { ResultSinks } from '../runtime/results/result-sinks.ts';
import { type CliIo, note } from './cli-io.ts';
import { type ModelFlags, modelConfigOf } from './model-flags.ts';
import { startProgress } from './progress.ts';

export type ResizeBy = 'ffmpeg' | 'sharp';

export interface Evaluation {
  readonly model: string;
  readonly engine: string;
  readonly provider: string;
  readonly precision: string;
  readonly inputSize: string;
  readonly resizeBy: ResizeBy;
  readonly images: number;
  readonly imagesPerSecond: number;
  readonly figures: CocoFigures;
}

/** Publishers measure AP with every class of every box down to this score. */
const EVAL_SCORE = 0.001;

/**
 * Runs a model on the pictures of an annotations file and scores it.
 *
 * @throws the errors of `openRuntime`; ENGINE_FAILED if images failed repeatedly; DATASET_INVALID if the file has no class of
 * the model; COMMAND_INVALID if the user stopped it.
 */
export async function evaluateModel(
  flags: ModelFlags & { images: string; resizeBy: ResizeBy },
  annotations: CocoAnnotations,
  io: CliIo,
): Promise<Evaluation> {
  const runtime = await openRuntime({
    model: { ...modelConfigOf({ ...flags, minScore: EVAL_SCORE }), classesPerBox: 'all' },
    batch: check(batchConfig, {}, 'batch'),
    preview: check(previewConfig, {}, 'preview'),
    sinks: new ResultSinks([]),
    environment: io.environment,
    onNotice: (text) => note(io, text),
  });
  const onStop = (): void => void runtime.stop();
  io.stop.addEventListener('abort', onStop);
  const progress = startProgress(io, 'images');
  try {
    const { images } = annotations;
    const categoryIds = categoryIdsOfClasses(annotations, runtime.spec.classes);
    const results: CocoResult[] = [];
    let done = 0;
    runtime.published.add(({ frame, detections }) => {
      for (const { classId, box, score } of detections) {
        const categoryId = categoryIds[classId];
        if (categoryId != null) results.push({ imageId: images[frame]!.id, categoryId, box: [...box], score });
      }
      progress.update(++done, images.length, `${flags.model} ${done} / ${images.length} images`);
    });
    const startedMs = performance.now();
    const config = parseStream({ id: 'eval', source: flags.images, policy: 'file' }, {});
    const imagePaths = images.map(({ fileName }) => join(flags.images, fileName));
    const stream = runtime.add(config, {
      source: null,
      imagePaths,
      resizeImagesBy: flags.resizeBy,
      label: flags.images,
      policy: 'file',
      picture: null,
    });
    await stream.settled();
    if (stream.failure !== null) throw stream.failure;
    if (done < images.length && !io.stop.aborted)
      throw new SightlineError(
        'ENGINE_FAILED',
        `${images.length - done} of ${images.length} images were given up after failed inferences; no figures`,
      );
    if (io.stop.aborted) throw new SightlineError('COMMAND_INVALID', 'stopped before the end; no figures');
    const { engine, provider, precision } = runtime.engineInfo;
    const { width, height } = runtime.spec.input;
    return {
      model: runtime.spec.name,
      engine,
      provider,
      precision,
      inputSize: `${width}x${height}`,
      resizeBy: flags.resizeBy,
      images: images.length,
      imagesPerSecond: (images.length * 1000) / (performance.now() - startedMs),
      figures: scoreDetections(annotations, results),
    };
  } finally {
    progress.stop();
    io.stop.removeEventListener('abort', onStop);
    await runtime.stop();
  }
}
